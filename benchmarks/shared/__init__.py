"""Timing, devices, pages and drawings that all benchmarks use."""
