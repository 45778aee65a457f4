"""Seeded, disjoint splits of networks."""
