"""The whole paper-smnist study on one GPU, in one process without Prefect or Ray.

Run it as `python -m benchmarks.training.study_gpu`.

Eight cells, 200 networks of N = 64 each, row-wise MNIST (`--data`: a folder with its four IDX files), batch 128, ten
epochs, hidden-state spectra of 15 sequences before training and after every epoch. Needs torch, numpy, scikit-learn,
pyarrow and matplotlib only. The dataset goes to `--output`, and the table beside it and, with CUDA, to
docs/results/study-gpu.md. Killed or out of time, the same command goes on with the packs that are missing. With
`--device cpu` and small numbers it can be tried anywhere.
"""

import argparse
import importlib.util
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from aelle_core.cells import get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.study import Pack, RunDirectory, Study, cohorts, run_pack
from aelle_core.tasks import Splits, Task, get_task
from aelle_core.training import PackTrainer
from aelle_core.training.way_timings import Workload, fastest, time_ways
from aelle_core.training.ways import check_way
from benchmarks.shared.device import describe
from benchmarks.spectrum.cases import PAPER_CELLS
from benchmarks.spectrum.product import product_rate
from benchmarks.training import study_page
from benchmarks.training.profiles import profile_pack
from benchmarks.training.shapes import Shape
from benchmarks.training.study_records import Records, Start

PAGE = Path("docs/results/study-gpu.md")
_PRODUCT = {"cuda": 8192, "cpu": 1024}  # rows and columns of the matrices whose product tells the device's rate


def paper_study(data: str | None, *, cells: Sequence[str], networks: int, epochs: int, images: int | None) -> Study:
    """The study at the paper's size, or with fewer networks, epochs and training images."""
    options = {"directory": data, "training_examples": images}
    return Study(
        name="paper-smnist",
        task="smnist",
        task_options={name: value for name, value in options.items() if value is not None},
        cells=tuple(cells),
        units=(64,),
        networks=networks,
        epochs=epochs,
        batch_size=128,
        pack_size=min(networks, 200),
    )


@dataclass(frozen=True)
class Prediction:
    """Seconds that a pack will take, from its cell's profile and from the packs before."""

    study: Study
    splits: Splits
    records: Records

    def seconds(self, pack: Pack) -> float:
        """All of it; of spectra nothing is known before the first pack."""
        spectra = self.records.spectra_seconds_per_network() * len(pack.variants) * (self.study.epochs + 1)
        return self.training(pack) * self.records.correction() + spectra

    def training(self, pack: Pack) -> float:
        """Training and evaluations, as the profile has them."""
        profile = self.records.starts[pack.cell].profile
        study, splits = self.study, self.splits
        batches = study.epochs * -(-len(splits.training) // study.batch_size)
        images = len(splits.training) + (study.epochs + 1) * len(splits.validation) + len(splits.test)
        return batches * profile.batch_seconds + images * profile.image_seconds


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.study_gpu", description=__doc__)
    parser.add_argument("--data", help="folder with MNIST's four IDX files (default: downloaded, which needs pooch)")
    parser.add_argument("--device", default="cuda", help="cuda (default), or cpu for a trial")
    parser.add_argument("--cells", default=",".join(PAPER_CELLS), help="cells, separated by commas")
    parser.add_argument("--networks", type=int, default=200, help="of each cell")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, help="training images (default: all 50,000 that do not validate)")
    parser.add_argument("--way", help="way of training (default: the fastest, measured before a cell's first pack)")
    parser.add_argument("--minutes", type=float, default=9.5, help="no pack is begun that would end later")
    parser.add_argument("--output", type=Path, default=Path("runs/paper-smnist"), help="folder of the run")
    parser.add_argument("--page", type=Path, help=f"the page (default: {PAGE} with CUDA)")
    given = parser.parse_args(arguments)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's own lines
    until = time.monotonic() + 60 * given.minutes
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("There is no CUDA device here; --device cpu with small numbers tries the same code.")
    try:
        study = paper_study(
            given.data,
            cells=given.cells.split(","),
            networks=given.networks,
            epochs=given.epochs,
            images=given.images,
        )
        run = RunDirectory(given.output)
        task = get_task(study.task, seed=study.seed, options=study.task_options)
        run.check(study)
        for name in study.cells if given.way else ():
            check_way(given.way, get_cell(name, task.input_size, study.units[0]), device, task.loss_kind)
        run.prepare(study, task.statement())
        records = Records.read(run.path / "timings.json")
        begun = {start.way for start in records.starts.values()}
        if given.way and begun - {given.way}:
            raise UserError(
                f"--way {given.way}: {str(run)!r} was begun in the ways {', '.join(sorted(begun))}; "
                "expected no --way, or another --output"
            )
    except UserError as error:
        raise SystemExit(str(error)) from error
    left_out = run_packs(study, task, run, device, records, until, given.way)
    rate = product_rate(_PRODUCT[device.type], torch.float32, 1.0, device)
    table = study_page.table_of(study, task, run, records, rate)
    changed = [
        f" --{name} {value}"
        for name in ("data", "device", "cells", "networks", "epochs", "images", "way")
        if (value := getattr(given, name)) != parser.get_default(name)
    ]
    command = "python -m benchmarks.training.study_gpu" + "".join(changed)
    text = study_page.page(table, describe(device), command, records, left_out)
    print(text)
    pages = [run.path / "study-gpu.md", given.page or (PAGE if device.type == "cuda" else None)]
    for page in pages:
        if page is not None:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text)
            print(f"Written: {page}")
    print(f"Dataset: {run.store.path}")


