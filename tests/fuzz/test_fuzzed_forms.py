"""What a form hands over, of any kind: a study, or one sentence (pydantic's is shown at the field)."""

import random

from pydantic import BaseModel, ValidationError

from flows.parameters import AnalysisParameters, Resources, StudyParameters
from tests.fuzz.doors import assert_result_or_sentence, values

INPUTS = 400


def test_any_form_gives_a_study_or_a_sentence() -> None:
    draw = random.Random("forms")
    accepted = 0
    models: list[type[BaseModel]] = [StudyParameters, Resources, AnalysisParameters]
    for _ in range(INPUTS):
        model = draw.choice(models)
        given = {draw.choice(sorted(model.model_fields)): values(draw) for _ in range(draw.choice((1, 1, 2)))}

        def fill(model: type[BaseModel] = model, given: dict[str, object] = given) -> None:
            try:
                form = model(**given)
            except ValidationError:
                return
            if isinstance(form, StudyParameters):
                form.to_study()

        accepted += assert_result_or_sentence(fill, (model.__name__, given))
    assert accepted > 0
