"""Atomic files, local paths and buckets, locks."""
