"""Direct random target projection: hidden layers learn from the label, before any output is known.

Frenkel, Lefebvre, Bol, "Learning without feedback: fixed random learning signals allow for
feedforward training of deep neural networks", Frontiers in Neuroscience 15, 2021:
d_k = -(B_k y) * f'(z_k). The label stands for the error, of which it has the sign. A recurrent
layer hears it at every step, as in DFA it hears the error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..mappings import Demand, Network, Placement
from .base import Algorithm
from .direct import feedback, split, teach_hidden, teach_output
from .passes import Pass


@dataclass(frozen=True)
class DRTP(Algorithm):
    """Weights are multiplied and updated; layer k updates as soon as it has been passed."""

    takes_codes: ClassVar[bool] = False

    def demands(self, network: Network) -> Sequence[Demand]:
        return [*self.weights(network), *feedback(network)]

    def calls(self, depth: int) -> Mapping[str, int]:
        return {
            "weight MULTIPLY": depth,
            "feedback MULTIPLY": int(depth > 1),
            "weight UPDATE": depth,
        }

    def repeats(self, turns: Sequence[int]) -> Mapping[str, int]:
        return {"weight MULTIPLY": sum(turns) - len(turns)}

    def signals(self, on: Placement, passed: Pass, projected: Sequence[Any]) -> list[Any]:
        """Return the slopes (batch, width) at the hidden units, from the projected labels."""
        return [-part for part in projected]

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        samples = on.batch or len(error)
        if on.network.hidden:
            with on.ledger.stage("feedback"):
                projected = split(on.network, on["feedback"].multiply(passed.target))
                signals = self.signals(on, passed, projected)
                if passed.share is not None:
                    signals = [signal * passed.share[:, None] for signal in signals]
            teach_hidden(
                self, on, passed, signals, samples, rate, lambda k: (f"forward/{k}", "feedback")
            )
        teach_output(self, on, passed, error, samples, rate)
