"""Optimizers: how a gradient, held as the two factors of its outer product, changes a matrix.

Without a memory the change is one `update` on the device, and no gradient is ever formed. With
one, the host forms the gradient, keeps the weights digitally, and writes them with `program`.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..devices import Can
from ..mappings import Demand, Placement


@dataclass(frozen=True)
class Optimizer(abc.ABC):
    """Turns gradients into changes of weights and biases."""

    rate: float = 0.05
    """Step along the gradient of the mean loss, before [train] schedule."""

    compresses: ClassVar[bool] = False
    """Whether `kept` makes less of a forward pass's inputs than they are."""

    @property
    @abc.abstractmethod
    def needs(self) -> Can:
        """What a device must be able to do for its matrix to learn."""

    def demands(self, weights: Sequence[Demand]) -> Sequence[Demand]:
        """Return the matrices that the optimizer itself works with, for these that it changes."""
        return []

    def kept(self, on: Placement, name: str, rows: Any) -> Any:
        """Return what a forward pass keeps of matrix `name`'s inputs (b, n_in) for `change`."""
        return rows

    @abc.abstractmethod
    def change(
        self, on: Placement, name: str, delta: Any, rows: Any, scale: float, rate: float
    ) -> None:
        """Move matrix `name` against scale * delta^T rows, of delta (b, n_out), rows (b, n_in).

        `rows` may be what `kept` made of them.
        """

    @abc.abstractmethod
    def descend(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        """Move matrix `name` against its whole gradient (n_out, n_in), by way of `program`."""

    @abc.abstractmethod
    def shift(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        """Move the digital parameters `name` against their gradient, of the same shape."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent, with heavy-ball momentum [Polyak 1964] where it is not 0."""

    momentum: float = 0.0
    """Share of the last step's gradient that the next keeps; 0: nothing is remembered."""

    def __post_init__(self) -> None:
        positive("rate", self.rate)
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum takes a number from 0 to below 1, got {self.momentum}")

    @property
    def needs(self) -> Can:
        return Can.PROGRAM if self.momentum else Can.UPDATE

    def change(
        self, on: Placement, name: str, delta: Any, rows: Any, scale: float, rate: float
    ) -> None:
        if not self.momentum:
            on.settle(name)
            on[name].update(delta, rows, -self.rate * rate * scale)
            return
        w = digital_copy(on, name)
        v = _memory(on, f"velocity/{name}", w)
        v = on.host.gradient(delta, rows, scale, into=v, keep=self.momentum)
        on.host.add(w, v, -self.rate * rate)
        on[name].program(w)

    def descend(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        w = digital_copy(on, name)
        on.host.add(w, self._smoothed(on, name, gradient), -self.rate * rate)
        on[name].program(w)

    def shift(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        on.host.add(on.digital[name], self._smoothed(on, name, gradient), -self.rate * rate)

    def _smoothed(self, on: Placement, name: str, gradient: Any) -> Any:
        if not self.momentum:
            return gradient
        v = _memory(on, f"velocity/{name}", gradient)
        v *= self.momentum
        v += gradient
        return v


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam [Kingma & Ba 2015]: each weight's rate set by its gradient's first two moments."""

    rate: float = 1e-3
    """Step of a number whose gradient keeps its size, before [train] schedule."""
    beta1: float = 0.9
    """Share of the mean gradient that a step keeps."""
    beta2: float = 0.999
    """Share of the mean squared gradient that a step keeps."""
    epsilon: float = 1e-8
    """Added to the root of the mean square."""

    def __post_init__(self) -> None:
        positive("rate", self.rate)
        positive("epsilon", self.epsilon)
        for name, beta in (("beta1", self.beta1), ("beta2", self.beta2)):
            if not 0 <= beta < 1:
                raise ValueError(f"{name} takes a number from 0 to below 1, got {beta}")

    @property
    def needs(self) -> Can:
        return Can.PROGRAM

    def change(
        self, on: Placement, name: str, delta: Any, rows: Any, scale: float, rate: float
    ) -> None:
        w = digital_copy(on, name)
        g = on.host.gradient(delta, rows, scale, into=_memory(on, f"gradient/{name}", w))
        self.move(on, name, w, g, rate)
        on[name].program(w)

    def descend(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        w = digital_copy(on, name)
        self.move(on, name, w, gradient, rate)
        on[name].program(w)

    def shift(self, on: Placement, name: str, gradient: Any, rate: float) -> None:
        self.move(on, name, on.digital[name], gradient, rate)

    def move(self, on: Placement, name: str, w: Any, g: Any, rate: float) -> None:
        """Take a step of w along g, both of one shape; the moments are remembered by `name`."""
        m, v = _memory(on, f"mean/{name}", w), _memory(on, f"square/{name}", w)
        time = on.digital.setdefault(f"time/{name}", np.zeros(1, np.int64))
        time[0] += 1
        on.host.adam(
            w, g, m, v, self.rate * rate, (self.beta1, self.beta2), self.epsilon, int(time[0])
        )


def digital_copy(on: Placement, name: str) -> Any:
    """Return the digital copy (n_out, n_in) of a matrix, read off the device the first time.

    Whoever asks writes the matrix next, so noise on it need not be taken off before.
    """
    key, clean = f"copy/{name}", on.clean.pop(name, None)
    if key not in on.digital:
        if clean is None:
            clean = on.array(on[name].matrix().astype(np.float32))
        on.digital[key] = clean
    return on.digital[key]


def memory(on: Placement, name: str, shape: tuple[int, ...]) -> Any:
    """Return the float32 array kept under `name`, zeros at first."""
    if name not in on.digital:
        on.digital[name] = on.array(np.zeros(shape, np.float32))
    return on.digital[name]


def _memory(on: Placement, name: str, like: Any) -> Any:
    return memory(on, name, tuple(like.shape))


def positive(name: str, value: float) -> None:
    """Raise ValueError where a setting is no finite number above 0."""
    if not 0 < value < float("inf"):
        raise ValueError(f"{name} takes a finite number above 0, got {value}")
