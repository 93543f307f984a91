"""The rules and the tasks that every_rule.py compares: their settings, budgets and data."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from hwloop.algorithms import (
    DFA,
    DRTP,
    PEPITA,
    SGD,
    ActivityGradient,
    Adam,
    Algorithm,
    Backprop,
    CascadedForward,
    EquilibriumPropagation,
    FeedbackAlignment,
    ForwardForward,
    ForwardGradient,
    Frozen,
    LikelihoodRatio,
    MeanSquare,
    MonoForward,
    QuantizedZerothOrder,
    ScalableForwardForward,
    SignDFA,
    SyntheticGradient,
    TargetProjection,
    TernaryDFA,
    ZerothOrder,
)
from hwloop.algorithms.optimizers import Optimizer
from hwloop.devices import Seed
from hwloop.mappings import Convolve, Recur
from hwloop.sim.data import Data, load

SEEDS = 3
MIDDLE = (0.1, 0.3, 1.0, 3.0)
HIGH = (0.3, 1.0, 3.0, 10.0)
LOW = (0.01, 0.03, 0.1, 0.3)
TINY = (0.0005, 0.001, 0.002, 0.004)
STEPS = (0.008, 0.016, 0.032)


@dataclass(frozen=True)
class Entry:
    """A rule as the table names it, its rates on digits, and what else it asks for."""

    rule: Callable[..., Algorithm]
    rates: tuple[float, ...] = MIDDLE
    more: dict = field(default_factory=dict)
    activation: str = "tanh"


ENTRIES = {
    "backprop": Entry(Backprop),
    "feedback alignment": Entry(FeedbackAlignment),
    "uSF": Entry(FeedbackAlignment, more={"signs": "uniform"}),
    "frSF": Entry(FeedbackAlignment, more={"signs": "fixed"}),
    "DFA": Entry(DFA),
    "DFA, shared": Entry(DFA, more={"shared": True}),
    "ternary DFA": Entry(TernaryDFA),
    "ternary DFA, relative": Entry(TernaryDFA, more={"mode": "relative"}),
    "sign DFA": Entry(SignDFA, LOW),
    "DRTP": Entry(DRTP, LOW),
    "tpSGD": Entry(TargetProjection, LOW),
    "PEPITA": Entry(PEPITA, (0.01, 0.03, 0.1), {"modulation": 4.0}, "relu"),
    "mono-forward": Entry(MonoForward),
    "cascaded forward": Entry(CascadedForward, HIGH),
    "cascaded forward, closed": Entry(CascadedForward, (1.0,), {"heads": "closed"}),
    "cascaded forward, DFA": Entry(CascadedForward, MIDDLE, {"blocks": "dfa"}),
    "forward-forward": Entry(ForwardForward, HIGH, {}, "relu"),
    "scalable forward-forward": Entry(ScalableForwardForward, LOW),
    "synthetic gradients": Entry(SyntheticGradient, LOW, {"synthesis": 0.1}),
    "activity forward gradient": Entry(ActivityGradient, LOW),
    "likelihood ratio": Entry(LikelihoodRatio, LOW),
    "weight forward gradient": Entry(ForwardGradient, TINY),
    "zeroth order (SPSA)": Entry(ZerothOrder, TINY),
    "fixed point, 16w8a, m = 1": Entry(QuantizedZerothOrder, STEPS),
    "fixed point, 16w8a, m = 3": Entry(QuantizedZerothOrder, STEPS, {"directions": 3}),
    "fixed point, 16w8a, m = 3, nearby": Entry(
        QuantizedZerothOrder, STEPS, {"directions": 3, "neighbourhood": 0.01}
    ),
    "fixed point, 8w8a, m = 3": Entry(
        QuantizedZerothOrder, STEPS, {"directions": 3, "weight_bits": 8}
    ),
    "equilibrium": Entry(EquilibriumPropagation, (0.03, 0.1, 0.3), {"loss": MeanSquare()}),
    "frozen control": Entry(Frozen, HIGH),
}
IN_FLOATS = tuple(name for name in ENTRIES if not name.startswith("fixed point"))
FEW = ("backprop", "DFA", "ternary DFA", "mono-forward", "frozen control")
WITHOUT_HEADS = tuple(name for name in FEW if name != "mono-forward")
"""With one hidden layer mono-forward is backpropagation."""


@dataclass(frozen=True)
class Task:
    """What is learned, how long, and what is asked of it."""

    name: str
    hidden: tuple[int | Convolve | Recur, ...]
    epochs: int
    batch: int
    target: float
    """The accuracy that passes and energy are counted to."""
    choose: tuple[int | None, float, int]
    """Of how many images, what part to validate on, and how many epochs a rate is tried for."""
    held: float = 0.0
    """What part of the training images a run leaves out, to count to the target on."""
    checks: int = 1
    """How often an epoch is looked at."""
    shares: tuple[float, ...] = (0.0,)
    scale: str | None = None
    rules: tuple[str, ...] = tuple(ENTRIES)
    fewer: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Epochs and seeds of the rules that are too slow for all."""
    optimizer: Callable[..., Optimizer] = SGD
    start: float | None = None
    """The rate that every search starts from, where it is not the second of the rule's."""
    grid: bool = False
    """Whether rates are those that stand with the rule; else they are climbed to from there."""
    limit: int | None = None
    """Training images at most."""
    entries: Mapping[str, Entry] = field(default_factory=lambda: ENTRIES)
    more: Mapping[str, dict] = field(default_factory=dict)
    """What rules ask for beside, by name."""

    def entry(self, name: str) -> Entry:
        """Return a rule with what it asks for on these data."""
        entry = self.entries[name]
        return replace(entry, more=entry.more | self.more.get(name, {}))

    def algorithm(self, entry: Entry, rate: float) -> Algorithm:
        """Return a rule at a rate."""
        return entry.rule(optimizer=self.optimizer(rate=rate), **entry.more)

    def effort(self, name: str) -> tuple[int, int]:
        """Return epochs and seeds of a rule."""
        return self.fewer.get(name, (self.epochs, SEEDS))


