"""The spectra dataset: schema, fragments, listing, compaction."""

from aelle_core.store.dataset import SpectraStore

__all__ = ["SpectraStore"]
