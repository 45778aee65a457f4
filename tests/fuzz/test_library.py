"""Arguments of any kind to the library's own doors: a result, or one sentence."""

import dataclasses
import random
from pathlib import Path

from aelle_core.files.places import place, resolved
from aelle_core.store.dataset import SpectraStore
from aelle_core.study import Study
from aelle_core.tasks import get_task
from tests.aelle_core.store.test_store import filled
from tests.fuzz.doors import WORDS, assert_result_or_sentence, values

INPUTS = 300


def test_a_study_of_any_settings() -> None:
    draw = random.Random("study")
    names = [field.name for field in dataclasses.fields(Study)]
    for _ in range(INPUTS):
        given = {draw.choice(names): values(draw) for _ in range(draw.choice((1, 1, 2)))}
        assert_result_or_sentence(lambda given=given: Study.from_dict(given), given)


def test_a_read_of_any_choice(tmp_path: Path) -> None:
    store = filled(tmp_path, packs=1, epochs=1)
    draw = random.Random("read")
    for _ in range(INPUTS):
        given = {draw.choice(("study", "task", "cell", "units", "epoch", "status", "columns")): values(draw)}
        assert_result_or_sentence(lambda given=given: store.read(**given), given)


def test_any_word_as_a_place_and_as_a_store(tmp_path: Path) -> None:
    for word in WORDS:
        if not word.startswith("s3://x"):
            assert_result_or_sentence(lambda word=word: place(word), word)
            assert_result_or_sentence(lambda word=word: resolved(word), word)
            assert_result_or_sentence(lambda word=word: SpectraStore(word, create=False), word)
            assert_result_or_sentence(lambda word=word: get_task("charlm", seed=0, options={"text": word}), word)
