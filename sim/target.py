"""[target]: the codes that stand for classes, how wide they make the output, and who draws them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..algorithms.target_codes import check_codes, drawn, eigen_codes, random_codes
from ..devices import Can
from ..devices.arrays import Array
from ..mappings import Demand, Placement
from .data import Data

if TYPE_CHECKING:
    from .experiment import Experiment

PROJECTION = "projection/0"
"""The device that projects the labels where [projection] names one; others project inputs."""


def output_width(experiment: Experiment, data: Data) -> int:
    """Return how many outputs the network has. Raises BadInput where that is no code of classes."""
    target = experiment.target
    if target.dimensions is None:
        return data.n_classes
    if target.dimensions > data.n_classes:
        raise experiment.at.bad(
            ("target", "dimensions"),
            f"dimensions takes 1 to {data.n_classes}, the classes of {data.name}, got "
            f"{target.dimensions}",
        )
    return target.dimensions


def code_demands(experiment: Experiment, data: Data) -> Sequence[Demand]:
    """Return a demand for the projection (dimensions, n_classes) of labels, if a device draws it.

    It does where the codes are random and the file says [projection] or [projection/0].
    """
    width = output_width(experiment, data)
    demand = Demand(PROJECTION, width, data.n_classes, Can.MULTIPLY, 1.0)
    wanted = experiment.target.codes == "random" and demand.served_by(experiment.places)
    return [demand] if wanted else []


def install_codes(experiment: Experiment, data: Data, placement: Placement) -> None:
    """Put the codes (n_classes, dimensions) into the placement, where there are any.

    A device is asked once, for the labels' projection, noise and all; what it said is kept.
    Raises BadInput where two of them cannot be told apart.
    """
    target = experiment.target
    if target.dimensions is None:
        return
    codes: Array
    if target.codes == "eigen":
        codes = eigen_codes(*data.part("train"), data.n_classes, target.dimensions)
    elif PROJECTION in placement.devices:
        labels = np.eye(data.n_classes, dtype=np.float32)
        with placement.ledger.step("program", samples=0), placement.ledger.stage("codes"):
            codes = random_codes(placement[PROJECTION].multiply(labels))
    else:
        codes = random_codes(drawn(data.n_classes, target.dimensions, placement.seed))
    try:
        check_codes(experiment.algorithm, codes)
    except ValueError as wrong:
        raise experiment.at.bad(("target", "dimensions"), str(wrong)) from wrong
    placement.digital["codes"] = placement.array(codes)


def note(experiment: Experiment, data: Data) -> tuple[str, ...]:
    """Return what a report says of the codes: one sentence, or none."""
    target = experiment.target
    if target.dimensions is None:
        return ()
    coded = f"{target.codes} codes of {target.dimensions} numbers"
    return (f"{data.n_classes} classes are {coded} here: the nearest one answers",)
