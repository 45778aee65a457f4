"""Systems by name: those that are written here, and those of the package dysts."""

from aelle_core.systems.base import KnownSystem, systems
from aelle_core.systems.dysts import PREFIX, dysts_system


def get_system(name: str, *, interval: float | None = None, **parameters: float) -> KnownSystem:
    """Return the registered system `name`, or with "dysts:" before it one of the package dysts, with these parameters.

    >>> get_system("henon").published.exponents[0]
    0.41922

    Raises UserError, naming the known systems, where there is none of that name.
    """
    if name.startswith(PREFIX):
        return dysts_system(name.removeprefix(PREFIX))(interval=interval, **parameters)
    return systems[name](interval=interval, **parameters)
