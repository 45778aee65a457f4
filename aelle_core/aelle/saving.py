"""Fitted AeLLE models in safetensors files."""

import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.decomposition import PCA

from aelle_core.aelle.accepted_spectra import TakenSpectra
from aelle_core.aelle.autoencoder import Autoencoders
from aelle_core.aelle.familiarity import Familiarity
from aelle_core.aelle.inputs import Inputs
from aelle_core.aelle.targets import Target
from aelle_core.files.atomic import read_safetensors, write_atomically
from aelle_core.files.places import Place, place
from aelle_core.foundation.errors import UserError

if TYPE_CHECKING:
    from aelle_core.aelle.estimator import AeLLE

_FORMAT = "aelle-model-2"
_SEQUENCES = ("alphas", "known")


def save(model: "AeLLE", path: Place | str) -> Place:
    """Write a fitted model, whole or not at all."""
    from safetensors.torch import save_file  # heavy: not needed to fit

    arrays = {
        "autoencoder": model.autoencoder_.parameters.float().numpy(),  # what training computed, in its precision
        "mean": model.inputs_.mean, "deviation": model.inputs_.deviation,
        "losses": model.target_.losses, "positions": model.target_.positions,
        "history": np.array(model.history_), "errors": model.errors_.astype(np.float32),
        "components": model.pca_.components_, "center": model.pca_.mean_,
        "explained_variance": model.pca_.explained_variance_,
        "explained_variance_ratio": model.pca_.explained_variance_ratio_,
        "known_center": model.familiarity_.center, "known_axes": model.familiarity_.axes,
        "known": model.familiarity_.known.astype(np.float32),
    }  # fmt: skip
    parameters: dict[str, Any] = {**model.get_params(), **{name: list(getattr(model, name)) for name in _SEQUENCES}}
    parameters["steps"] = model.steps if isinstance(model.steps, int) else list(model.steps)
    if not isinstance(model.random_state, int):
        parameters["random_state"] = None
    scalars = {
        "target_mean": model.target_.mean, "target_scale": model.target_.scale, "median": model.median_,
        "reach": model.familiarity_.reach, "steps": model.steps_,
    }  # fmt: skip
    metadata = {"format": _FORMAT, "parameters": json.dumps(parameters), "scalars": json.dumps(scalars)}
    if model.takes_ is not None:
        metadata["takes"] = json.dumps(dataclasses.asdict(model.takes_))
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()}
    return write_atomically(place(path), lambda temporary: save_file(tensors, temporary, metadata))


def load(path: Place | str) -> tuple[dict[str, Any], Callable[["AeLLE"], "AeLLE"]]:
    """Return the parameters of a saved model, and what fills a model of these with all that was fitted."""
    tensors, metadata = read_safetensors(path, "a saved AeLLE")
    if metadata.get("format") != _FORMAT:
        raise UserError(
            f"{str(path)!r} has format {metadata.get('format')!r}: expected an AeLLE, {_FORMAT!r}; fit older ones again"
        )
    parameters = json.loads(metadata["parameters"])
    for name in (*_SEQUENCES, "steps"):
        parameters[name] = tuple(parameters[name]) if isinstance(parameters[name], list) else parameters[name]
    arrays = {name: value.numpy() for name, value in tensors.items() if name != "autoencoder"}
    scalars, takes = json.loads(metadata["scalars"]), json.loads(metadata.get("takes", "null"))

    def restore(model: "AeLLE") -> "AeLLE":
        size = len(arrays["mean"])
        model.n_features_in_, model.median_, model.steps_ = size, scalars["median"], scalars["steps"]
        model.history_, model.errors_ = arrays["history"].tolist(), arrays["errors"].astype(np.float64)
        model.inputs_ = Inputs(model.floor, model.scale, len(model.known), arrays["mean"], arrays["deviation"])
        standard = (scalars["target_mean"], scalars["target_scale"])
        model.target_ = Target(model.target, arrays["losses"], arrays["positions"], *standard)
        model.autoencoder_ = Autoencoders(model.members, size, model.latent_size, tensors["autoencoder"].double())
        known = arrays["known"].astype(np.float64)
        model.familiarity_ = Familiarity(arrays["known_center"], arrays["known_axes"], known, scalars["reach"])
        model.pca_ = PCA(len(arrays["components"]), svd_solver="full")
        model.pca_.components_, model.pca_.mean_ = arrays["components"], arrays["center"]
        model.pca_.explained_variance_ = arrays["explained_variance"]
        model.pca_.explained_variance_ratio_ = arrays["explained_variance_ratio"]
        model._n_features_out = min(model.components, len(arrays["components"]))
        model.takes_ = takes and TakenSpectra(**{**takes, "cells": tuple(takes["cells"])})
        return model

    return parameters, restore
