"""The network inside AeLLE: an autoencoder of spectra with a linear predictor of the loss from its latent code."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Autoencoder(nn.Module):
    """Dense tanh layers D -> D/8 -> D/16 -> latent, mirrored, and a linear predictor on the latent code.

    The two hidden widths are at least `latent_size`, so that small spectra are not squeezed before the code. The
    decoder's last layer is linear. Float64; weights U(-1/sqrt(inputs), 1/sqrt(inputs)) from `generator`.
    Vogt, Zheng, Shlizerman 2024, section 3.
    """

    def __init__(self, size: int, latent_size: int, generator: torch.Generator) -> None:
        super().__init__()
        widths = [size, max(size // 8, latent_size), max(size // 16, latent_size), latent_size]
        self.encoder = _dense(widths, last_is_linear=False)
        self.decoder = _dense(widths[::-1], last_is_linear=True)
        self.predictor = nn.Linear(latent_size, 1)
        self.double()
        for parameter in self.modules():
            if isinstance(parameter, nn.Linear):
                bound = parameter.in_features**-0.5
                with torch.no_grad():
                    parameter.weight.uniform_(-bound, bound, generator=generator)
                    parameter.bias.uniform_(-bound, bound, generator=generator)

    def objective(self, spectra: Tensor, losses: Tensor, alpha: float) -> Tensor:
        """Mean squared reconstruction error plus alpha times the mean squared error of the predicted loss."""
        code = self.encoder(spectra)
        reconstruction = (self.decoder(code) - spectra).square().mean()
        prediction = (self.predictor(code).squeeze(-1) - losses).square().mean()
        return reconstruction + alpha * prediction


def _dense(widths: Sequence[int], last_is_linear: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        # The global generator is not touched: the weights are drawn afterwards.
        layers += [nn.utils.skip_init(nn.Linear, inputs, outputs), nn.Tanh()]
    return nn.Sequential(*(layers[:-1] if last_is_linear else layers))


def train_stages(
    model: Autoencoder,
    training: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    *,
    alphas: Sequence[float],
    epochs: int,
    learning_rate: float,
    batch_size: int,
    generator: torch.Generator,
) -> list[float]:
    """Train with Adam through stages of rising alpha, `epochs` each, and leave the model in the state with the
    lowest validation objective. Returns that objective after every epoch.

    Objectives of different alphas cannot be compared, so all are measured with the last stage's alpha. The best
    state is a copy, not an alias of what goes on being trained.
    """
    gradients = Gradients(model)
    optimiser = torch.optim.Adam([gradients.parameters], lr=learning_rate)
    spectra, losses = training
    history: list[float] = []
    best, best_state = float("inf"), gradients.parameters.clone()
    with torch.no_grad():
        for alpha in alphas:
            for _ in range(epochs):
                for chosen in torch.randperm(len(losses), generator=generator).split(batch_size):
                    # Divided by 1 + alpha: the step size then does not depend on the stage.
                    gradients.compute(spectra[chosen], losses[chosen], 1 / (1 + alpha), alpha / (1 + alpha))
                    optimiser.step()
                history.append(model.objective(*validation, alphas[-1]).item())
                if history[-1] < best:
                    best, best_state = history[-1], gradients.parameters.clone()
        gradients.parameters.copy_(best_state)
    return history


class Gradients:
    """The gradient of an autoencoder's objective, written out: the networks are so small that automatic
    differentiation takes several times as long as the arithmetic.

    The model's parameters become views of one vector, `parameters`, whose `grad` is what `compute` fills.
    """

    def __init__(self, model: Autoencoder) -> None:
        held = list(model.parameters())
        with torch.no_grad():
            self.parameters = torch.cat([each.flatten() for each in held])
        self.parameters.grad = torch.zeros_like(self.parameters)
        sizes = [each.numel() for each in held]
        places: dict[Tensor, Tensor] = {}
        for each, own, slope in zip(held, self.parameters.split(sizes), self.parameters.grad.split(sizes), strict=True):
            each.data = own.view(each.shape)
            places[each] = slope.view(each.shape)

        def slopes(layers: nn.Sequential) -> list[tuple[nn.Linear, Tensor, Tensor]]:
            return [(each, places[each.weight], places[each.bias]) for each in layers if isinstance(each, nn.Linear)]

        self._encoder, self._decoder = slopes(model.encoder), slopes(model.decoder)
        self._predictor = (model.predictor, places[model.predictor.weight], places[model.predictor.bias])

    @torch.no_grad()
    def compute(self, spectra: Tensor, losses: Tensor, reconstruction: float, prediction: float) -> None:
        """The gradient of the two mean squared errors with these weights, into `parameters.grad`."""
        encoded = _forward(self._encoder, spectra, last_is_linear=False)
        decoded = _forward(self._decoder, encoded[-1], last_is_linear=True)
        predictor, weight_slope, bias_slope = self._predictor
        error = torch.addmm(predictor.bias, encoded[-1], predictor.weight.mT).sub_(losses.unsqueeze(1))
        error.mul_(2 * prediction / len(losses))
        torch.mm(error.mT, encoded[-1], out=weight_slope)
        torch.sum(error, 0, out=bias_slope)
        adjoint = (decoded[-1] - spectra).mul_(2 * reconstruction / spectra.numel())
        adjoint = _backward(self._decoder, decoded, adjoint, last_is_linear=True)
        _backward(self._encoder, encoded, adjoint.addmm_(error, predictor.weight), last_is_linear=False)


def _forward(layers: Sequence[tuple[nn.Linear, Tensor, Tensor]], inputs: Tensor, last_is_linear: bool) -> list[Tensor]:
    """The inputs and the output of every layer."""
    states = [inputs]
    for number, (layer, _, _) in enumerate(layers, start=1):
        state = torch.addmm(layer.bias, states[-1], layer.weight.mT)
        states.append(state if last_is_linear and number == len(layers) else state.tanh_())
    return states


def _backward(
    layers: Sequence[tuple[nn.Linear, Tensor, Tensor]], states: Sequence[Tensor], adjoint: Tensor, last_is_linear: bool
) -> Tensor:
    """From the adjoint of the output to that of the input; the layers' slopes are filled."""
    for number in range(len(layers), 0, -1):
        layer, weight_slope, bias_slope = layers[number - 1]
        if not (last_is_linear and number == len(layers)):
            adjoint = torch.ops.aten.tanh_backward(adjoint, states[number])
        torch.mm(adjoint.mT, states[number - 1], out=weight_slope)
        torch.sum(adjoint, 0, out=bias_slope)
        adjoint = adjoint @ layer.weight
    return adjoint
