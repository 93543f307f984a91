"""Devices: what the hardware does to a vector, and what it writes down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Can, Device, Unable
from .crossbar import Crossbar
from .ideal import Ideal
from .ledger import Count, Ledger, Op, Step
from .matrix_engine import MatrixEngine
from .opu import OPU
from .paired import Paired
from .printed import Printed
from .pulsed_crossbar import PulsedCrossbar
from .random_crossbar import RandomCrossbar
from .reprogrammed import Reprogrammed
from .seeds import Seed
from .torch_matrix import TorchMatrix

if TYPE_CHECKING:
    from .optical_features import OpticalFeatures

CATALOGUE: dict[str, type[Device]] = {
    "crossbar": Crossbar,
    "ideal": Ideal,
    "matrix_engine": MatrixEngine,
    "opu": OPU,
    "paired": Paired,
    "printed": Printed,
    "pulsed_crossbar": PulsedCrossbar,
    "random_crossbar": RandomCrossbar,
    "reprogrammed": Reprogrammed,
    "torch": TorchMatrix,
}
"""Every device by the name a file gives it; the conformance tests run on all of them."""

__all__ = [
    "CATALOGUE",
    "Can",
    "Count",
    "Crossbar",
    "Device",
    "Ideal",
    "Ledger",
    "MatrixEngine",
    "OPU",
    "Op",
    "OpticalFeatures",
    "Paired",
    "Printed",
    "PulsedCrossbar",
    "RandomCrossbar",
    "Reprogrammed",
    "Seed",
    "Step",
    "TorchMatrix",
    "Unable",
]


def __getattr__(name: str) -> Any:
    """Import OpticalFeatures when it is asked for: it brings scikit-learn."""
    if name == "OpticalFeatures":
        from .optical_features import OpticalFeatures

        return OpticalFeatures
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