def run_packs(
    study: Study,
    task: Task,
    run: RunDirectory,
    device: torch.device,
    records: Records,
    until: float,
    way: str | None = None,
) -> list[str]:
    """Every pack that is missing and that there is time for; the names of the others."""
    checkpoints = importlib.util.find_spec("safetensors") is not None
    left_out = []
    missing = list(_missing(study, run))
    prediction = Prediction(study, task.splits, records)
    for index, pack in enumerate(missing):
        left = until - time.monotonic()
        if left > 0 and pack.cell not in records.starts:
            records.keep_start(pack.cell, _start(study, task, pack, device, way))
            left = until - time.monotonic()
        if left <= 0 or (expected := prediction.seconds(pack)) > left:
            left_out.append(pack.name)
            continue
        start = records.starts[pack.cell]
        print(
            f"{index + 1}/{len(missing)} {pack.name}: {len(pack.variants)} networks, {start.way}, about "
            f"{expected:.0f} s; {left:.0f} s left",
            flush=True,
        )
        summary = run_pack(
            study,
            pack,
            run,
            task=task,
            device=device,
            way=start.way,
            at_once=start.networks_at_once,
            on_epoch=_say,
            checkpoints=checkpoints,
        )
        records.keep_pack(pack.cell, len(pack.variants), study.epochs, summary, prediction.training(pack))
        print(f"  {summary.seconds:.1f} s, of which spectra {summary.spectra_seconds:.1f} s", flush=True)
    return left_out


def _missing(study: Study, run: RunDirectory) -> Iterator[Pack]:
    """Packs with an epoch that is not stored: the first of every cell, then the second of every cell ..."""
    packs = [(index, pack) for cohort in cohorts(study) for index, pack in enumerate(cohort.packs)]
    for _, pack in sorted(packs, key=lambda numbered: numbered[0]):
        if not all(run.store.has(study.identity, pack.cell, pack.name, epoch) for epoch in range(study.epochs + 1)):
            yield pack


def _start(study: Study, task: Task, pack: Pack, device: torch.device, way: str | None) -> Start:
    """The way that all packs of a cell are trained in, the same when a run goes on, and what it does with its time."""
    networks, at_once = len(pack.variants), None
    if way is None:
        cell = get_cell(pack.cell, task.input_size, pack.units)
        workload = Workload.of(cell, task, study.batch_size, networks, device)
        timings = time_ways(PackTrainer, workload, lambda sentence: print(f"  {sentence}", flush=True))
        way = fastest(timings)
        at_once = timings[way].networks_at_once
    shape = Shape(pack.cell, pack.units, task.steps, study.batch_size, task.input_size)
    return Start(way, at_once, profile_pack(shape, networks, device, way, at_once))


def _say(pack: Pack, epoch: int) -> None:
    print(f"  {pack.name}: epoch {epoch}", flush=True)


if __name__ == "__main__":
    main()
