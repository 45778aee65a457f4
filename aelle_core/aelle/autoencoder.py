"""The networks inside AeLLE: autoencoders of spectra with a linear predictor of the outcome, several side by side."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def layer_widths(size: int, latent_size: int) -> list[int]:
    """Return the widths D -> D/8 -> D/16 -> latent; the hidden ones are at least `latent_size`, so that small spectra
    are not squeezed before the code. Vogt, Zheng, Shlizerman 2024, section 3."""
    return [size, max(size // 8, latent_size), max(size // 16, latent_size), latent_size]


@dataclass(frozen=True)
class Layer:
    """A dense layer of every member: weight (members, outputs, inputs), bias (members, 1, outputs), tanh or linear."""

    weight: Tensor
    bias: Tensor
    bounded: bool

    def __call__(self, inputs: Tensor) -> Tensor:
        """(members, n, inputs) -> (members, n, outputs)."""
        outputs = torch.baddbmm(self.bias, inputs, self.weight.mT)
        return outputs.tanh_() if self.bounded else outputs


class Autoencoders:
    """Members of an ensemble: tanh layers to the code, mirrored back, and a linear predictor on the code.

    The decoder's last layer is linear. All parameters are views of one vector, `parameters`, so that an optimiser
    updates them in one operation.
    """

    def __init__(self, members: int, size: int, latent_size: int, parameters: Tensor) -> None:
        self.members, self.size, self.latent_size = members, size, latent_size
        self.parameters = parameters
        views = iter(parameters.split([torch.Size(shape).numel() for shape in self.shapes(members, size, latent_size)]))
        taken = iter([next(views).view(shape) for shape in self.shapes(members, size, latent_size)])
        self.encoder = [Layer(next(taken), next(taken), True) for _ in range(3)]
        self.decoder = [Layer(next(taken), next(taken), number < 2) for number in range(3)]
        self.predictor = Layer(next(taken), next(taken), False)

    @staticmethod
    def shapes(members: int, size: int, latent_size: int) -> list[tuple[int, int, int]]:
        """Return the shapes of all weights and biases in their order: encoder, decoder, predictor."""
        widths = layer_widths(size, latent_size)
        pairs = [*itertools.pairwise(widths), *itertools.pairwise(widths[::-1]), (latent_size, 1)]
        return [shape for inputs, outputs in pairs for shape in ((members, outputs, inputs), (members, 1, outputs))]

    @classmethod
    def drawn(
        cls, members: int, size: int, latent_size: int, generator: torch.Generator, dtype: torch.dtype
    ) -> "Autoencoders":
        """Return members with weights U(-1/sqrt(inputs), 1/sqrt(inputs)) from the generator."""
        pieces = []
        shapes = cls.shapes(members, size, latent_size)
        for weight, bias in zip(shapes[::2], shapes[1::2], strict=True):
            bound = weight[2] ** -0.5
            for shape in (weight, bias):
                drawn = torch.empty(shape, dtype=dtype).uniform_(-bound, bound, generator=generator)
                pieces.append(drawn.flatten())
        return cls(members, size, latent_size, torch.cat(pieces))

    def to(self, dtype: torch.dtype) -> "Autoencoders":
        """Return a copy in that precision."""
        return Autoencoders(self.members, self.size, self.latent_size, self.parameters.to(dtype, copy=True))

    def encode(self, inputs: Tensor) -> Tensor:
        """(n, D) or (members, n, D) -> codes (members, n, latent)."""
        return _through(self.encoder, inputs.expand(self.members, *inputs.shape[-2:]))[-1]

    @staticmethod
    def join(codes: Tensor) -> Tensor:
        """Codes (members, n, latent) -> all members' codes side by side (n, members times latent)."""
        return codes.movedim(0, 1).flatten(1)

    def split(self, joined: Tensor) -> Tensor:
        """Codes side by side (n, members times latent) -> (members, n, latent)."""
        return joined.unflatten(1, (self.members, self.latent_size)).movedim(1, 0).contiguous()

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (members, n, latent) -> inputs (members, n, D)."""
        return _through(self.decoder, codes)[-1]

    def predict(self, codes: Tensor) -> Tensor:
        """Codes (members, n, latent) -> predicted targets (members, n)."""
        return self.predictor(codes).squeeze(-1)


def _through(layers: Sequence[Layer], inputs: Tensor) -> list[Tensor]:
    """Return the inputs and the outputs of every layer."""
    states = [inputs]
    for layer in layers:
        states.append(layer(states[-1]))
    return states


class Gradients:
    """The gradient of the objective, written out: the networks are so small that automatic differentiation takes
    several times as long as the arithmetic.

    The objective is, for each member, `reconstruction` times the mean squared error of the inputs plus `prediction`
    times the mean squared error of the predicted target, over the member's examples as their weights count them.
    """

    def __init__(self, model: Autoencoders) -> None:
        self.model = model
        self.vector = torch.zeros_like(model.parameters)
        self._slopes = Autoencoders(model.members, model.size, model.latent_size, self.vector)

    @torch.no_grad()
    def compute(
        self, inputs: Tensor, targets: Tensor, weights: Tensor, reconstruction: float, prediction: float
    ) -> None:
        """Fill `vector` from inputs (members, n, D), targets and weights (members, n, 1), of sum 1 in a member."""
        model, slopes = self.model, self._slopes
        encoded = _through(model.encoder, inputs)
        decoded = _through(model.decoder, encoded[-1])
        error = (model.predictor(encoded[-1]) - targets).mul_(weights).mul_(2 * prediction)
        torch.bmm(error.mT, encoded[-1], out=slopes.predictor.weight)
        torch.sum(error, 1, keepdim=True, out=slopes.predictor.bias)
        adjoint = (decoded[-1] - inputs).mul_(weights * (2 * reconstruction / model.size))
        adjoint = _backward(model.decoder, slopes.decoder, decoded, adjoint)
        _backward(model.encoder, slopes.encoder, encoded, adjoint.baddbmm_(error, model.predictor.weight), last=True)


def _backward(
    layers: Sequence[Layer], slopes: Sequence[Layer], states: Sequence[Tensor], adjoint: Tensor, last: bool = False
) -> Tensor:
    """Fill the slopes of layers from the adjoint of their output; return the adjoint of their input, which the `last`
    layers that are reached do not need."""
    for number in range(len(layers) - 1, -1, -1):
        if layers[number].bounded:
            adjoint = torch.ops.aten.tanh_backward(adjoint, states[number + 1])
        torch.bmm(adjoint.mT, states[number], out=slopes[number].weight)
        torch.sum(adjoint, 1, keepdim=True, out=slopes[number].bias)
        if not (last and number == 0):
            adjoint = torch.bmm(adjoint, layers[number].weight)
    return adjoint
