"""AeLLE: principal components of a latent space of Lyapunov spectra, as a scikit-learn estimator."""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.utils import Tags, assert_all_finite, check_array, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from aelle_core.aelle import saving
from aelle_core.aelle.accepted_spectra import TakenSpectra, check_taken
from aelle_core.aelle.autoencoder import Autoencoders
from aelle_core.aelle.explaining import explain_predictions
from aelle_core.aelle.familiarity import Familiarity
from aelle_core.aelle.inputs import Inputs, stack_spectra
from aelle_core.aelle.parameters import PUBLISHED, check_parameters
from aelle_core.aelle.targets import Target, TargetName
from aelle_core.aelle.training import BatchSize, Schedule, Shares, train
from aelle_core.files.places import Place
from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError, first_line
from aelle_core.pretrained import shipped_file

_FEW = 20
"""With fewer spectra than these nothing is held out."""


class AeLLE(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Autoencoders of spectra with a linear predictor of the final loss, and the PCA of their latent codes.

        model = AeLLE(random_state=0).fit(spectra, losses)
        model.transform(spectra)                      # (n, 2): the plane; the first rises with the predicted loss
        model.predict(spectra, return_interval=True)  # losses in nats, lower and upper end of the 90 % interval
        model.distance(spectra)                       # above 1: unlike all that was fitted
        model.explain(spectra)                        # which latent dimensions, and which exponents, carry it

    latent_size          dimensions of a network's code
    components           principal components that `transform` returns
    members              networks, each fitted to all spectra but its share; their codes are joined by the PCA and
                         their predictions averaged. Refits with other seeds then agree, and what each was kept from
                         gives `steps`, and the width of intervals
    alphas               weight of the prediction error against the reconstruction error, stage by stage
    steps                updates; of several numbers the one whose predictions rank best what members were kept from:
                         on some 200 spectra of a hard task 300 steps overfit
    learning_rate, decays   of AdamW; it falls to zero as a half cosine, which leaves no noise of the last updates
    weight_decay         on the predictor's weights alone: without it a code of small variance times a large weight
                         fits the loss as well, and the first component speaks of something else
    batch_size           spectra of an update: None for all, whose gradient has no noise, or so many, drawn for each;
                         "auto" is all up to 512, and 256 of more, which rank as well and take half the time
    scale                exponents enter as asinh(exponent / scale): differences near zero, where dynamics change, and
                         the order of magnitude far below; None for the exponents themselves
    floor                nats per step that exponents below it, -inf of dead directions included, are set to
    target               "rank": the rank of the loss in [-1, 1] is regressed, mapped back by the fitted losses: no
                         diverged network rules the fit; "log" or "loss" (the paper's): the logarithm, or the loss
    keep                 the "last" state, or the "best" on what was held out, a noisy choice on few networks
    validation_fraction  what a single member is kept from, to choose its state
    known                names of the last columns of X that are no exponents, as `beside` makes them
    random_state         decides the weights, the shares and the order of batches

    Spectra are (n, D) in nats per step, descending, or a list of spectra of different lengths, which are interpolated
    to the longest. Fitted attributes: autoencoder_, pca_, steps_, history_ (objective on what was held out, twenty
    times through training), errors_ (of predictions for what members were kept from), n_features_in_, and takes_, a
    TakenSpectra where it is known which spectra they were.
    Vogt, Zheng, Shlizerman 2024, section 3; their own settings: `AeLLE.as_published()`.
    """

    def __init__(
        self,
        latent_size: int = 32,
        components: int = 2,
        members: int = 5,
        alphas: Sequence[float] = (300.0,),
        steps: int | Sequence[int] = (60, 300),
        learning_rate: float = 5e-3,
        decays: bool = True,
        weight_decay: float = 20.0,
        batch_size: BatchSize = "auto",
        scale: float | None = 0.05,
        floor: float = -40.0,
        target: TargetName = "rank",
        keep: Literal["last", "best"] = "last",
        validation_fraction: float = 0.15,
        known: Sequence[str] = (),
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.latent_size = latent_size
        self.components = components
        self.members = members
        self.alphas = alphas
        self.steps = steps
        self.learning_rate = learning_rate
        self.decays = decays
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.scale = scale
        self.floor = floor
        self.target = target
        self.keep = keep
        self.validation_fraction = validation_fraction
        self.known = known
        self.random_state = random_state

    @classmethod
    def as_published(cls, **changes: Any) -> Self:
        """Return the paper's estimator: one network, exponents and losses as they come, alpha raised in stages."""
        return cls(**{**PUBLISHED, **changes})

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.one_d_labels = True
        tags.target_tags.positive_only = self.target == "log"
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to spectra (n, D) and final losses (n,) in nats.

        Raises ValueError when a spectrum holds NaN or +inf, when losses are not finite, or not positive with
        target="log", and UserError for a parameter out of its range and where training diverges.
        """
        check_parameters(self)
        X, y = validate_data(
            self, stack_spectra(X), y, dtype=np.float64, y_numeric=True, ensure_min_samples=2, ensure_all_finite=False
        )
        assert_all_finite(self._floored(X), input_name="X")
        if len(self.known) >= X.shape[1]:
            raise UserError(
                f"known={self.known!r} with {counted(X.shape[1], 'column')}: expected a spectrum before them"
            )
        losses = np.asarray(y, dtype=np.float64)
        self.takes_: TakenSpectra | None = None
        self.target_ = Target.fitted(self.target, losses)
        self.inputs_ = Inputs.fitted(X, self.floor, self.scale, len(self.known))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        inputs, targets = self.inputs_(X), self.target_.standard(losses)
        self._train(inputs, targets, torch.Generator().manual_seed(seed))
        self.familiarity_ = Familiarity.fitted(inputs)
        codes = self._member_codes(inputs)
        joined = self.autoencoder_.join(codes).numpy()
        self.pca_ = PCA(min(self.latent_size, *joined.shape), svd_solver="full").fit(joined)
        self._orient(self.pca_.transform(joined), self._standard_prediction(codes))
        self._n_features_out = min(self.components, len(self.pca_.components_))
        self.median_ = float(np.median(self.pca_.transform(joined)[:, 0]))
        return self

    def _train(self, inputs: np.ndarray, targets: np.ndarray, generator: torch.Generator) -> None:
        """Fit the members, with each number of steps; keep those whose predictions rank best what was held out."""
        shares = self._shares(
            torch.from_numpy(inputs).float(),
            torch.from_numpy(targets).float(),
            torch.randperm(len(targets), generator=generator),
        )
        held_out = bool(shares.held_out.any())
        offered = [self.steps] if isinstance(self.steps, int) else sorted(self.steps)
        best = -np.inf
        for steps in offered if held_out else offered[-1:]:
            model = Autoencoders.drawn(self.members, inputs.shape[1], self.latent_size, generator, torch.float32)
            schedule = Schedule(
                tuple(self.alphas), steps, self.learning_rate, self.decays, self.weight_decay, self.batch_size
            )
            every = max(1, steps // 20)
            history = train(model, shares, schedule, generator, keep_best=self.keep == "best", every=every)
            predicted = shares.held_out_predictions(model)
            ranked = _correlation(predicted, targets[shares.held_out.any(0).numpy()])
            if ranked > best:
                best, self.autoencoder_, self.history_, self.steps_ = ranked, model.to(torch.float64), history, steps
                self.errors_ = np.sort(np.abs(predicted - targets[shares.held_out.any(0).numpy()]))

    def _shares(self, inputs: torch.Tensor, targets: torch.Tensor, order: torch.Tensor) -> Shares:
        if self.members > 1 and len(order) >= max(_FEW, self.members):
            return Shares.folded(inputs, targets, order.tensor_split(self.members))
        held_out = int(self.validation_fraction * len(order)) if self._holds_out(len(order)) else 0
        return Shares.folded(inputs, targets, [order[:held_out]] * self.members)

    def _holds_out(self, count: int) -> bool:
        choosing = self.keep == "best" or not (isinstance(self.steps, int) or len(self.steps) == 1)
        return self.members == 1 and choosing and count >= _FEW

    def _orient(self, projected: np.ndarray, predicted: np.ndarray) -> None:
        """Turn every component so that it rises with the predicted loss."""
        for index in range(projected.shape[1]):
            if np.dot(projected[:, index], predicted - predicted.mean()) < 0:
                self.pca_.components_[index] *= -1

    def transform(self, X: Any) -> np.ndarray:
        """Spectra (n, D) -> principal components (n, components); the first rises with the predicted loss."""
        return self.encode(X)[:, : self._n_features_out]

    def encode(self, X: Any) -> np.ndarray:
        """Spectra (n, D) -> latent codes (n, latent_size): all principal components of the members' joined codes."""
        return self.pca_.transform(self.autoencoder_.join(self._member_codes(self._inputs(X))).numpy())

    def decode(self, codes: Any) -> np.ndarray:
        """Latent codes (n, latent_size) -> spectra (n, D), nats per step: the mean of what the members decode."""
        check_is_fitted(self)
        joined = self.pca_.inverse_transform(check_array(codes, dtype=np.float64))
        with torch.no_grad():
            decoded = self.autoencoder_.decode(self.autoencoder_.split(torch.from_numpy(joined))).mean(0).numpy()
        return self.inputs_.back(decoded)

    def predict(self, X: Any, *, return_interval: bool = False, level: float = 0.9) -> Any:
        """Spectra (n, D) -> expected final losses (n,), nats; with `return_interval` losses, lower and upper ends.

        The interval holds the loss of a network like the fitted ones with probability `level`: its half width is that
        quantile of the errors for networks that members were kept from. Where a spectrum is unlike all that was fitted
        (`distance` above 1) it is the whole range of fitted losses.
        Raises UserError where nothing was held out.
        """
        inputs = self._inputs(X)
        predicted = self._standard_prediction(self._member_codes(inputs))
        losses = self.target_.loss(predicted)
        if not return_interval:
            return losses
        if not 0 < level < 1:
            raise UserError(f"level={level!r}: expected a probability between 0 and 1")
        if not len(self.errors_):
            raise UserError(f"an interval from a fit that held out nothing: expected at least {_FEW} spectra")
        rank = min(len(self.errors_), int(np.ceil((len(self.errors_) + 1) * level))) - 1
        half = self.errors_[rank]
        low, high = self.target_.loss(predicted - half), self.target_.loss(predicted + half)
        unlike = self.familiarity_.distance(inputs) > 1
        lowest, largest = self.target_.all
        return losses, np.where(unlike, np.minimum(low, lowest), low), np.where(unlike, np.maximum(high, largest), high)

    def distance(self, X: Any) -> np.ndarray:
        """Spectra (n, D) -> how far each is from the nearest fitted one (n,), in units of the distance that 99 % of the
        fitted ones keep from their own nearest neighbour: above 1 a spectrum is unlike all that is known."""
        return self.familiarity_.distance(self._inputs(X))

    def score(self, X: Any, y: Any) -> float:
        """Return Spearman's rank correlation between predicted and final losses (n,): 1 is perfect, 0 is chance."""
        return _correlation(self.predict(X), np.asarray(y, dtype=np.float64))

    def predict_high_accuracy(self, X: Any) -> np.ndarray:
        """Return whether the first component is below its median over the fitted spectra (the paper's classifier):
        (n,)."""
        return self.encode(X)[:, 0] < self.median_

    explain = explain_predictions

    def _floored(self, X: np.ndarray) -> np.ndarray:
        """-inf and all below the floor set to it, in the exponents; +inf and NaN stay, for the checks to refuse."""
        count = X.shape[1] - len(self.known)
        return np.concatenate([np.where(self.floor > X[:, :count], self.floor, X[:, :count]), X[:, count:]], axis=1)

    def _inputs(self, X: Any) -> np.ndarray:
        """Return checked spectra, as the networks see them."""
        check_is_fitted(self)
        if self.takes_ is not None:
            check_taken(self.takes_, X, len(self.known))
        X = stack_spectra(X, self.n_features_in_)
        X = validate_data(self, X, dtype=np.float64, reset=False, ensure_all_finite=False)
        assert_all_finite(self._floored(X), input_name="X")
        return self.inputs_(X)

    def _member_codes(self, inputs: np.ndarray) -> torch.Tensor:
        with torch.no_grad():
            return self.autoencoder_.encode(torch.from_numpy(inputs))

    def _standard_prediction(self, codes: torch.Tensor) -> np.ndarray:
        with torch.no_grad():
            return self.autoencoder_.predict(codes).mean(0).numpy()

    def save(self, path: Place | str) -> Place:
        """Write the fitted model as safetensors to a path or an address, whole or not at all; no pickle."""
        check_is_fitted(self)
        return saving.save(self, path)

    @classmethod
    def load(cls, path: Place | str) -> "AeLLE":
        """Read a model that `save` wrote. Raises UserError naming the file when it is anything else."""
        try:
            parameters, restore = saving.load(path)
            return restore(cls(**parameters))
        except UserError:
            raise
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            why = f"{type(error).__name__}: {first_line(error)}"
            raise UserError(f"{str(path)!r} is not whole ({why}): expected a saved AeLLE") from error

    @classmethod
    def from_pretrained(cls, name: str) -> "AeLLE":
        """Return a model that comes with the package, nothing is downloaded. What it was fitted to and must be given is
        `takes_`; where more is known of spectra than their numbers, `takes_.check(kind=..., steps=...)` compares it.
        Raises UserError, listing the names, when there is none of that name, and when its file has been changed."""
        with shipped_file(name, "model") as path:
            return cls.load(path)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rank correlation; 0 where one of the two does not vary."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)
