"""A liquid state machine's liquid: a fixed random matrix that feeds neurons, and they it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..devices import Device
from ..devices.arrays import Array
from ..devices.neurons import Neurons


@dataclass(frozen=True, eq=False)
class Liquid:
    """Leaky neurons behind a device whose inputs are events and the neurons' own last spikes.

    `device` is a matrix (n, n_in + n), the columns of the events first; any device will do that
    shows numbers from 0 to 1, one crossbar for all synapses or a matrix engine. An event drives
    its line by `input_drive`, a spike by `recurrent_drive`: two read voltages. At every step
    current = device(input_drive * events, recurrent_drive * last spikes), and the neurons take
    one step; Maass, Natschlaeger and Markram, Neural Computation 14(11), 2531 (2002), for the
    principle.
    """

    device: Device
    neurons: Neurons
    input_drive: float = 1.0
    recurrent_drive: float = 0.1

    def __post_init__(self) -> None:
        if self.device.n_out != self.neurons.n or self.device.n_in <= self.neurons.n:
            raise ValueError(
                f"{self.device.name}: a liquid of {self.neurons.n} neurons takes a matrix of "
                f"{self.neurons.n} outputs, and of that many inputs more than there are events, "
                f"got {self.device.n_out} outputs and {self.device.n_in} inputs"
            )
        for field in ("input_drive", "recurrent_drive"):
            if not 0 <= getattr(self, field) <= 1:
                got = getattr(self, field)
                raise ValueError(f"{field} takes a share of the full drive, 0 to 1, got {got!r}")

    @property
    def n_in(self) -> int:
        """How many lines take events."""
        return self.device.n_in - self.neurons.n

    def states(self, events: Array, windows: int = 1) -> Array:
        """Return spike counts (samples, windows * n) for events (samples, steps, n_in), 0 or 1.

        Every neuron has a counter that is read `windows` times at even distances, and starts
        again; the counts of a window stand together. Written into the ledger as one evaluation
        step, a stage for each time step. Raises ValueError for another shape or other events.
        """
        if events.ndim != 3 or events.shape[2] != self.n_in:
            raise ValueError(f"events take (samples, steps, {self.n_in}), got {events.shape}")
        samples, steps, _ = events.shape
        if not 1 <= windows <= steps:
            raise ValueError(f"windows takes a whole number from 1 to {steps}, got {windows!r}")
        if events.dtype.kind not in "bui" or events.max(initial=0) > 1 or events.min(initial=0) < 0:
            raise ValueError("events take whole numbers 0 and 1: a line is driven or it is not")
        n, ledger = self.neurons.n, self.device.ledger
        counts = np.zeros((samples, windows, n), np.float32)
        v = np.zeros((samples, n), np.float32)
        lines = np.zeros((samples, self.device.n_in), np.float32)
        before: tuple[str, ...] = ()
        with ledger.step("evaluate", samples=samples):
            for t in range(steps):
                with ledger.stage(f"time/{t}", after=before):
                    np.multiply(events[:, t], np.float32(self.input_drive), out=lines[:, :-n])
                    spikes = self.neurons.step(v, self.device.multiply(lines))
                before = (f"time/{t}",)
                np.multiply(spikes, np.float32(self.recurrent_drive), out=lines[:, -n:])
                counts[:, t * windows // steps] += spikes
        return counts.reshape(samples, windows * n)
