"""The store at scale."""
