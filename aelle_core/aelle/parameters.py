"""AeLLE's parameters: the paper's values, and the ranges outside of which one is refused."""

import math
from typing import TYPE_CHECKING, Any

from aelle_core.aelle.targets import TARGETS
from aelle_core.foundation.errors import UserError

if TYPE_CHECKING:
    from aelle_core.aelle.estimator import AeLLE

PUBLISHED: dict[str, Any] = {
    "members": 1, "alphas": (200.0, 200.0, 300.0, 400.0), "steps": 500, "learning_rate": 2e-3, "decays": False,
    "weight_decay": 0.0, "batch_size": 128, "scale": None, "floor": -6.0, "target": "loss", "keep": "best",
}  # fmt: skip
"""Vogt, Zheng, Shlizerman 2024, section 3: the loss itself, one network, rising alphas, the best state."""


def check_parameters(model: "AeLLE") -> None:
    """Raise UserError, in one sentence, for the first parameter that is out of its range."""
    for name in ("latent_size", "components", "members"):
        _whole(name, getattr(model, name))
    for name, values in (("alphas", model.alphas), ("known", model.known)):
        if isinstance(values, str) or not hasattr(values, "__len__"):
            raise UserError(f"{name}={values!r}: expected a sequence")
    if not len(model.alphas) or not all(_number(alpha) and alpha > 0 for alpha in model.alphas):
        raise UserError(f"alphas={model.alphas!r}: expected numbers above 0")
    offered = model.steps if hasattr(model.steps, "__len__") else (model.steps,)
    if isinstance(offered, str) or not len(offered):
        raise UserError(f"steps={model.steps!r}: expected a whole number above 0, or several")
    for steps in offered:  # type: ignore[union-attr]
        _whole("steps", steps)
    if model.batch_size not in (None, "auto"):
        _whole("batch_size", model.batch_size)
    for name, low, high, expected in (
        ("learning_rate", 0.0, 1.0, "a number above 0, below 1"),
        ("weight_decay", -1e-300, 1e3, "a number from 0 to 1000"),
        ("floor", -math.inf, 0.0, "a finite number below 0"),
        ("validation_fraction", 0.0, 1.0, "a share between 0 and 1"),
    ):
        value = getattr(model, name)
        if not (_number(value) and low < value < high):
            raise UserError(f"{name}={value!r}: expected {expected}")
    if model.learning_rate * model.weight_decay >= 1:
        raise UserError(
            f"learning_rate={model.learning_rate!r} with weight_decay={model.weight_decay!r}: expected less"
        )
    if model.scale is not None and not (_number(model.scale) and model.scale > 0):
        raise UserError(f"scale={model.scale!r}: expected a number above 0, or None")
    if model.target not in TARGETS:
        raise UserError(f"target={model.target!r}: expected {', '.join(map(repr, TARGETS))}")
    if model.keep not in ("last", "best"):
        raise UserError(f"keep={model.keep!r}: expected 'last' or 'best'")


def _whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise UserError(f"{name}={value!r}: expected a whole number above 0")


def _number(value: Any) -> bool:
    return not isinstance(value, bool | str) and hasattr(value, "__float__") and math.isfinite(value)
