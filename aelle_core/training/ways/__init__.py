"""Ways to run a pack along sequences with gradients: the same numbers, at different speeds."""

from aelle_core.training.ways.base import Way, available_ways, get_way, ways

__all__ = ["Way", "available_ways", "get_way", "ways"]
