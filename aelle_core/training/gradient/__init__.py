"""Packs trained by Adam on mini-batches."""
