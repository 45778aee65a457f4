"""Starts that carry gradients over long delays, compared at equal cost."""
