"""The peers of one shape, with the same weights as a pack of ours, and the proof that their work is the same."""

import math

import torch
from torch import Tensor, nn

from aelle_core.foundation.random_streams import generator
from aelle_core.training import PackTrainer
from benchmarks.peers.alone import Alone
from benchmarks.peers.ensembles import Ensemble
from benchmarks.peers.layers import CELLS as LAYER_CELLS
from benchmarks.peers.layers import Layer
from benchmarks.peers.loops import LOOPS
from benchmarks.training import packs
from benchmarks.training.shapes import CLASSES, LEARNING_RATE, Shape

PUBLISHED, TUNED = "one by one", "one by one, tuned"
ALONE = (PUBLISHED, TUNED)
_TOLERANCE = 1e-4  # of a mean loss after several steps in float32
_CHECKED_NETWORKS, _CHECKED_BATCHES = 2, 4


def is_layer(cell: str) -> bool:
    """Whether torch.nn has a layer for the cell."""
    return cell in LAYER_CELLS


def model(shape: Shape, *, tuned: bool = False, loop: bool = False) -> nn.Module:
    """The network of a script: torch.nn's layer where there is one, unless a loop is asked for; else the loop."""
    if is_layer(shape.cell) and not loop:
        return Layer(shape.cell, shape.features, shape.units, CLASSES)
    return LOOPS[shape.cell](shape.cell, shape.features, shape.units, CLASSES, hoisted=tuned)


def alone(shape: Shape, way: str) -> Alone:
    """One network and its optimiser: as published, or tuned (the input's product before the loop, fused Adam)."""
    tuned = way == TUNED
    return Alone(model(shape, tuned=tuned), learning_rate=LEARNING_RATE, fused=tuned)


def ensemble(shape: Shape, networks: int, *, loop: bool) -> Ensemble:
    """So many networks under vmap: loops, tuned, or torch.nn's layers."""
    models = [model(shape, tuned=True, loop=loop) for _ in range(networks)]
    return Ensemble(models, learning_rate=LEARNING_RATE)


def copy_weights(trainer: PackTrainer, index: int, module: nn.Module) -> None:
    """One network of a pack into a peer's module."""
    own = {name: value[index].detach() for name, value in trainer.parameters.items()}
    state = {"readout.weight": own.pop("readout_weight"), "readout.bias": own.pop("readout_bias")}
    if isinstance(module, Layer):
        state |= {f"recurrent.{name}_l0": value for name, value in own.items()}
    else:
        state |= own
    module.load_state_dict(state)


def losses_of_all(shape: Shape) -> dict[str, Tensor]:
    """Mean losses (networks,) of an epoch of a few mini-batches from the same weights, in the same order of examples
    and under the same noise: ours by every way, and every peer's, each with its own clip and optimiser."""
    first, *others = packs.ways_of(shape)
    trainer = packs.pack(shape, _CHECKED_NETWORKS, _CHECKED_BATCHES, first)
    examples = trainer.task.splits.training
    orders = torch.stack(
        [torch.randperm(len(examples), generator=generator(settings.seed, "order", 1)) for settings in trainer.settings]
    )
    noises = _noises(trainer, shape)
    losses = {}
    for way in others:
        losses[way] = packs.pack(shape, _CHECKED_NETWORKS, _CHECKED_BATCHES, way).train_epoch().cpu()
    for way in ALONE:
        networks = []
        for index, order in enumerate(orders):
            network = alone(shape, way)
            copy_weights(trainer, index, network.model)
            own = None if noises is None else [noise[index] for noise in noises]
            networks.append(network.train(examples.inputs, examples.targets, order, shape.batch, own))
        losses[way] = torch.stack(networks)
    for loop in (True, False) if is_layer(shape.cell) else (True,):
        models = [model(shape, tuned=True, loop=loop) for _ in orders]
        for index, network in enumerate(models):
            copy_weights(trainer, index, network)
        side_by_side = Ensemble(models, learning_rate=LEARNING_RATE)
        losses["ensemble of loops" if loop else "ensemble of layers"] = side_by_side.train(
            examples.inputs, examples.targets, orders, shape.batch, noises
        )
    return {"ours": trainer.train_epoch().cpu(), **losses}


def _noises(trainer: PackTrainer, shape: Shape) -> list[Tensor] | None:
    """What a pack of ours draws in its first epoch, (networks, time, batch, units) for each mini-batch."""
    if not trainer.cell.noise_channels:
        return None
    sources = [generator(settings.seed, "noise", 1) for settings in trainer.settings]
    draw = (shape.steps, shape.batch, shape.units)
    return [torch.stack([torch.randn(draw, generator=source) for source in sources]) for _ in range(_CHECKED_BATCHES)]


def check_equal_work(cell: str) -> None:
    """Raise RuntimeError unless every peer of a cell has our losses: times of other work are no comparison."""
    losses_by_way = losses_of_all(Shape(cell, units=8, steps=5, batch=16, features=6))
    ours = losses_by_way.pop("ours")
    for way, losses in losses_by_way.items():
        apart = float((losses / ours - 1).abs().max())
        if not math.isfinite(apart) or apart > _TOLERANCE:
            raise RuntimeError(f"{cell}, {way}: losses {losses.tolist()} beside our {ours.tolist()}: not the same work")
