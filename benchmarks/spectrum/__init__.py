"""The spectrum engine against its peers."""
