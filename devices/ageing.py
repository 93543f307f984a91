"""What a device whose matrix changes by itself can be asked: to wait, and to make up for it."""

from __future__ import annotations

import abc


class Ageing(abc.ABC):
    """A device that keeps its matrix, but not unchanged."""

    @property
    @abc.abstractmethod
    def drifts(self) -> bool:
        """Whether the matrix changes with time under the settings and technology at hand."""

    @abc.abstractmethod
    def wait(self, seconds: float) -> None:
        """Let time pass since the last `program`, in seconds.

        Raises ValueError for a time below 0.
        """

    @abc.abstractmethod
    def compensate(self, per_column: bool = False) -> None:
        """Rescale the outputs by what a calibration read finds lost since `program`.

        By one number for all outputs, or `per_column` by one for each.
        """
