"""Why AeLLE expects what it expects: the latent dimensions that carry the prediction, and the exponents behind them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from aelle_core.aelle.autoencoder import Autoencoders
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from aelle_core.aelle.estimator import AeLLE

_POINTS = 128  # of the attributions, which are to sum up; curves, means over networks, take fewer
_CURVE_POINTS = 24


@dataclass(frozen=True, eq=False)
class Explanation:
    """What carries the predictions of n networks. Predictions are in standard deviations of the fitted targets, by
    default ranks of the loss: more is worse. D exponents, and columns of what is known beside them, if any; L latent
    dimensions.

    reference      (D,) the spectrum that networks are compared with
    difference     (n,) predictions minus the prediction of the reference
    attributions   (n, D) what each exponent adds to the difference: the rows sum to it
    shares         (L,) how much of the variance of the predictions each latent dimension carries; they sum to 1 minus
                   what the dimensions that PCA left out carry
    weights        (L,) change of the prediction with each latent dimension, in the code's own unit
    encoder        (L, D) change of a latent dimension, in its standard deviations, per standard deviation of each
                   exponent (through asinh), integrated from the reference to each network, mean over networks
    decoder        (L, D) change of the decoded exponents, nats per step, for one standard deviation of a latent
                   dimension, integrated from one below to one above each network, mean over networks
    """

    reference: np.ndarray
    difference: np.ndarray
    attributions: np.ndarray
    shares: np.ndarray
    weights: np.ndarray
    encoder: np.ndarray
    decoder: np.ndarray

    def leading(self, count: int = 3) -> np.ndarray:
        """Return the indices of the latent dimensions that carry most, the largest first: (count,)."""
        return np.argsort(-np.abs(self.shares), kind="stable")[:count]

    def contrast(self, good: Any) -> np.ndarray:
        """Return what good networks do that bad ones do not, (D,): the mean attribution of the networks that the mask
        `good` (n,) chooses, minus the mean of the others. It sums to the difference of their mean predictions.

        Raises UserError where all networks are on one side.
        """
        chosen = np.asarray(good, dtype=bool)
        if chosen.shape != self.difference.shape or chosen.all() or not chosen.any():
            raise UserError(
                f"good chooses {int(chosen.sum())} of {counted(len(self.difference), 'network')}, in shape "
                f"{chosen.shape}: expected a mask with both sides"
            )
        return self.attributions[chosen].mean(axis=0) - self.attributions[~chosen].mean(axis=0)

    def to_pandas(self, leading: int = 3) -> "pd.DataFrame":
        """Return a frame with a row for each index: the mean size of the attributions, and the encoder and decoder
        curves of the `leading` latent dimensions."""
        import pandas as pd

        columns = {"reference": self.reference, "mean_size_of_attribution": np.abs(self.attributions).mean(axis=0)}
        for dimension in self.leading(leading):
            name = f"latent_{dimension + 1} (share {self.shares[dimension]:.2f})"
            columns |= {f"{name} encoder": self.encoder[dimension], f"{name} decoder": self.decoder[dimension]}
        index = pd.RangeIndex(1, len(self.reference) + 1, name="index")
        return pd.DataFrame(columns, index=index)


def explain_predictions(model: "AeLLE", X: Any, *, reference: Any = None, points: int = _POINTS) -> Explanation:
    """Say which latent dimensions carry the predicted loss of spectra (n, D), and which exponents they stand for.

    Attributions are integrated gradients along the straight line from the reference (D,), by default the mean of
    X as the networks see it, with `points` Gauss-Legendre nodes: what the exponents add to a prediction sums to its
    difference from the reference's. Sundararajan, Taly, Yan, Axiomatic attribution for deep networks, 2017.

    Raises UserError with fewer than 2 spectra.
    """
    inputs = model._inputs(X)
    if len(inputs) < 2:
        raise UserError(f"explain was given {counted(len(inputs), 'spectrum', 'spectra')}: expected at least 2")
    start = inputs.mean(axis=0) if reference is None else model._inputs(np.asarray(reference)[None])[0]
    axes = torch.from_numpy(np.ascontiguousarray(model.pca_.components_))
    networks, deviations = model.autoencoder_, np.sqrt(model.pca_.explained_variance_)
    predicted, to_prediction = _integrated(networks, inputs, start, _readout(networks)[None], points)
    scores, to_scores = _integrated(networks, inputs, start, axes, _CURVE_POINTS)
    change = np.einsum("lnd,nd->nd", to_prediction, inputs - start)
    mean = predicted[0] - predicted[0].mean()
    weights = axes.numpy() @ _readout(networks).numpy()
    variance = float(mean @ mean)
    centred = scores - scores.mean(axis=1, keepdims=True)
    shares = weights * (centred @ mean) / variance if variance > 0 else np.zeros(len(weights))
    spread = np.where(deviations > 1e-12, deviations, 1.0)
    with torch.no_grad():
        first = _joined(networks, torch.from_numpy(start[None]))
        at_start = float((first @ _readout(networks)).item())
    return Explanation(
        reference=model.inputs_.back(start[None].copy())[0],
        difference=predicted[0] - at_start,
        attributions=change,
        shares=shares,
        weights=weights,
        encoder=to_scores.mean(axis=1) / spread[:, None],
        decoder=_decoded_changes(model, inputs, axes, deviations),
    )


def _decoded_changes(model: "AeLLE", inputs: np.ndarray, axes: Tensor, deviations: np.ndarray) -> np.ndarray:
    """(L, D): half of what the decoded spectra change by from one deviation below to one above, mean over rows."""
    networks = model.autoencoder_
    changes = []
    with torch.no_grad():
        joined = _joined(networks, torch.from_numpy(inputs))
        for axis, deviation in zip(axes, deviations, strict=True):
            ends = []
            for sign in (1, -1):
                moved = networks.split(joined + sign * float(deviation) * axis)
                ends.append(model.inputs_.back(networks.decode(moved).mean(0).numpy()))
            changes.append((ends[0] - ends[1]).mean(axis=0) / 2)
    return np.stack(changes)


def _joined(model: Autoencoders, inputs: Tensor) -> Tensor:
    """Return the members' codes of inputs (n, D) side by side, (n, members times latent)."""
    return model.join(model.encode(inputs))


def _readout(model: Autoencoders) -> Tensor:
    """Return the prediction's weights on the joined codes, (members times latent,)."""
    return model.predictor.weight.flatten() / model.members


def _integrated(
    model: Autoencoders, inputs: np.ndarray, start: np.ndarray, directions: Tensor, points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the joined codes along directions (L, members times latent) at the inputs (n, D), (L, n), and their slopes
    by the inputs, integrated from the start to each input, (L, n, D)."""
    nodes, shares = np.polynomial.legendre.leggauss(points)
    total = np.zeros((len(directions), *inputs.shape))
    for node, share in zip((nodes + 1) / 2, shares / 2, strict=True):
        points_between = torch.from_numpy(start + node * (inputs - start)).requires_grad_()
        values = (_joined(model, points_between) @ directions.mT).sum(dim=0)
        for direction, value in enumerate(values):
            (slope,) = torch.autograd.grad(value, points_between, retain_graph=True)
            total[direction] += share * slope.numpy()
    with torch.no_grad():
        at_end = _joined(model, torch.from_numpy(inputs)) @ directions.mT
    return at_end.mT.numpy(), total
