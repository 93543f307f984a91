"""Losses: the mean over the samples, and the error that learning starts from."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ..devices.arrays import namespace
from ..devices.host import Host


@dataclass(frozen=True)
class Loss(abc.ABC):
    """How far the output is from the target."""

    takes_codes: ClassVar[bool] = True
    """Whether a target may be any code of a class, and not its one-hot label alone."""

    @abc.abstractmethod
    def _error(self, output: Any, target: Any) -> tuple[Any, Any]:
        """Return the loss of each sample (batch,) and its slope (batch, n_classes)."""

    def each(self, host: Host, output: Any, target: Any) -> Any:
        """Return the loss of each sample (batch,)."""
        host.count("LOSS", len(output), 3 * output.shape[0] * output.shape[1])
        return self._error(output, target)[0]

    def closeness(self, host: Host, output: Any, codes: Any) -> Any:
        """Return how near output (batch, n) is to codes (n_classes, n): (batch, n_classes).

        The largest is the nearest code, by the distance that the loss measures.
        """
        macs = output.shape[0] * codes.shape[0] * codes.shape[1]
        host.count("DECODE", len(output), output.shape[0] * codes.shape[0], macs=macs)
        return self._closeness(output, codes)

    def _closeness(self, output: Any, codes: Any) -> Any:
        return output @ codes.T - 0.5 * (codes * codes).sum(1)

    def error(self, host: Host, output: Any, target: Any, mask: Any = None) -> tuple[float, Any]:
        """Return the mean loss and each sample's slope by the output (batch, n_classes).

        `mask` (batch,) of 0 and 1 leaves samples out of both; the slopes of those that count
        are scaled so that dividing their sum by the whole batch gives the mean's slope.
        """
        host.count("ERROR", len(output), 4 * output.shape[0] * output.shape[1])
        each, slope = self._error(output, target)
        if len(each) == 0:
            return 0.0, slope
        if mask is None:
            return float(each.mean()), slope
        share = mask / mask.mean()
        return float((each * share).mean()), slope * share[:, None]


def softmax(output: Any) -> Any:
    """Return the probabilities (batch, n_classes) that scores stand for."""
    xp = namespace(output)
    top = output.max(1)
    e = xp.exp(output - (top if xp is np else top.values)[:, None])
    return e / e.sum(1)[:, None]


@dataclass(frozen=True)
class SoftmaxCrossEntropy(Loss):
    """-log of the softmax probability of the target; its slope is softmax minus target."""

    takes_codes: ClassVar[bool] = False

    def _error(self, output: Any, target: Any) -> tuple[Any, Any]:
        xp = namespace(output)
        top = output.max(1)
        shifted = output - (top if xp is np else top.values)[:, None]
        e = xp.exp(shifted)
        total = e.sum(1)
        each = xp.log(total) - (shifted * target).sum(1)
        return each, e / total[:, None] - target


@dataclass(frozen=True)
class MeanSquare(Loss):
    """Half the squared distance to the target; its slope is the difference."""

    def _error(self, output: Any, target: Any) -> tuple[Any, Any]:
        difference = output - target
        return 0.5 * (difference * difference).sum(1), difference


@dataclass(frozen=True)
class Cosine(Loss):
    """1 - cosine of output o and target t; its slope is (cosine * o / |o| - t / |t|) / |o|."""

    def _error(self, output: Any, target: Any) -> tuple[Any, Any]:
        said, length = _unit(output)
        wanted, _ = _unit(target)
        cosine = (said * wanted).sum(1)
        return 1 - cosine, (cosine[:, None] * said - wanted) / length

    def _closeness(self, output: Any, codes: Any) -> Any:
        return output @ _unit(codes)[0].T


def _unit(rows: Any) -> tuple[Any, Any]:
    """Return rows (batch, n) of length 1, and the lengths (batch, 1) that they had."""
    length = ((rows * rows).sum(1) ** 0.5)[:, None].clip(1e-12)
    return rows / length, length


LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": SoftmaxCrossEntropy,
    "mean_square": MeanSquare,
    "cosine": Cosine,
}
"""Every loss by the name a file gives it."""
