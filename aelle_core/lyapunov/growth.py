"""What tangents did along trajectories, of packs of networks and of many sequences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Growth:
    """What tangents did over `steps` counted steps of (networks, sequences) trajectories.

    logarithms    (networks, sequences, k) sums of log |r|
    errors        (networks, sequences, k) nats per step that rounding may have changed, infinite where a number has
                  underflowed; None where not asked for
    ceilings      (networks, sequences, k) sums that the logarithms are below even so: spoilt numbers are at most as
                  large as rounding, or as what underflows, makes them
    residuals     (networks, sequences) largest |sum of log |r| - log |det J|| of checked steps; NaN where k < size
    finite        (networks, sequences) whether states and Jacobians were
    spreads       (networks, sequences) nats from the least to the largest log |r| of a step, or of several that a
                  kernel has put together, where they are furthest apart
    paces         (networks, sequences) nats by which two steps spread log |r|, on average over a few steps, where that
                  is most
    rises         (networks, sequences) nats that the fastest tangents have grown by between any two steps, where that
                  is most; the warm-up counts, too
    margins       (networks, sequences) the least size of a switching function: how near a step came to a kink
    strays        (networks, sequences) the largest distance of a disturbed copy's switching functions from the
                  trajectory's; 0 where there is no copy. Paces, rises, margins and strays are told where few sequences
                  have copies, and mean nothing elsewhere
    batches       (networks, batches, k) mean log |r| of stretches of a single sequence; None for several sequences, or
                  too few steps
    running       (records, networks, sequences, k) finite-time exponents after `running_steps`; both None or given
    lengths       (sequences,) counted steps of each, of which `steps` is the largest; None where all are alike
    """

    logarithms: Tensor
    errors: Tensor | None
    ceilings: Tensor
    residuals: Tensor
    finite: Tensor
    spreads: Tensor
    paces: Tensor
    rises: Tensor
    margins: Tensor
    strays: Tensor
    steps: int
    batches: Tensor | None = None
    running: Tensor | None = None
    running_steps: Tensor | None = None
    lengths: Tensor | None = None

    def per_step(self, sums: Tensor) -> Tensor:
        """Return sums (..., sequences, k) over the counted steps as means."""
        return sums / (self.steps if self.lengths is None else self.lengths.to(sums).unsqueeze(-1))

    def of_networks(self, networks: Sequence[int]) -> "Growth":
        """Return the growth of some networks of a pack, as a pack of them."""
        chosen = list(networks)
        kept: dict[str, Any] = {name: values[chosen] for name, values in self._by_sequence().items()}
        batches = None if self.batches is None else self.batches[chosen]
        running = None if self.running is None else self.running[:, chosen]
        return replace(self, **kept, batches=batches, running=running)

    def of_sequences(self, order: Tensor) -> "Growth":
        """Return the growth along the sequences of those numbers, (sequences,), in that order; without `running`."""
        kept: dict[str, Any] = {
            name: values[:, order.to(values.device)] for name, values in self._by_sequence().items()
        }
        return replace(self, **kept, batches=None, running=None, running_steps=None)

    def with_sequences(self, places: Sequence[int], others: "Growth") -> "Growth":
        """Return the same with what another growth has along all its sequences at those places; both have errors, or
        neither, and both `running`, or neither."""
        kept: dict[str, Any] = {name: values.clone() for name, values in self._by_sequence().items()}
        for name, values in others._by_sequence().items():
            kept[name][:, list(places)] = values
        if self.running is not None and others.running is not None:
            kept["running"] = self.running.clone()
            kept["running"][:, :, list(places)] = others.running
        return replace(self, **kept)

    def _by_sequence(self) -> dict[str, Tensor]:
        return {name: getattr(self, name) for name in _BY_SEQUENCE if getattr(self, name) is not None}

    @staticmethod
    def joined(parts: Sequence["Growth"]) -> "Growth":
        """Return the growth of the same networks along the sequences of all parts, one part after the other.

        Either all parts have errors, or none. `steps` is the largest of the parts', and what one sequence alone has,
        `batches`, is left out.
        """
        values = [part._by_sequence() for part in parts]
        sequences: dict[str, Any] = {
            name: torch.cat([of_part[name] for of_part in values], dim=1) for name in values[0]
        }
        records = [part.running for part in parts if part.running is not None]
        running = torch.cat(records, dim=2) if len(records) == len(parts) else None
        return replace(parts[0], **sequences, steps=max(part.steps for part in parts), batches=None, running=running)


_BY_SEQUENCE = (
    "logarithms",
    "errors",
    "ceilings",
    "residuals",
    "finite",
    "spreads",
    "paces",
    "rises",
    "margins",
    "strays",
)
