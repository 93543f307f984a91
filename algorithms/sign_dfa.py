"""Sign-DFA: direct feedback alignment of the error's signs alone.

Compared by Frenkel, Lefebvre, Bol, "Learning without feedback: fixed random learning signals
allow for feedforward training of deep neural networks", Frontiers in Neuroscience 15, 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..devices.arrays import namespace
from ..mappings import Placement
from .dfa import DFA


@dataclass(frozen=True)
class SignDFA(DFA):
    """DFA of sign(e): for a softmax error, minus at the label and plus everywhere else."""

    scales_error = False

    def _code(self) -> tuple[float | None, bool, bool]:
        return 0.0, False, False

    def project(self, on: Placement, error: Any) -> Any:
        on.host.count("SIGN", len(error), error.shape[0] * error.shape[1])
        return on["feedback"].multiply(namespace(error).sign(error))
