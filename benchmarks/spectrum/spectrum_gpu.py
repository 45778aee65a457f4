"""The spectra of a whole study on one GPU: `python -m benchmarks.spectrum.spectrum_gpu`.

11,200 networks of 64 units (1,400 of each of eight cells), 28 steps, 15 sequences, hidden-state spectra, by
`pack_spectra`; beside it the published way on the same GPU, on a sample of its three cells. Needs torch and numpy only.
Takes about five minutes at most and writes docs/results/spectrum-gpu.md. Without a CUDA device it says so and ends.
With `--device cpu` and small numbers the same code can be tried anywhere; nothing is written then.
"""

import argparse
import math
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aelle_core.cells import Network, get_cell, to_torch
from aelle_core.lyapunov import LyapunovSpectrum, pack_spectra
from aelle_core.lyapunov.result import Precision
from benchmarks.peers.published import CELLS as PUBLISHED
from benchmarks.peers.published import published_spectrum
from benchmarks.shared.device import describe, synchronise
from benchmarks.spectrum.cases import PAPER_CELLS as CELLS

PAGE = Path("docs/results/spectrum-gpu.md")
FEATURES = 28
_COPIES = 14  # matrices (N, N) in float64 that one trajectory needs at once, with room
_SHARE = 0.6  # of the free memory
_FIRST_PACK = 64


@dataclass(frozen=True)
class Options:
    device: torch.device
    networks: int
    units: int
    steps: int
    sequences: int
    seconds: float
    sample: int


@dataclass
class Tally:
    """What one cell took: networks done, seconds spent on them, and how far the results are from the CPU's."""

    networks: int = 0
    seconds: float = 0.0
    packs: list[int] = field(default_factory=list)
    apart: float = 0.0


def draw_pack(cell: str, count: int, units: int, seed: int) -> Network:
    """Weights U(-s, s) with s evenly spread over the pack from 0.5 to 1.5 times sqrt(3 / N), float32, on the CPU."""
    made = get_cell(cell, FEATURES, units)
    generator = torch.Generator().manual_seed(seed)
    scales = math.sqrt(3 / units) * torch.linspace(0.5, 1.5, count)
    parameters = {}
    for name, shape in made.parameter_shapes().items():
        drawn = torch.empty(count, *shape).uniform_(-1, 1, generator=generator)
        parameters[name] = drawn * scales.view(-1, *[1] * len(shape))
    return Network(made, parameters)


def one_of(pack: Network, index: int) -> Network:
    return Network(pack.cell, {name: tensor[index] for name, tensor in pack.parameters.items()})


def draw_inputs(options: Options) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(options.sequences, options.steps, FEATURES, generator=generator, dtype=torch.float64)


def pack_size(options: Options, wanted: int) -> int:
    """Networks that fit into the device's memory at once; on a CPU, whatever is wanted."""
    if options.device.type != "cuda":
        return wanted
    free, _ = torch.cuda.mem_get_info(options.device)
    per_network = options.sequences * options.units**2 * 8 * _COPIES
    return max(1, min(wanted, int(_SHARE * free / per_network)))


