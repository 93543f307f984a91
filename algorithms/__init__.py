"""Algorithms: what is learned, step by step."""

from .activity_gradient import ActivityGradient
from .apollo import Apollo
from .aware import NoiseAware
from .backprop import Backprop
from .base import Algorithm
from .cascaded_forward import CascadedForward
from .coap import COAP
from .compact import CompAct
from .dfa import DFA
from .drtp import DRTP
from .equilibrium import EquilibriumPropagation
from .feedback_alignment import FeedbackAlignment
from .flora import Flora
from .forward_forward import ForwardForward
from .forward_gradient import ForwardGradient
from .frozen import Frozen
from .galore import GaLore
from .gradient_noise import GradientNoise
from .likelihood_ratio import LikelihoodRatio
from .losses import LOSSES, Cosine, Loss, MeanSquare, SoftmaxCrossEntropy
from .mono_forward import MonoForward
from .optimizers import SGD, Adam, Optimizer
from .passes import Pass
from .pepita import PEPITA
from .quantized_zeroth_order import QuantizedZerothOrder
from .scalable_ff import ScalableForwardForward
from .sign_dfa import SignDFA
from .synthetic_gradient import SyntheticGradient
from .ternary import TernaryDFA, signed_masks, stochastic_masks, ternarise
from .tpsgd import TargetProjection
from .zeroth_order import ZerothOrder

RULES: dict[str, type[Algorithm]] = {
    "backprop": Backprop,
    "feedback_alignment": FeedbackAlignment,
    "dfa": DFA,
    "sign_dfa": SignDFA,
    "ternary_dfa": TernaryDFA,
    "drtp": DRTP,
    "tpsgd": TargetProjection,
    "pepita": PEPITA,
    "mono_forward": MonoForward,
    "cascaded_forward": CascadedForward,
    "forward_forward": ForwardForward,
    "scalable_ff": ScalableForwardForward,
    "synthetic_gradient": SyntheticGradient,
    "activity_gradient": ActivityGradient,
    "forward_gradient": ForwardGradient,
    "likelihood_ratio": LikelihoodRatio,
    "zeroth_order": ZerothOrder,
    "quantized_zeroth_order": QuantizedZerothOrder,
    "equilibrium": EquilibriumPropagation,
    "frozen": Frozen,
}
"""Every algorithm by the name a file gives it."""

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "apollo": Apollo,
    "flora": Flora,
    "galore": GaLore,
    "coap": COAP,
    "compact": CompAct,
    "gradient_noise": GradientNoise,
}
"""Every optimizer by the name a file gives it."""

__all__ = [
    "ActivityGradient",
    "Adam",
    "Algorithm",
    "Apollo",
    "Backprop",
    "COAP",
    "CascadedForward",
    "CompAct",
    "Cosine",
    "DFA",
    "DRTP",
    "EquilibriumPropagation",
    "FeedbackAlignment",
    "Flora",
    "ForwardForward",
    "ForwardGradient",
    "Frozen",
    "GaLore",
    "GradientNoise",
    "LOSSES",
    "LikelihoodRatio",
    "Loss",
    "MeanSquare",
    "MonoForward",
    "NoiseAware",
    "OPTIMIZERS",
    "Optimizer",
    "PEPITA",
    "Pass",
    "QuantizedZerothOrder",
    "RULES",
    "SGD",
    "ScalableForwardForward",
    "SignDFA",
    "SoftmaxCrossEntropy",
    "SyntheticGradient",
    "TargetProjection",
    "TernaryDFA",
    "ZerothOrder",
    "signed_masks",
    "stochastic_masks",
    "ternarise",
]
