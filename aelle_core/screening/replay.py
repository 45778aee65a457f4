"""What each way of choosing networks would have found on a finished sweep, for a share of its price."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from sklearn.model_selection import KFold

from aelle_core.foundation.counting import counted
from aelle_core.foundation.errors import UserError
from aelle_core.screening.predictor import SpectrumPredictor
from aelle_core.screening.sweeps import Sweep

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2)
_ETA = 3
_FOLDS = 5
_ORDERS = 40

Scores = Mapping[str, np.ndarray]
"""Method -> (n,) losses that it expects of the networks of a fold before anything is trained."""


@dataclass(frozen=True)
class Replay:
    """Mean regret by method and share of the sweep's price: how far the loss of the chosen network is above the best
    of all, as a share of the best. `price` is what one spectrum costs, in epochs of training a network."""

    shares: tuple[float, ...]
    regret: Mapping[str, np.ndarray]
    spread: Mapping[str, np.ndarray]
    price: float

    @property
    def verdict(self) -> str:
        """Say whether a method that uses spectra has the least regret on average over the shares."""
        means = {method: float(values.mean()) for method, values in self.regret.items()}
        best = min(means, key=lambda method: means[method])
        return "spectra: worth it here" if "spectrum" in best else "spectra: not worth it here"


def replay(sweep: Sweep, *, price: float = 0.05, seed: int = 0, shares: tuple[float, ...] = SHARES) -> Replay:
    """Replay methods of choosing on a finished sweep, in five folds by network.

    In each fold the networks of the other folds are the finished sweep that the warm methods know. Methods: `random`;
    `one epoch` (half of the budget on first epochs, the best go on); `ASHA` (successive halving, eta 3, promoted as
    soon as a rung allows it; Li et al. 2020); `warm Gaussian process` on hyperparameters and the cell; `spectrum`
    before training, whose own price is paid; and both (the mean of their ranks).

    Raises UserError with fewer than 40 networks or 2 epochs, and for a price below 0.
    """
    count, epochs = len(sweep), sweep.losses.shape[1] - 1
    if count < 40 or epochs < 2:
        raise UserError(
            f"a replay on {counted(count, 'network')} and {counted(epochs, 'epoch')}: expected at least 40 networks "
            "and 2 epochs"
        )
    if not 0 <= price < np.inf:
        raise UserError(f"price={price!r}: expected epochs of training that one spectrum costs, 0 or more")
    regrets_by_method: dict[str, list[list[float]]] = {}
    for train, test in KFold(_FOLDS, shuffle=True, random_state=seed).split(np.arange(count)):
        known, asked = sweep.of(train), sweep.of(test)
        scores = _scores(known, asked, seed)
        final, best = asked.final_loss, asked.final_loss.min()
        for share in shares:
            budget = max(share * len(asked) * epochs, epochs)
            for method, choose in _methods(scores, price).items():
                source = np.random.default_rng([seed, int(1e6 * share)])
                regrets = [
                    final[choose(asked.losses, budget, source.permutation(len(asked)))] / best - 1
                    for _ in range(_ORDERS)
                ]
                regrets_by_method.setdefault(method, [[] for _ in shares])[shares.index(share)] += regrets
    table = {method: np.array(values) for method, values in regrets_by_method.items()}
    folds = np.sqrt(_FOLDS)
    return Replay(
        tuple(shares),
        {method: values.mean(axis=1) for method, values in table.items()},
        {
            method: values.reshape(len(shares), _FOLDS, -1).mean(axis=2).std(axis=1, ddof=1) / folds
            for method, values in table.items()
        },
        price,
    )


Choose = Callable[[np.ndarray, float, np.ndarray], int]
"""(losses (n, epochs + 1), budget in epochs, an order of the networks) -> the network that is chosen."""


def _methods(scores: Scores, price: float) -> dict[str, Choose]:
    methods: dict[str, Choose] = {"random": _random, "one epoch": _one_epoch, "ASHA": _asha}
    for name, expected in scores.items():
        methods[name] = _ranked(expected, price if "spectrum" in name else 0.0)
    return methods


def _random(losses: np.ndarray, budget: float, order: np.ndarray) -> int:
    trained = order[: max(1, int(budget / (losses.shape[1] - 1)))]
    return int(trained[losses[trained, -1].argmin()])


def _one_epoch(losses: np.ndarray, budget: float, order: np.ndarray) -> int:
    epochs = losses.shape[1] - 1
    tried = order[: max(1, int(budget / 2))]
    left = max(1, int((budget - len(tried)) / (epochs - 1)))
    finalists = tried[losses[tried, 1].argsort(kind="stable")[:left]]
    return int(finalists[losses[finalists, -1].argmin()])


def _asha(losses: np.ndarray, budget: float, order: np.ndarray) -> int:
    epochs = losses.shape[1] - 1
    rungs = [epochs]
    while rungs[0] > _ETA:
        rungs.insert(0, max(1, rungs[0] // _ETA))
    reached: list[list[int]] = [[] for _ in rungs]
    promoted: list[set[int]] = [set() for _ in rungs]
    waiting: Iterator[int] = iter(order.tolist())
    spent = 0.0
    while True:
        job = next(_promotable(losses, rungs, reached, promoted), None)
        if job is None:
            network = next(waiting, None)
            if network is None:
                break
            job = (0, network)
        rung, network = job
        cost = rungs[rung] - (rungs[rung - 1] if rung else 0)
        if spent + cost > budget and spent > 0:
            break
        spent += cost
        reached[rung].append(network)
        if rung:
            promoted[rung - 1].add(network)
    top = max(rung for rung, networks in enumerate(reached) if networks)
    best: list[int] = sorted(reached[top], key=lambda network: float(losses[network, rungs[top]]))
    return best[0]


def _promotable(
    losses: np.ndarray, rungs: list[int], reached: list[list[int]], promoted: list[set[int]]
) -> Iterator[tuple[int, int]]:
    """Yield (rung, network) for the networks that may go on to a rung, highest rung first."""
    for rung in range(len(rungs) - 2, -1, -1):
        best = sorted(reached[rung], key=lambda network: float(losses[network, rungs[rung]]))
        for network in best[: len(reached[rung]) // _ETA]:
            if network not in promoted[rung]:
                yield rung + 1, network


def _ranked(expected: np.ndarray, price: float) -> Choose:
    def choose(losses: np.ndarray, budget: float, order: np.ndarray) -> int:
        epochs = losses.shape[1] - 1
        asked = order if not price else order[: max(1, int(min(len(order), budget / 2 / price)))]
        left = max(1, int((budget - price * len(asked)) / epochs))
        finalists = asked[expected[asked].argsort(kind="stable")[:left]]
        return int(finalists[losses[finalists, -1].argmin()])

    return choose


def _scores(known: Sweep, asked: Sweep, seed: int) -> Scores:
    predictor = SpectrumPredictor(seed=seed).fit(known)
    spectrum = predictor.predict(asked.spectra, asked.learning_rates if predictor.uses_rate_ else None).loss
    process = _gaussian_process(known, asked, seed)
    return {
        "warm Gaussian process": process,
        "spectrum": spectrum,
        "Gaussian process and spectrum": _rank(process) + _rank(spectrum),
    }


def _rank(values: np.ndarray) -> np.ndarray:
    return values.argsort(kind="stable").argsort(kind="stable").astype(float)


def _gaussian_process(known: Sweep, asked: Sweep, seed: int) -> np.ndarray:
    names = sorted({name for drawn in known.hyperparameters for name in drawn})
    cells = sorted(set(known.cells.tolist()) | set(asked.cells.tolist()))

    def columns(sweep: Sweep) -> np.ndarray:
        drawn = np.array([[drawn_values.get(name, np.nan) for name in names] for drawn_values in sweep.hyperparameters])
        with np.errstate(invalid="ignore", divide="ignore"):
            drawn = np.where(drawn > 0, np.log(drawn), drawn)
        return np.column_stack([drawn, [[cell == own for cell in cells] for own in sweep.cells]]).astype(float)

    columns_known, columns_asked = columns(known), columns(asked)
    center = np.nanmean(columns_known, axis=0)
    scale = np.nanstd(columns_known, axis=0)
    columns_known, columns_asked = (
        np.where(np.isnan(rows), 0.0, (rows - center) / np.where(scale > 1e-12, scale, 1.0))
        for rows in (columns_known, columns_asked)
    )
    kernel = ConstantKernel() * Matern(np.ones(columns_known.shape[1]), (1e-1, 1e3), nu=2.5) + WhiteKernel(0.1)
    process = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(columns_known, np.log(known.final_loss))
    predicted: np.ndarray = process.predict(columns_asked)
    return predicted
