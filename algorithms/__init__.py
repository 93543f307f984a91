"""Algorithms: what is learned, step by step."""

from .backprop import Backprop
from .base import Algorithm, Pass
from .dfa import DFA
from .frozen import Frozen
from .losses import LOSSES, Loss, MeanSquare, SoftmaxCrossEntropy
from .optimizers import OPTIMIZERS, SGD, Adam, Optimizer
from .ternary import TernaryDFA, signed_masks, ternarise

RULES: dict[str, type[Algorithm]] = {
    "backprop": Backprop,
    "dfa": DFA,
    "ternary_dfa": TernaryDFA,
    "frozen": Frozen,
}
"""Every algorithm by the name a file gives it."""

__all__ = [
    "Adam",
    "Algorithm",
    "Backprop",
    "DFA",
    "Frozen",
    "LOSSES",
    "Loss",
    "MeanSquare",
    "OPTIMIZERS",
    "Optimizer",
    "Pass",
    "RULES",
    "SGD",
    "SoftmaxCrossEntropy",
    "TernaryDFA",
    "signed_masks",
    "ternarise",
]
