"""Errors, ranges, registry, random streams, threads, vector instructions: used by all rooms, importing none."""
