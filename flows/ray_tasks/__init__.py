"""Ray tasks and how they are fanned out."""
