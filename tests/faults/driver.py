"""A sweep in a process of its own: STUDY.json DIRECTORY RESOURCES.json [PLACES]. With PLACES every pack leaves a line
there, its name, how many GPUs of the node and how many of its own it had, and is then trained on the CPU."""

import json
import sys
from pathlib import Path
from typing import Any

from aelle_core.foundation.errors import UserError
from aelle_core.study import Packs
from flows import cohort
from flows.parameters import Resources, StudyParameters
from flows.sweep import sweep


def where(places: Path) -> Any:
    def train(packs: Packs, number: int, directory: str, device: str, threads: int, way: str | None) -> Any:
        import ray

        from flows.ray_tasks.train_pack import train_pack

        node = ray.get_runtime_context().get_node_id()
        (gpus,) = (entry["Resources"].get("GPU", 0) for entry in ray.nodes() if entry["NodeID"] == node)
        with places.open("a") as file:
            print(packs.name(number), device, gpus, len(ray.get_gpu_ids()), file=file)
        return train_pack(packs, number, directory, "cpu", threads, way)

    return train


if __name__ == "__main__":
    study, directory, resources, *places = sys.argv[1:]
    if places:
        cohort.train_pack = where(Path(places[0]))
    settings = Resources(**json.loads(Path(resources).read_text()))
    try:
        sweep(StudyParameters(**json.loads(Path(study).read_text())), directory, settings)
    except UserError as error:
        sys.exit(str(error))
