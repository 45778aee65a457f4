"""AeLLE: principal components of a latent space of Lyapunov spectra, as a scikit-learn estimator."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.utils import Tags, check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from aelle_core.aelle.accepted_spectra import TakenSpectra
from aelle_core.aelle.autoencoder import Autoencoder, train_stages
from aelle_core.files.atomic import read_safetensors, write_atomically
from aelle_core.files.places import Place, place
from aelle_core.foundation.errors import UserError
from aelle_core.foundation.interpolation import interpolate_spectrum
from aelle_core.pretrained import shipped_file

_FORMAT = "aelle-model-1"


def stack_spectra(spectra: Any) -> Any:
    """Spectra of different lengths as one array (n, largest), interpolated; anything else as it is."""
    if isinstance(spectra, Sequence) and len({np.size(each) for each in spectra}) > 1:
        size = max(np.size(each) for each in spectra)
        return np.stack([interpolate_spectrum(np.asarray(each), size) for each in spectra])
    return spectra


class AeLLE(TransformerMixin, BaseEstimator):
    """An autoencoder of spectra with a linear predictor of the final loss, and the PCA of its latent codes.

    latent_size          dimensions of the latent code
    components           principal components that `transform` returns
    alphas               weight of the prediction error against the reconstruction error, stage by stage, on
                         standardised spectra and losses: its scale decides whether the first component is about the
                         loss at all
    epochs               epochs of each stage
    learning_rate, batch_size   of Adam
    target               "log": the logarithm of the loss is regressed (one diverged network then cannot rule the
                         fit); "loss": the loss itself, as in the paper
    floor                nats per step that exponents below it, -inf of dead directions included, are set to
    validation_fraction  held out to choose the best state; with fewer than 20 spectra the training set chooses
    random_state         decides the weights, the held-out part and the order of batches

    Spectra are (n, D) in nats per step, descending, or a list of spectra of different lengths, which are interpolated
    to the longest. Fitted attributes: autoencoder_, pca_, history_ (validation objective by epoch), n_features_in_, and
    takes_, a TakenSpectra where it is known which spectra they were.
    Vogt, Zheng, Shlizerman 2024, section 3.
    """

    def __init__(
        self,
        latent_size: int = 32,
        components: int = 2,
        alphas: Sequence[float] = (200.0, 200.0, 300.0, 400.0),
        epochs: int = 60,
        learning_rate: float = 2e-3,
        batch_size: int = 128,
        target: Literal["log", "loss"] = "log",
        floor: float = -6.0,
        validation_fraction: float = 0.15,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.latent_size = latent_size
        self.components = components
        self.alphas = alphas
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.target = target
        self.floor = floor
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.one_d_labels = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to spectra (n, D) and final losses (n,) in nats.

        Raises ValueError when a spectrum holds NaN or +inf, when losses are not finite, or not positive with
        target="log".
        """
        if self.target not in ("log", "loss"):
            raise UserError(f"target={self.target!r}: expected 'log' or 'loss'")
        X, y = validate_data(
            self, self._floored(stack_spectra(X)), y, dtype=np.float64, y_numeric=True, ensure_min_samples=2
        )
        losses = np.asarray(y, dtype=np.float64)
        if self.target == "log" and losses.min() <= 0:
            raise UserError(f"losses go down to {losses.min():g}: target='log' expects them positive; or target='loss'")
        targets = np.log(losses) if self.target == "log" else losses
        self.mean_, self.scale_ = X.mean(axis=0), _positive(X.std(axis=0))
        self.target_mean_, self.target_scale_ = float(targets.mean()), float(_positive(targets.std()))
        self.takes_: TakenSpectra | None = None
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        generator = torch.Generator().manual_seed(seed)
        self.autoencoder_ = Autoencoder(X.shape[1], self.latent_size, generator)
        inputs = torch.from_numpy((X - self.mean_) / self.scale_)
        outputs = torch.from_numpy((targets - self.target_mean_) / self.target_scale_)
        order = torch.randperm(len(outputs), generator=generator)
        held_out = int(self.validation_fraction * len(order)) if len(order) >= 20 else 0
        training, validation = order[held_out:], order[:held_out] if held_out else order
        self.history_ = train_stages(
            self.autoencoder_,
            (inputs[training], outputs[training]),
            (inputs[validation], outputs[validation]),
            alphas=self.alphas,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            generator=generator,
        )
        codes = self._codes(X)
        self.pca_ = PCA(min(self.components, *codes.shape), svd_solver="full").fit(codes)
        self._orient(codes, self._standard_prediction(codes))
        self.median_ = float(np.median(self._project(codes)[:, 0]))
        return self

    def _orient(self, codes: np.ndarray, predicted: np.ndarray) -> None:
        """Turn every component so that it rises with the predicted loss."""
        projected = self.pca_.transform(codes)
        for index in range(projected.shape[1]):
            if np.dot(projected[:, index], predicted - predicted.mean()) < 0:
                self.pca_.components_[index] *= -1

    def transform(self, X: Any) -> np.ndarray:
        """Spectra (n, D) -> principal components (n, components); the first rises with the predicted loss."""
        return self._project(self.encode(X))

    def encode(self, X: Any) -> np.ndarray:
        """Spectra (n, D) -> latent codes (n, latent_size)."""
        return self._codes(self._checked(X))

    def decode(self, codes: Any) -> np.ndarray:
        """Latent codes (n, latent_size) -> spectra (n, D), nats per step."""
        check_is_fitted(self)
        with torch.no_grad():
            decoded = self.autoencoder_.decoder(torch.from_numpy(check_array(codes, dtype=np.float64))).numpy()
        return decoded * self.scale_ + self.mean_

    def predict(self, X: Any) -> np.ndarray:
        """Spectra (n, D) -> expected final losses (n,), nats."""
        predicted = self._standard_prediction(self.encode(X)) * self.target_scale_ + self.target_mean_
        return np.exp(predicted) if self.target == "log" else predicted

    def predict_high_accuracy(self, X: Any) -> np.ndarray:
        """Whether the first component is below its median over the fitted spectra (the paper's classifier): (n,)."""
        return self.transform(X)[:, 0] < self.median_

    def _floored(self, X: Any) -> Any:
        """-inf and all below the floor set to it; +inf and NaN stay, for the checks to refuse."""
        if isinstance(X, np.ndarray) and X.dtype.kind == "f":
            return np.where(self.floor > X, self.floor, X)
        if isinstance(X, list | tuple) and len(X) and all(isinstance(each, np.ndarray) for each in X):
            return self._floored(np.stack(X)) if len({each.shape for each in X}) == 1 else X
        return X

    def _checked(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        if self.takes_ is not None:
            self._check_taken(X)
        if isinstance(X, Sequence) and len(X) and all(np.ndim(each) == 1 for each in X):
            size = self.n_features_in_
            if any(np.size(each) != size for each in X) and len({np.size(each) for each in X}) > 1:
                X = np.stack([interpolate_spectrum(np.asarray(each), size) for each in X])
        return validate_data(self, self._floored(X), dtype=np.float64, reset=False)

    def _check_taken(self, X: Any) -> None:
        """Raise UserError where an array cannot be spectra of the kind that was fitted."""
        for each in X if isinstance(X, Sequence) else [X]:
            exponents = np.asarray(each)
            if not exponents.ndim or exponents.dtype.kind not in "fiu" or self.takes_ is None:
                continue  # refused below
            self.takes_.check(exponents=exponents.shape[-1])
            if np.any(exponents[..., :-1] < exponents[..., 1:]):
                raise UserError(f"spectra that rise: this AeLLE takes {self.takes_}")

    def _codes(self, X: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.autoencoder_.encoder(torch.from_numpy((X - self.mean_) / self.scale_)).numpy()

    def _project(self, codes: np.ndarray) -> np.ndarray:
        return self.pca_.transform(codes)

    def _standard_prediction(self, codes: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.autoencoder_.predictor(torch.from_numpy(codes)).squeeze(-1).numpy()

    def save(self, path: Place | str) -> Place:
        """Write the fitted model as safetensors to a path or an address, whole or not at all; no pickle."""
        check_is_fitted(self)
        tensors = {f"autoencoder/{name}": value for name, value in self.autoencoder_.state_dict().items()}
        arrays = {
            "mean": self.mean_, "scale": self.scale_, "history": np.array(self.history_),
            "components": self.pca_.components_, "center": self.pca_.mean_,
            "explained_variance": self.pca_.explained_variance_,
            "explained_variance_ratio": self.pca_.explained_variance_ratio_,
        }  # fmt: skip
        tensors |= {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()}
        parameters = {**self.get_params(), "alphas": list(self.alphas)}
        if not isinstance(self.random_state, int):
            parameters["random_state"] = None
        scalars = {"target_mean": self.target_mean_, "target_scale": self.target_scale_, "median": self.median_}
        metadata = {"format": _FORMAT, "parameters": json.dumps(parameters), "scalars": json.dumps(scalars)}
        if self.takes_ is not None:
            metadata["takes"] = json.dumps(dataclasses.asdict(self.takes_))
        return write_atomically(place(path), lambda temporary: save_file(tensors, temporary, metadata))

    @classmethod
    def load(cls, path: Place | str) -> "AeLLE":
        """Read a model that `save` wrote. Raises UserError naming the file when it is anything else."""
        tensors, metadata = read_safetensors(path, "a saved AeLLE")
        if metadata.get("format") != _FORMAT:
            raise UserError(f"{str(path)!r} has format {metadata.get('format')!r}: expected an AeLLE, {_FORMAT!r}")
        model = cls(**json.loads(metadata["parameters"]))
        model.alphas = tuple(model.alphas)
        scalars = json.loads(metadata["scalars"])
        arrays = {name: value.numpy() for name, value in tensors.items() if "/" not in name}
        model.mean_, model.scale_, model.history_ = arrays["mean"], arrays["scale"], arrays["history"].tolist()
        model.target_mean_, model.target_scale_ = scalars["target_mean"], scalars["target_scale"]
        model.median_, model.n_features_in_ = scalars["median"], len(model.mean_)
        model.autoencoder_ = Autoencoder(len(model.mean_), model.latent_size, torch.Generator())
        state = {name.removeprefix("autoencoder/"): value for name, value in tensors.items() if "/" in name}
        model.autoencoder_.load_state_dict(state)
        model.pca_ = PCA(len(arrays["components"]), svd_solver="full")
        model.pca_.components_, model.pca_.mean_ = arrays["components"], arrays["center"]
        model.pca_.explained_variance_ = arrays["explained_variance"]
        model.pca_.explained_variance_ratio_ = arrays["explained_variance_ratio"]
        takes = json.loads(metadata.get("takes", "null"))
        model.takes_ = takes and TakenSpectra(**{**takes, "cells": tuple(takes["cells"])})
        return model

    @classmethod
    def from_pretrained(cls, name: str) -> "AeLLE":
        """A model that comes with the package, nothing is downloaded. What it was fitted to and must be given is
        `takes_`; where more is known of spectra than their numbers, `takes_.check(kind=..., steps=...)` compares it.
        Raises UserError, listing the names, when there is none of that name, and when its file has been changed."""
        with shipped_file(name, "model") as path:
            return cls.load(path)


def _positive(scale: Any) -> Any:
    """Standard deviations, with 1 for what does not vary."""
    return np.where(scale > 1e-12, scale, 1.0)
