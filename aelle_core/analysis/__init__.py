"""Finished studies -> tables, models, reports, and what ships."""
