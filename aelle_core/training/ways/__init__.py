"""Ways to run a pack along sequences with gradients: the same numbers, at different speeds."""

from aelle_core.training.ways.base import Readout, Way, available_ways, check_way, get_way, ways

__all__ = ["Readout", "Way", "available_ways", "check_way", "get_way", "ways"]
