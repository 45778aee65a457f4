"""Speed claims, one command each, with peers beside us in one run."""