TASKS = {
    "digits": Task(
        "digits",
        (128, 128),
        30,
        32,
        0.95,
        (None, 0.16, 10),
        held=0.16,
        shares=(0.0, 0.6, 1.0),
        grid=True,
    ),
    "fashion_mnist": Task(
        "fashion_mnist",
        (500, 500),
        10,
        128,
        0.86,
        (30_000, 0.3, 2),
        checks=2,
        scale="standard",
        rules=IN_FLOATS,
        more={"forward-forward": {"label": 5.0}},  # among 784 features of std 1, 1 is hardly seen
        fewer=dict.fromkeys(("zeroth order (SPSA)", "equilibrium"), (1, 1)),
    ),
    "mnist": Task("mnist", (500, 500), 10, 128, 0.97, (30_000, 0.3, 2), checks=2, rules=FEW),
    "cora": Task(
        "cora",
        (64,),
        100,
        2708,
        0.75,
        (None, 0.0, 100),
        rules=WITHOUT_HEADS,
        optimizer=Adam,
        start=0.01,
    ),
    "cifar10": Task(
        "cifar10",
        (Convolve(16, 5, stride=2, padding=2), Convolve(32, 3, padding=1, pool=2), 128),
        6,
        64,
        0.4,
        (None, 0.2, 1),
        scale="standard",
        rules=("backprop", "DFA", "scalable forward-forward", "frozen control"),
        start=0.1,
    ),
}


@functools.lru_cache(maxsize=2)
def data_of(
    name: str, scale: str | None, number: int, validation: float, limit: int | None
) -> Data:
    """Return a set, an image's channels last if it has several."""
    data = load(
        name,
        seed=Seed(number).child("data"),
        validation=validation,
        scale=scale,
        limit_train=limit,
    )
    if len(data.shape) != 3 or data.shape[0] == 1:
        return replace(data, shape=(data.x.shape[1],))
    x = data.x.reshape(-1, *data.shape).transpose(0, 2, 3, 1)
    rows = np.ascontiguousarray(x).reshape(len(x), -1)
    return replace(data, x=rows, shape=(*data.shape[1:], data.shape[0]))
