"""Packs against networks on their own, the optimiser against torch's, divergence, and going on from a checkpoint."""

from pathlib import Path

import pytest
import torch

from aelle_core.cells import cells, get_cell
from aelle_core.foundation.errors import UserError
from aelle_core.tasks import get_task
from aelle_core.training import NetworkSettings, PackedAdam, PackTrainer, load_checkpoint, save_checkpoint

SETTINGS = [NetworkSettings(seed, 0.2 + 0.1 * seed, 2e-3 * (seed + 1), clip=0.5 + seed) for seed in range(3)]
TASK = get_task("digits")


def trainer(name: str, settings: list[NetworkSettings], units: int = 8) -> PackTrainer:
    return PackTrainer(get_cell(name, TASK.input_size, units), TASK, settings, batch_size=64)


@pytest.mark.parametrize("name", list(cells))
def test_pack_equals_solo_after_fifty_steps(name: str) -> None:
    """1,078 examples in batches of 64 are 17 steps: three epochs."""
    together = trainer(name, SETTINGS)
    losses = [together.train_epoch() for _ in range(3)]
    assert together.optimiser.steps >= 50
    for index, settings in enumerate(SETTINGS):
        alone = trainer(name, [settings])
        for epoch in range(3):
            torch.testing.assert_close(alone.train_epoch()[0], losses[epoch][index], rtol=1e-5, atol=1e-5)
        for key, value in alone.parameters.items():
            torch.testing.assert_close(value[0], together.parameters[key][index], rtol=1e-5, atol=1e-5)


def test_packed_adam_equals_torch_adam_with_clipping() -> None:
    source = torch.Generator().manual_seed(0)
    start = {"a": torch.randn(2, 3, 4, generator=source), "b": torch.randn(2, 4, generator=source)}
    rates, clips = torch.tensor([1e-2, 3e-3]), torch.tensor([0.5, 100.0])
    packed = PackedAdam({name: value.clone().requires_grad_() for name, value in start.items()}, rates, clips)
    single = []
    for index in range(2):
        own = {name: value[index].clone().requires_grad_() for name, value in start.items()}
        single.append((own, torch.optim.Adam(own.values(), lr=rates[index].item())))
    for _ in range(60):
        target = torch.randn(4, generator=source)
        losses = sum(((value - target) ** 4).flatten(1).sum(1) for value in packed.parameters.values())
        losses.sum().backward()
        packed.step(losses.detach())
        for index, (own, optimiser) in enumerate(single):
            optimiser.zero_grad()
            sum(((value - target) ** 4).sum() for value in own.values()).backward()
            torch.nn.utils.clip_grad_norm_(own.values(), clips[index].item())
            optimiser.step()
    for index, (own, _) in enumerate(single):
        for name, value in own.items():
            torch.testing.assert_close(packed.parameters[name][index], value, rtol=1e-5, atol=1e-6)


def test_a_network_that_diverges_is_marked_and_leaves_the_others_untouched() -> None:
    pack, healthy = trainer("rnn_relu", SETTINGS), trainer("rnn_relu", [SETTINGS[0], SETTINGS[2]])
    with torch.no_grad():
        pack.parameters["weight_hh"][1] = 1e30
    results = list(pack.run(2))
    expected = list(healthy.run(2))
    assert [result.alive.tolist() for result in results] == [[True, False, True]] * 3
    for result, other in zip(results, expected, strict=True):
        torch.testing.assert_close(result.validation_loss[[0, 2]], other.validation_loss, rtol=1e-5, atol=1e-5)


def test_training_learns() -> None:
    results = list(trainer("lstm", [NetworkSettings(0, 0.3, 1e-2)], units=24).run(8))
    assert results[0].validation_accuracy[0] < 0.3
    assert results[-1].validation_accuracy[0] > 0.8
    assert results[-1].train_loss[0] < 0.5 * results[0].train_loss[0]


@pytest.mark.parametrize("name", ["gru", "noisy"])
def test_a_checkpoint_goes_on_with_the_same_numbers(name: str, tmp_path: Path) -> None:
    path = tmp_path / "pack.safetensors"
    undisturbed = trainer(name, SETTINGS)
    expected = list(undisturbed.run(4))
    stopped = trainer(name, SETTINGS)
    for result in stopped.run(2):
        save_checkpoint(path, stopped, result, ["a", "b", "c"])
    again = trainer(name, SETTINGS)
    kept = load_checkpoint(path, again)
    assert kept.epoch == 2
    assert torch.equal(kept.validation_loss, expected[2].validation_loss)
    for result, other in zip(again.run(4), expected[3:], strict=True):
        assert torch.equal(result.validation_loss, other.validation_loss)
        assert torch.equal(result.train_loss, other.train_loss)


def test_broken_or_foreign_checkpoints_are_named(tmp_path: Path) -> None:
    path = tmp_path / "pack.safetensors"
    pack = trainer("rnn", SETTINGS)
    save_checkpoint(path, pack, next(pack.run(0)), ["a", "b", "c"])
    with pytest.raises(UserError, match="is not of this pack: other networks"):
        load_checkpoint(path, trainer("rnn", SETTINGS[:2]))
    with pytest.raises(UserError, match="is not of this pack: cell rnn, expected rnn_relu"):
        load_checkpoint(path, trainer("rnn_relu", SETTINGS))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"pack\.safetensors' cannot be read"):
        load_checkpoint(path, trainer("rnn", SETTINGS))
