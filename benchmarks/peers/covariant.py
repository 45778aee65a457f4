"""clvlib (PyPI), a library for Lyapunov exponents and covariant vectors, used as its page says: a map f, its Jacobian
Df, the "discrete" stepper. It takes one sequence at a time, and stores Q, R and the exponents of every step."""

import functools

import clvlib.numpy
import clvlib.numpy.integrators
import numpy as np
import torch
from torch import Tensor

from aelle_core.cells import Network

# Its progress bar would cost it time and write over ours.
clvlib.numpy.integrators.tqdm = functools.partial(clvlib.numpy.integrators.tqdm, disable=True)


def clvlib_spectrum(network: Network, inputs: Tensor) -> Tensor:
    """(batch, N) exponents of a tanh network (cell `rnn`), nats per step. Its Jacobian is derived by hand and made from
    the state in numpy."""
    weights = {name: value[0].numpy() for name, value in network.prepare(torch.float64).items()}
    W, U, b = weights["W"], weights["U"], weights["b"][0]
    times = np.arange(inputs.shape[1] + 1, dtype=float)

    def spectrum(sequence: np.ndarray) -> np.ndarray:
        def step(time: float, state: np.ndarray) -> np.ndarray:
            return np.tanh(W @ sequence[int(time)] + U @ state + b)

        def jacobian(time: float, state: np.ndarray) -> np.ndarray:
            return (1 - step(time, state) ** 2)[:, None] * U

        start = np.zeros(len(U))
        return clvlib.numpy.lyap_exp_from_ic(step, jacobian, start, times, stepper="discrete")[0]

    return torch.from_numpy(np.stack([spectrum(sequence) for sequence in inputs.numpy()]))
