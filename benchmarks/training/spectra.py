"""What share of an epoch its spectra take."""

from dataclasses import dataclass

from aelle_core.cells import get_cell
from aelle_core.lyapunov import pack_spectra
from aelle_core.study import get_preset
from aelle_core.tasks import get_task
from aelle_core.training import PackTrainer
from benchmarks.shared.tables import Table, number
from benchmarks.shared.timing import Spread, Way, on_threads, take_turns
from benchmarks.spectrum.cases import SEQUENCES
from benchmarks.training import packs
from benchmarks.training.by_cell import OfCell
from benchmarks.training.shapes import settings_of

NETWORKS = 16
IMAGES = (60_000, 54_000)
LIMIT = 0.10


@dataclass(frozen=True)
class Share:
    """Seconds of a pack: its spectra and its epochs, at MNIST's shape and on the digits."""

    cell: str
    spectra: float
    epochs: tuple[float, ...]
    digits_spectra: float
    digits_epoch: float

    @property
    def shares(self) -> tuple[float, ...]:
        """Spectra over epoch: of each number of images, then of the digits."""
        return (*(self.spectra / epoch for epoch in self.epochs), self.digits_spectra / self.digits_epoch)


def measure_share(of_cell: OfCell, way: str, budget: float) -> Share:
    """One thread, training in `way`. An epoch of MNIST's size is its mini-batches times what one took in the tables
    before; one of the digits is trained."""
    shape = of_cell.small.shape
    study = get_preset("digits")
    digits = get_task(study.task, options=study.task_options)
    small = PackTrainer(
        get_cell(shape.cell, digits.input_size, study.units[0]),
        digits,
        settings_of(NETWORKS, study.units[0]),
        batch_size=study.batch_size,
        way=way,
    )
    trainer = packs.pack(shape, NETWORKS, 1, way)
    inputs = trainer.task.splits.training.inputs[:SEQUENCES]
    few = digits.splits.validation.inputs[:SEQUENCES]
    ways = [
        Way("spectra", lambda: pack_spectra(trainer.network(), inputs, jacobian="hidden"), 1),
        Way("digits spectra", lambda: pack_spectra(small.network(), few, jacobian="hidden"), 1),
        Way("digits epoch", small.train_epoch, 1),
    ]
    with on_threads(1):
        microseconds = take_turns(ways, budget, least=2)
    seconds = {name: Spread.of(values).median / 1e6 for name, values in microseconds.items()}
    of_batch = of_cell.milliseconds / 1e3 * NETWORKS
    epochs = tuple(of_batch * images / shape.batch for images in IMAGES)
    return Share(shape.cell, seconds["spectra"], epochs, seconds["digits spectra"], seconds["digits epoch"])


def shares_table(shares: list[Share]) -> Table:
    study = get_preset("digits")
    over = [share.cell for share in shares if max(share.shares[: len(IMAGES)]) > LIMIT]
    over_digits = [share.cell for share in shares if share.shares[-1] > LIMIT]
    table = Table(
        "Spectra beside training, one thread",
        f"{NETWORKS} networks, hidden-state spectra of {SEQUENCES} sequences by pack_spectra, without its check. An "
        f"epoch of {IMAGES[0]:,} and of {IMAGES[1]:,} images is extrapolated from the milliseconds of a mini-batch of "
        f"the tables above; *digits*: N = {study.units[0]}, 1,078 images, one epoch trained, in the cell's best way "
        f"above. Evaluation is in neither. "
        f"More than {LIMIT:.0%} of an epoch: {', '.join(over) or 'none'}; on the digits, whose epochs are short: "
        f"{', '.join(over_digits) or 'none'}.",
        (
            "cell",
            "spectra, ms a network",
            *(f"share of {images:,}" for images in IMAGES),
            "digits: spectra, ms a network",
            "epoch, ms a network",
            "share",
        ),
    )
    for of_cell in shares:
        per_network = (
            1e3 / NETWORKS * value for value in (of_cell.spectra, of_cell.digits_spectra, of_cell.digits_epoch)
        )
        spectra, digits, epoch = map(number, per_network)
        shown = [f"{share:.1%}" for share in of_cell.shares]
        table.rows.append((of_cell.cell, spectra, *shown[:-1], digits, epoch, shown[-1]))
    return table
