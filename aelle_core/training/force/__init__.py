"""FORCE: readouts learned by recursive least squares."""
