"""The check for whole numbers that a user gives."""

from aelle_core.foundation.errors import UserError


def check_whole(label: str, value: object, low: int, high: int | None = None) -> None:
    """Raise UserError, naming the value, where it is no whole number of Python's from `low` to `high`, or of at least
    `low` without a `high`. Booleans do not count."""
    if isinstance(value, int) and not isinstance(value, bool) and low <= value and (high is None or value <= high):
        return
    bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
    raise UserError(f"{label}={value!r}: expected a whole number {bounds}")
