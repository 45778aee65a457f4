"""Nightly series: their history, and what has drifted since the night before."""
