"""A population of leaky integrate-and-fire neurons beside the devices that feed it, counted."""

from __future__ import annotations

import numpy as np

from .arrays import Array
from .ledger import Count, Installed, Ledger


class Neurons:
    """Membranes v := decay v + current, that fire at a threshold and start again from 0.

    It counts `element`: one membrane read, advanced and written, so any technology that prices a
    host's elementwise work prices it, and `loihi_neurons` as digital neurons.
    """

    def __init__(
        self,
        n: int,
        *,
        decay: float,
        threshold: float,
        ledger: Ledger,
        name: str = "neurons",
        technology: str = "loihi_neurons",
    ) -> None:
        """Make n neurons. Raises ValueError for a decay outside 0 .. 1, a threshold not above 0."""
        if not 0 <= decay <= 1:
            raise ValueError(f"{name}: decay takes a number from 0 to 1, got {decay!r}")
        if not 0 < threshold < float("inf"):
            raise ValueError(f"{name}: threshold takes a finite number above 0, got {threshold!r}")
        self.n, self.name, self.ledger = n, name, ledger
        self.decay, self.threshold = decay, threshold
        settings = (("decay", decay), ("threshold", threshold))
        ledger.install(name, Installed("Neurons", technology, technology, n, n, settings))

    def step(self, v: Array, current: Array) -> Array:
        """Advance v (rows, n) by one step in place; return the spikes (rows, n), 0 or 1."""
        from .kernels.spiking import integrate

        spikes = np.empty_like(v)
        integrate(v, current, self.decay, self.threshold, spikes)
        self.ledger.record(self.name, "INTEGRATE", len(v), {"element": Count(v.size, v.size)})
        return spikes
