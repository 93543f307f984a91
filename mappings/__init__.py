"""Mappings: networks, what algorithms demand of hardware, and where each demand is met."""

from .demand import Demand
from .layers import Convolution, Dense, Graph, Layer
from .network import Connect, Convolve, Network, Recur, build
from .place import Placement, place
from .recurrent import Recurrent

__all__ = [
    "Connect",
    "Convolution",
    "Convolve",
    "Demand",
    "Dense",
    "Graph",
    "Layer",
    "Network",
    "Placement",
    "Recur",
    "Recurrent",
    "build",
    "place",
]
