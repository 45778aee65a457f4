"""The extras of the package: which packages belong to each, and one sentence where they are not installed."""

from collections.abc import Mapping
from importlib.util import find_spec

from aelle_core.foundation.errors import UserError

EXTRAS: Mapping[str, tuple[str, ...]] = {
    "studies": ("prefect", "ray", "fastapi", "pydantic_settings"),
    "embeddings": ("umap",),
    "systems": ("dysts",),
    "benchmarks": ("clvlib", "threadpoolctl", "pynamicalsys", "lyapynov", "jax"),
}
"""Extra -> the modules that it brings and the core does not."""


def require(extra: str, what: str) -> None:
    """Raise UserError unless the modules of an extra are installed; `what` needs them."""
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        raise UserError(
            f"{what} needs aelle[{extra}]: pip install 'aelle[{extra}]' (not installed: {', '.join(missing)})"
        )
