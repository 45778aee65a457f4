"""The networks inside AeLLE: gradients, shares, schedules, the state that is kept."""

import numpy as np
import pytest
import torch

from aelle_core.aelle.autoencoder import Autoencoders, Gradients
from aelle_core.aelle.training import Schedule, Shares, train


@pytest.mark.parametrize("size", [16, 600])
def test_written_out_gradients_are_those_of_autograd(size: int) -> None:
    generator = torch.Generator().manual_seed(1)
    spectra = torch.randn(3, 24, size, dtype=torch.float64, generator=generator)
    losses = torch.randn(3, 24, 1, dtype=torch.float64, generator=generator)
    weights = torch.rand(3, 24, 1, dtype=torch.float64, generator=generator)
    weights /= weights.sum(1, keepdim=True)
    own = Autoencoders.drawn(3, size, 8, generator, torch.float64)
    vector = own.parameters.clone().requires_grad_()
    shapes = Autoencoders.shapes(3, size, 8)
    parts = vector.split([torch.Size(shape).numel() for shape in shapes])
    held = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
    state = spectra
    for number in range(3):
        state = torch.tanh(state @ held[2 * number].mT + held[2 * number + 1])
    predicted = state @ held[12].mT + held[13]
    for number in range(3, 6):
        state = state @ held[2 * number].mT + held[2 * number + 1]
        state = torch.tanh(state) if number < 5 else state
    objective = (weights * (state - spectra).square()).sum() / size + 30 * (
        weights * (predicted - losses).square()
    ).sum()
    (objective / 31).backward()
    gradients = Gradients(own)
    for _ in range(2):  # a second time: nothing adds up
        gradients.compute(spectra, losses, weights, 1 / 31, 30 / 31)
    assert vector.grad is not None
    torch.testing.assert_close(gradients.vector, vector.grad, rtol=1e-11, atol=1e-14)


def test_every_example_is_kept_from_exactly_one_member() -> None:
    inputs, targets = torch.randn(23, 4), torch.arange(23.0)
    shares = Shares.folded(inputs, targets, torch.randperm(23).tensor_split(5))
    assert shares.held_out.sum(0).tolist() == [1] * 23
    for share, kept in ((shares.trained, ~shares.held_out), (shares.judged, shares.held_out)):
        for member in range(5):
            counted = share.weights[member, :, 0] > 0
            assert set(share.targets[member, counted, 0].tolist()) == set(targets[kept[member]].tolist())
            assert share.weights[member].sum().item() == pytest.approx(1)


def test_the_best_state_is_kept_as_a_copy() -> None:
    """Trained on, the model leaves the minimum: what is kept must be the minimum, not the last state."""
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(40, 8, generator=generator), torch.randn(40, generator=generator)
    shares = Shares.folded(inputs, targets, [torch.arange(10)])
    schedule = Schedule((1.0, 50.0), 480, 5e-3, False, 0.0, 8)
    model = Autoencoders.drawn(1, 8, 16, generator, torch.float32)
    history = train(model, shares, schedule, generator, keep_best=True, every=4)
    assert history[-1] > 1.05 * min(history)
    assert shares.held_out_error(model, 50.0) == pytest.approx(min(history), rel=1e-6)


def test_weight_decay_shrinks_the_predictor_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(30, 8, generator=generator), torch.zeros(30)
    shares = Shares.folded(inputs, targets, [torch.arange(0)] * 2)
    sizes = []
    for decay in (0.0, 20.0):
        model = Autoencoders.drawn(2, 8, 4, torch.Generator().manual_seed(1), torch.float32)
        train(model, shares, Schedule((1.0,), 1, 1e-3, True, decay, None), generator, keep_best=False, every=1)
        sizes.append((model.predictor.weight.clone(), model.encoder[0].weight.clone()))
    begun = Autoencoders.drawn(2, 8, 4, torch.Generator().manual_seed(1), torch.float32).predictor.weight
    torch.testing.assert_close(sizes[0][0] - sizes[1][0], 0.02 * begun, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(sizes[0][1], sizes[1][1])


def test_the_learning_rate_falls_as_a_half_cosine_through_stages_of_alpha() -> None:
    schedule = Schedule((1.0, 2.0, 3.0), 300, 0.4, True, 0.0, None)
    assert [schedule.rate(step) for step in (0, 150)] == [0.4, pytest.approx(0.2)]
    assert schedule.rate(299) < 1e-4
    assert [schedule.alpha(step) for step in (0, 99, 100, 299)] == [1.0, 1.0, 2.0, 3.0]
    assert np.isclose(Schedule((1.0,), 5, 0.1, False, 0.0, None).rate(4), 0.1)
