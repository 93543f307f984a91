"""Cascaded forward: hidden blocks that no later block teaches, a head on each, and all heads vote.

"The cascaded forward algorithm for neural network training", whose code has random blocks or
blocks trained by DFA, and heads trained by gradient or in closed form [github.com/Graph-ZKY/CaFo].
The head of the last hidden layer is the output layer. The answer is the sum of the heads' softmax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from ..devices import Can
from ..devices.arrays import namespace
from ..mappings import Demand, Network, Placement
from .base import Algorithm
from .direct import feedback, split, teach_hidden, teach_output
from .losses import softmax
from .mono_forward import heads
from .passes import Pass

WIDEST = 8192
"""Units of the widest layer whose closed-form head is kept: a matrix of its square."""


@dataclass(frozen=True)
class CascadedForward(Algorithm):
    """Blocks are multiplied, updated if at all by DFA; heads are multiplied and updated."""

    blocks: Literal["random", "dfa"] = "random"
    """What hidden layers do: keep what they were drawn with, or learn by feedback alignment."""
    heads: Literal["gradient", "closed"] = "gradient"
    """gradient: each head descends the loss of its own answer. closed: the ridge regression of
    the targets on all units seen so far, kept up to date by recursive least squares."""
    ridge: float = 1e-2
    """Weight of the squared norm in the closed form."""

    by_sample: ClassVar[bool] = False
    takes_codes: ClassVar[bool] = False
    keeps_inputs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.blocks not in ("random", "dfa"):
            raise ValueError(f'blocks takes "random" or "dfa", got {self.blocks!r}')
        if self.heads not in ("gradient", "closed"):
            raise ValueError(f'heads takes "gradient" or "closed", got {self.heads!r}')
        if not 0 < self.ridge < np.inf:
            raise ValueError(f"ridge takes a number above 0, got {self.ridge}")

    def trains(self, layer: int, network: Network) -> bool:
        return self.blocks == "dfa" or layer == network.depth

    def demands(self, network: Network) -> Sequence[Demand]:
        widest = max((layer.width_out for layer in network.hidden), default=0)
        if self.heads == "closed" and widest > WIDEST:
            raise ValueError(
                f"heads in closed form take layers of {WIDEST} units at most, this network has "
                f"{widest}"
            )
        closed = self.heads == "closed"
        also = [*[Can(0)] * len(network.hidden), Can.PROGRAM]
        needs = Can.MULTIPLY | Can.PROGRAM
        if not closed:
            needs |= self.optimizer.needs
        more = heads(network, needs)
        found = [*self.weights(network, also), *more]
        if not closed:
            found += self.optimizer.demands(more)
        return [*found, *(feedback(network) if self.blocks == "dfa" else [])]

    def calls(self, depth: int) -> Mapping[str, int]:
        others, dfa = max(depth - 2, 0), self.blocks == "dfa"
        verb = "UPDATE" if self.heads == "gradient" else "PROGRAM"
        calls = {
            "weight MULTIPLY": depth,
            "weight UPDATE": depth - 1 if dfa else 0,
            "head MULTIPLY": others,
            f"head {verb}": others,
            "feedback MULTIPLY": int(dfa and depth > 1),
        }
        calls[f"weight {verb}"] = calls.get(f"weight {verb}", 0) + 1
        return calls

    def repeats(self, turns: Sequence[int]) -> Mapping[str, int]:
        return {"weight MULTIPLY": sum(turns) - len(turns)}

    def predict(self, on: Placement, x: Any) -> Any:
        passed = self.forward(on, x)
        votes = softmax(passed.output)
        for k in range(1, on.network.depth - 1):
            with on.ledger.stage(f"vote/{k}", after=(f"forward/{k}",)):
                said = on[f"head/{k}"].multiply(passed.units[k - 1])
                on.host.count("VOTE", len(said), 4 * said.shape[0] * said.shape[1])
                votes = votes + softmax(said)
        return votes

    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        network, samples = on.network, on.batch or len(error)
        if self.blocks == "dfa" and network.hidden:
            with on.ledger.stage("feedback", after=("error",)):
                signals = split(network, on["feedback"].multiply(error))
            teach_hidden(self, on, passed, signals, samples, rate, lambda k: ("feedback",))
        for k in range(1, network.depth - 1):
            h = passed.units[k - 1]
            with on.ledger.stage(f"local/{k}", after=(f"forward/{k}",)):
                said = on[f"head/{k}"].multiply(h)
                _, local = self.loss.error(on.host, said, passed.target, passed.share)
            with on.ledger.stage(f"update/head/{k}", after=(f"local/{k}",)):
                if self.heads == "closed":
                    self._regress(on, f"head/{k}", h, passed)
                else:
                    self.optimizer.change(on, f"head/{k}", local, h, 1.0 / samples, rate)
        if self.heads == "closed":
            with on.ledger.stage(f"update/{network.depth}", after=("error",)):
                self._regress(on, f"weight/{network.depth}", passed.inputs[-1], passed)
        else:
            teach_output(self, on, passed, error, samples, rate)

    def _regress(self, on: Placement, name: str, h: Any, passed: Pass) -> None:
        """Take h (batch, n) and its targets into the ridge regression that matrix `name` holds.

        With P = (ridge I + sum h h^T)^-1, K = P H^T (I + H P H^T)^-1: P -= K H P and
        V += K (Y - H V), in float64 [recursive least squares, by the Woodbury identity].
        """
        xp, (batch, n) = namespace(h), h.shape
        classes = passed.target.shape[1]
        key, value = f"inverse/{name}", f"regression/{name}"
        if key not in on.digital:
            on.digital[key] = on.array(np.eye(n) / self.ridge)
            on.digital[value] = on.array(np.zeros((n, classes)))
        p, v = on.digital[key], on.digital[value]
        share = 1.0 if passed.share is None else passed.share[:, None] ** 0.5
        h, y = _double(h * share), _double(passed.target * share)
        hp = h @ p
        small = hp @ h.T + _double(on.array(np.eye(batch)))
        gain = xp.linalg.solve(small, hp).T
        v += gain @ (y - h @ v)
        p -= gain @ hp
        macs = 2 * batch * n * n + 2 * batch * batch * n + batch**3 / 3 + 2 * batch * n * classes
        on.host.count("REGRESS", batch, n * n, macs=macs)
        w = v.T.astype(np.float32) if xp is np else v.T.float()
        on.clean.pop(name, None)
        on[name].program(w)


def _double(a: Any) -> Any:
    return a.astype(np.float64) if namespace(a) is np else a.double()
