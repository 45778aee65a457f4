"""Dynamical systems whose Lyapunov spectra are known: makers of data, and tests of what measures spectra."""

from aelle_core.systems.base import Flow, KnownExponents, KnownSystem, get_system, systems

__all__ = ["Flow", "KnownExponents", "KnownSystem", "get_system", "systems"]
