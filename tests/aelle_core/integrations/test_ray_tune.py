"""Kept candidates as the first trials of a real search of Ray Tune."""

from pathlib import Path
from typing import Any

import pytest

from aelle_core.integrations.ray_tune import points_to_evaluate


@pytest.mark.usefixtures("orchestration")
def test_a_search_of_ray_tune_tries_the_kept_candidates_first(tmp_path: Path) -> None:
    tune = pytest.importorskip("ray.tune", reason="needs Ray Tune, ray[tune]")
    from ray.tune.search.basic_variant import BasicVariantGenerator

    kept = [{"scale": 0.3, "learning_rate": 0.01}, {"scale": 0.5, "learning_rate": 0.02}]

    def train(config: dict[str, Any]) -> None:
        tune.report({"loss": config["scale"] + config["learning_rate"]})

    results = tune.Tuner(
        train,
        param_space={"scale": tune.uniform(0.1, 1.0), "learning_rate": tune.loguniform(1e-3, 1e-1)},
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            num_samples=3,
            max_concurrent_trials=1,
            search_alg=BasicVariantGenerator(points_to_evaluate=points_to_evaluate(kept), random_state=0),
        ),
        run_config=tune.RunConfig(storage_path=str(tmp_path), name="screened", verbose=0),
    ).fit()
    tried = [dict(result.config or {}) for result in results]
    assert len(tried) == 3
    assert tried[:2] == kept
    assert tried[2] not in kept
    assert results.get_best_result().metrics is not None
