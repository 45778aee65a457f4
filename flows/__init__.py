"""Prefect flows that fan out Ray tasks over packs of networks, and the command `aelle`."""
