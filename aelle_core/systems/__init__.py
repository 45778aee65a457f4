"""Dynamical systems whose Lyapunov spectra are known: makers of data, and tests of what measures spectra."""

from aelle_core.systems.base import Flow, KnownExponents, KnownSystem, systems
from aelle_core.systems.lookup import get_system

__all__ = ["Flow", "KnownExponents", "KnownSystem", "get_system", "systems"]
