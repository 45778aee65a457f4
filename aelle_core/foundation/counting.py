"""Counts in sentences."""


def counted(number: int | str, noun: str, plural: str | None = None) -> str:
    """Return the number with its noun in the right form: "1 network", "3 networks".

    A number as text stays as it is written. `plural` is needed where it is not the noun with an s.

    Example:
        >>> counted(1, "network"), counted(0, "spectrum", "spectra"), counted("2.5", "step")
        ('1 network', '0 spectra', '2.5 steps')
    """
    return f"{number} {noun if str(number) == '1' else plural or noun + 's'}"
