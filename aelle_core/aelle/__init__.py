"""AeLLE: an autoencoder of spectra with a linear predictor of the loss, and PCA of its latent space."""

from aelle_core.aelle.estimator import AeLLE
from aelle_core.aelle.explaining import Explanation
from aelle_core.aelle.inputs import beside

__all__ = ["AeLLE", "Explanation", "beside"]
