"""Jacobians, tangents and factorisations: the arithmetic of a spectrum."""
