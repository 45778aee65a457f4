"""Studies under random kills of workers, nodes, servers and flows, checked against undisturbed ones."""