def measure_packs(options: Options, inputs: Tensor, precision: Precision, until: float) -> dict[str, Tally]:
    """Pack by pack, cell after cell, until all networks are done or the time is over. The first pack is small and tells
    how many networks there is time for; a pack that does not fit into memory is halved."""
    wanted = -(-options.networks // len(CELLS))
    tallies = {cell: Tally() for cell in CELLS}
    sizes = dict.fromkeys(CELLS, pack_size(options, wanted))
    for cell in CELLS:  # libraries load and the allocator fills outside the measurement
        compute(options, draw_pack(cell, 2, options.units, 0), inputs, precision)
    while time.monotonic() < until and any(tally.networks < wanted for tally in tallies.values()):
        for cell, tally in tallies.items():
            left = until - time.monotonic()
            in_time = int(left / 2 * tally.networks / tally.seconds) if tally.networks else _FIRST_PACK
            count = min(sizes[cell], wanted - tally.networks, max(1, in_time))
            if count == 0 or left <= 0:
                continue
            pack = draw_pack(cell, count, options.units, 1 + tally.networks)
            start = time.perf_counter()
            try:
                results = compute(options, pack, inputs, precision)
            except torch.OutOfMemoryError:
                if count == 1:
                    raise
                sizes[cell] = count // 2
                torch.cuda.empty_cache()
                continue
            tally.seconds += time.perf_counter() - start
            if not tally.packs:
                tally.apart = apart_from_cpu(pack, results[0].exponents, inputs)
            tally.networks += count
            tally.packs.append(count)
    return tallies


def compute(options: Options, pack: Network, inputs: Tensor, precision: Precision) -> list[LyapunovSpectrum]:
    """The weights go to the device and the results come back within."""
    synchronise(options.device)
    results = pack_spectra(pack, inputs, jacobian="hidden", precision=precision, device=options.device)
    synchronise(options.device)
    return results


def apart_from_cpu(pack: Network, exponents: np.ndarray, inputs: Tensor) -> float:
    """Nats per step between the first network's spectrum and the same in float64 on the CPU."""
    (truth,) = pack_spectra(
        Network(pack.cell, {name: tensor[:1] for name, tensor in pack.parameters.items()}), inputs, jacobian="hidden"
    )
    return float(np.abs(exponents - truth.exponents).max())


def measure_published(options: Options, inputs: Tensor, until: float) -> dict[str, list[float]]:
    """Seconds of single networks, one after the other, as the scripts do it; one more before is not counted."""
    on_device = inputs.to(options.device)
    seconds: dict[str, list[float]] = {}
    for cell in PUBLISHED:
        pack = draw_pack(cell, options.sample + 1, options.units, 0)
        taken: list[float] = []
        for index in range(options.sample + 1):
            layer = to_torch(one_of(pack, index)).double().to(options.device)
            synchronise(options.device)
            start = time.perf_counter()
            published_spectrum(layer, on_device)
            synchronise(options.device)
            taken.append(time.perf_counter() - start)
            if time.monotonic() >= until and len(taken) > 1:
                break
        seconds[cell] = taken[1:]
    return seconds


def report(options: Options, ours: dict[Precision, dict[str, Tally]], theirs: dict[str, list[float]]) -> str:
    """The page."""
    per_network = {cell: sum(taken) / len(taken) for cell, taken in theirs.items()}
    lines = [
        "# Spectra of a study on one GPU",
        "",
        f"Measured by `python -m benchmarks.spectrum.spectrum_gpu` on {time.strftime('%Y-%m-%d')}: "
        f"{describe(options.device)}; "
        f"torch {torch.__version__}, numpy {np.__version__}, Python {platform.python_version()}. {options.networks:,} "
        f"networks of N = {options.units}, {options.steps} steps, {options.sequences} sequences, hidden-state spectra, "
        "in packs by `pack_spectra` without the check. Seconds include the forward pass and the way of weights to the "
        "GPU. *Apart* is the first network's largest difference from the same computation in float64 on the CPU, nats "
        "per step. *Published* is the published way on the same GPU, float64, one network after the other, measured on "
        f"{min(map(len, theirs.values()))} networks of each cell it is written for.",
        "",
        "| cell | precision | networks | largest pack | seconds | spectra/s | apart | published, s a network | ratio |",
        "| :-- | :-- | --: | --: | --: | --: | --: | --: | --: |",
    ]
    totals = []
    for precision, tallies in ours.items():
        seconds = 0.0
        for cell, tally in tallies.items():
            if tally.networks == 0:
                lines.append(f"| {cell} | {precision} | 0 | - | - | - | - | - | - |")
                continue
            own_seconds = tally.seconds / tally.networks
            published = (
                f"{per_network[cell]:.3f} | {per_network[cell] / own_seconds:,.0f}x" if cell in theirs else "- | -"
            )
            lines.append(
                f"| {cell} | {precision} | {tally.networks:,} | {max(tally.packs):,} | {tally.seconds:.2f} | "
                f"{1 / own_seconds:,.0f} | {tally.apart:.0e} | {published} |"
            )
            seconds += own_seconds * options.networks / len(CELLS)
        done = sum(tally.networks for tally in tallies.values())
        if all(tally.networks for tally in tallies.values()):
            whole = done >= options.networks
            totals.append(
                f"All {options.networks:,} spectra, {precision}: {seconds:.1f} s"
                + ("." if whole else f", extrapolated from {done:,} that fitted into the time.")
            )
    shares = [per_network.get(cell, per_network["rnn"]) for cell in CELLS]
    published_total = sum(shares) * options.networks / len(CELLS)
    totals.append(
        f"The published way would take {published_total / 60:,.1f} minutes for as many: extrapolated from the sample, "
        "cells it is not written for counted as rnn, its cheapest."
    )
    return "\n".join([*lines, "", *totals, ""])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spectrum.spectrum_gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda (default), or cpu for a trial")
    parser.add_argument("--networks", type=int, default=11_200)
    parser.add_argument("--units", type=int, default=64)
    parser.add_argument("--steps", type=int, default=28)
    parser.add_argument("--sequences", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=270.0, help="about how long the whole may take")
    parser.add_argument("--sample", type=int, default=3, help="networks of each cell for the published way")
    parser.add_argument("--output", type=Path, help=f"the page (default: {PAGE} with CUDA, none on a CPU)")
    given = parser.parse_args(arguments)
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("GPU part: there is no CUDA device here, so it was left out.")
        return
    options = Options(device, given.networks, given.units, given.steps, given.sequences, given.seconds, given.sample)
    start = time.monotonic()
    inputs = draw_inputs(options)
    theirs = measure_published(options, inputs, start + 0.3 * options.seconds)
    print(
        f"published way: {', '.join(f'{cell} {sum(t) / len(t):.3f} s' for cell, t in theirs.items())} a network",
        flush=True,
    )
    ours: dict[Precision, dict[str, Tally]] = {}
    precisions: tuple[Precision, ...] = ("exact", "fast")
    for part, precision in enumerate(precisions, start=1):
        left = start + options.seconds - time.monotonic()
        share = left / (len(precisions) - part + 1)
        ours[precision] = measure_packs(options, inputs, precision, time.monotonic() + share)
        done = sum(tally.networks for tally in ours[precision].values())
        print(f"{precision}: {done:,} networks, {time.monotonic() - start:.0f} s so far", flush=True)
    text = report(options, ours, theirs)
    print(text)
    output = given.output or (PAGE if device.type == "cuda" else None)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text)
        print(f"Written: {output}")


if __name__ == "__main__":
    main()
