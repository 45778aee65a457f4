"""The network inside AeLLE: an autoencoder of spectra with a linear predictor of the loss from its latent code."""

import copy
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
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate)
    spectra, losses = training
    history: list[float] = []
    best, best_state = float("inf"), copy.deepcopy(model.state_dict())
    for alpha in alphas:
        for _ in range(epochs):
            for chosen in torch.randperm(len(losses), generator=generator).split(batch_size):
                optimiser.zero_grad()
                # Divided by 1 + alpha: the step size then does not depend on the stage.
                (model.objective(spectra[chosen], losses[chosen], alpha) / (1 + alpha)).backward()
                optimiser.step()
            with torch.no_grad():
                history.append(model.objective(*validation, alphas[-1]).item())
            if history[-1] < best:
                best, best_state = history[-1], copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)
    return history
