"""Devices: what the hardware does to a vector, and what it writes down."""

from .base import Can, Device, Unable
from .ideal import Ideal
from .ledger import Count, Ledger, Op, Step
from .matrix_engine import MatrixEngine
from .opu import OPU
from .seeds import Seed
from .torch_matrix import TorchMatrix

CATALOGUE: dict[str, type[Device]] = {
    "ideal": Ideal,
    "matrix_engine": MatrixEngine,
    "opu": OPU,
    "torch": TorchMatrix,
}
"""Every device by the name a file gives it; the conformance tests run on all of them."""

__all__ = [
    "CATALOGUE",
    "Can",
    "Count",
    "Device",
    "Ideal",
    "Ledger",
    "MatrixEngine",
    "OPU",
    "Op",
    "Seed",
    "Step",
    "TorchMatrix",
    "Unable",
]
