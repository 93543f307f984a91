"""Layers: how the units of one layer become the rows that a matrix multiplies, and back.

Every layer is gather -> matrix -> norm -> activation -> scatter. Gather is linear and has its
adjoint; scatter is, or chooses (max pooling), and has the adjoint of its derivative. So whatever
trains a dense layer trains a convolution or a graph layer.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..devices.arrays import Array, namespace, zeros
from ..devices.host import Activation
from ..devices.norms import Norm

Pooling = Literal["average", "max"]


@dataclass(frozen=True, kw_only=True)
class Layer(abc.ABC):
    """One layer between `width_in` and `width_out` units, by way of a matrix (n_out, n_in)."""

    activation: Activation = "tanh"
    norm: Norm = "none"
    """What is done to the matrix' outputs before the activation: nothing, or mean and variance are
    taken off, of every output over the batch, or of all outputs of a sample; then each output has
    its gain and its bias."""

    @property
    @abc.abstractmethod
    def width_in(self) -> int:
        """Units a sample brings."""

    @property
    @abc.abstractmethod
    def width_out(self) -> int:
        """Units a sample leaves with."""

    @property
    @abc.abstractmethod
    def n_in(self) -> int:
        """Columns of the matrix."""

    @property
    @abc.abstractmethod
    def n_out(self) -> int:
        """Rows of the matrix."""

    @property
    def rows_per_sample(self) -> int:
        """How many rows one sample gathers to."""
        return 1

    @property
    def parameters(self) -> int:
        """Weights, biases and gains."""
        return self.n_out * (self.n_in + 1 + (self.norm != "none"))

    @property
    def pools(self) -> bool:
        """Whether scatter makes one unit out of several outputs."""
        return False

    def digital(self) -> dict[str, Array]:
        """Return what the host keeps for this layer, by name, as it starts; each is (n_out,)."""
        zero, one = np.zeros(self.n_out, np.float32), np.ones(self.n_out, np.float32)
        kept = {"bias": zero}
        if self.norm != "none":
            kept["gain"] = one
        if self.norm == "batch":
            kept |= {"running_mean": zero.copy(), "running_variance": one.copy()}
        return kept

    def gather(self, x: Any) -> Any:
        """Map x (batch, width_in) to rows (batch * rows_per_sample, n_in)."""
        return x

    def gather_adjoint(self, rows: Any) -> Any:
        """Map rows (batch * rows_per_sample, n_in) to (batch, width_in): the adjoint of gather."""
        return rows

    def scatter(self, rows: Any) -> Any:
        """Map rows (batch * rows_per_sample, n_out) to (batch, width_out)."""
        return rows.reshape(-1, self.width_out)

    def scatter_adjoint(self, h: Any, rows: Any = None, units: Any = None) -> Any:
        """Map h (batch, width_out) to rows: the adjoint of the derivative of scatter.

        Max pooling takes where: the `rows` that were scattered and the `units` they became.
        """
        return h.reshape(-1, self.n_out)

    def scatter_tangent(self, tangent: Any, rows: Any, units: Any) -> Any:
        """Map a tangent of the rows (rows, n_out) to that of the units they became."""
        return self.scatter(tangent)

    @property
    def signal_width(self) -> int:
        """Units that a signal sent straight to this layer has: all, or those of one step."""
        return self.width_out

    def deliver(self, signal: Any, rows: Any = None, units: Any = None) -> Any:
        """Map a signal sent straight to this layer to rows (batch * rows_per_sample, n_out).

        The signal is (batch, signal_width), or (batch, moments * signal_width), one moment after
        another: the adjoint of the mean of the moments. A recurrent layer so hears one signal at
        every step, over the number of its steps.
        """
        return self.scatter_adjoint(signal, rows, units)

    def moments(self, rows: Any) -> Any:
        """Map rows to the units that signals are for: (batch, moments, signal_width).

        One moment, what scatter gives; the states after every step where a layer is recurrent.
        """
        return self.scatter(rows)[:, None]

    def spread(self, error: Any) -> Any:
        """Carry an error (batch, any width) down through what gather does to the samples.

        The identity, but for graph layers: there a node's error is its neighbours' too.
        """
        return error


@dataclass(frozen=True, kw_only=True)
class Dense(Layer):
    """Every unit to every unit."""

    inputs: int
    outputs: int

    @property
    def width_in(self) -> int:
        return self.inputs

    @property
    def width_out(self) -> int:
        return self.outputs

    @property
    def n_in(self) -> int:
        return self.inputs

    @property
    def n_out(self) -> int:
        return self.outputs


@dataclass(frozen=True, kw_only=True)
class Convolution(Layer):
    """A kernel over the pixels of an image whose units are ordered (height, width, channel).

    With `pool` windows of that side of the activated image become their average, or their maximum;
    what is left of a row or column of windows is dropped. Where several entries of a window are
    its maximum the first takes the slope, row by row [as PyTorch's MaxPool2d has it].
    """

    height: int
    width: int
    channels_in: int
    channels_out: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: int = 1
    pooling: Pooling = "average"

    @property
    def height_out(self) -> int:
        """Rows of the convolved image, before pooling."""
        return (self.height + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def across_out(self) -> int:
        """Columns of the convolved image, before pooling."""
        return (self.width + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def image_out(self) -> tuple[int, int, int]:
        """The image that is left: rows, columns, channels."""
        return self.height_out // self.pool, self.across_out // self.pool, self.channels_out

    @property
    def width_in(self) -> int:
        return self.height * self.width * self.channels_in

    @property
    def width_out(self) -> int:
        down, across, channels = self.image_out
        return down * across * channels

    @property
    def n_in(self) -> int:
        return self.kernel * self.kernel * self.channels_in

    @property
    def n_out(self) -> int:
        return self.channels_out

    @property
    def rows_per_sample(self) -> int:
        return self.height_out * self.across_out

    @property
    def pools(self) -> bool:
        return self.pool > 1

    def scatter(self, rows: Any) -> Any:
        if not self.pools:
            return rows.reshape(-1, self.width_out)
        xp, (pooled, *others) = namespace(rows), self._entries(rows)
        for entry in others:
            pooled = xp.maximum(pooled, entry) if self.pooling == "max" else pooled + entry
        if self.pooling == "average":
            pooled = pooled / self.pool**2
        return pooled.reshape(-1, self.width_out)

    def scatter_adjoint(self, h: Any, rows: Any = None, units: Any = None) -> Any:
        if not self.pools:
            return h.reshape(-1, self.n_out)
        slope, spread = (
            h.reshape(-1, *self.image_out),
            zeros(h, len(h) * self.rows_per_sample, self.n_out),
        )
        for entry, share in zip(self._entries(spread), self._shares(rows, units), strict=True):
            entry[:] = slope * share
        return spread

    def scatter_tangent(self, tangent: Any, rows: Any, units: Any) -> Any:
        if not self.pools:
            return self.scatter(tangent)
        both = zip(self._entries(tangent), self._shares(rows, units), strict=True)
        return sum(entry * share for entry, share in both).reshape(-1, self.width_out)

    def _entries(self, rows: Any) -> list[Any]:
        """Return views (batch, *image_out) of rows: the first entries of all windows, the next."""
        (down, across, channels), p = self.image_out, self.pool
        image = rows.reshape(-1, self.height_out, self.across_out, channels)
        return [image[:, i : down * p : p, j : across * p : p] for i in range(p) for j in range(p)]

    def _shares(self, rows: Any, units: Any) -> Iterator[Any]:
        """Yield, entry by entry of the windows, its derivative: 1 where it is the first maximum."""
        if self.pooling == "average":
            yield from [1 / self.pool**2] * self.pool**2
            return
        best = units.reshape(-1, *self.image_out)
        free: Any = None
        for entry in self._entries(rows):
            found = entry == best
            first = found if free is None else found & free
            free = ~found if free is None else free & ~found
            yield first

    def _window(self, i: int, j: int) -> tuple[slice, slice, slice]:
        down = slice(i, i + self.stride * (self.height_out - 1) + 1, self.stride)
        across = slice(j, j + self.stride * (self.across_out - 1) + 1, self.stride)
        return slice(None), down, across

    def gather(self, x: Any) -> Any:
        p, k = self.padding, self.kernel
        image = x.reshape(-1, self.height, self.width, self.channels_in)
        padded = zeros(x, len(x), self.height + 2 * p, self.width + 2 * p, self.channels_in)
        padded[:, p : p + self.height, p : p + self.width] = image
        shape = (len(x), self.height_out, self.across_out, k, k, self.channels_in)
        patches = zeros(x, *shape)
        for i in range(k):
            for j in range(k):
                patches[:, :, :, i, j] = padded[self._window(i, j)]
        return patches.reshape(-1, self.n_in)

    def gather_adjoint(self, rows: Any) -> Any:
        p, k = self.padding, self.kernel
        shape = (-1, self.height_out, self.across_out, k, k, self.channels_in)
        patches = rows.reshape(*shape)
        batch = len(patches)
        padded = zeros(rows, batch, self.height + 2 * p, self.width + 2 * p, self.channels_in)
        for i in range(k):
            for j in range(k):
                padded[self._window(i, j)] += patches[:, :, :, i, j]
        image = padded[:, p : p + self.height, p : p + self.width]
        return image.reshape(batch, self.width_in)


@dataclass(frozen=True, kw_only=True)
class Graph(Layer):
    """Every node takes the mean of its neighbours, then a dense layer [Kipf & Welling 2017]."""

    inputs: int
    outputs: int
    adjacency: Any = field(repr=False, compare=False)
    """Sparse (nodes, nodes), symmetric and normalised; a batch is all nodes."""

    @property
    def width_in(self) -> int:
        return self.inputs

    @property
    def width_out(self) -> int:
        return self.outputs

    @property
    def n_in(self) -> int:
        return self.inputs

    @property
    def n_out(self) -> int:
        return self.outputs

    def _neighbours(self, x: Any, adjacency: Any) -> Any:
        if namespace(x) is np:
            return adjacency @ x
        from ..devices.arrays import like

        return like(adjacency @ x.detach().cpu().numpy(), x)

    def gather(self, x: Any) -> Any:
        return self._neighbours(x, self.adjacency)

    def gather_adjoint(self, rows: Any) -> Any:
        return self._neighbours(rows, self.adjacency.T)

    def spread(self, error: Any) -> Any:
        return self._neighbours(error, self.adjacency.T)
