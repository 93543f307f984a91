"""[fabric] in an experiment file: which machine, and how the network is laid on it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..mappings.fabric_file import load
from ..mappings.packing import Sharing
from ..mappings.siting import Packer, Strategy
from .places import Source
from .tables import Positive, Table


class FabricTable(Table):
    """[fabric]: without `use` a step is timed with a part for each device, and nothing moves."""

    use: str = ""
    """A fabric that ships with hwloop, or the path of a TOML file."""
    strategy: Strategy = "first_fit"
    """How blocks come to their tiles; searched tries `moves` changes, pinned takes `pin`."""
    sharing: Sharing = "lines"
    """Whether blocks on one tile may share rows and columns, which then are not read at once."""
    packing: Packer = "rectpack"
    """exact: by OR-tools' CP-SAT, with a word on whether fewer tiles could do."""
    duplicate: Literal["none", "auto"] = "none"
    """auto: more copies of the matrix that works longest, as long as that makes a step shorter."""
    copies: dict[str, Positive] = {}
    """Copies of matrices that share their rows; with duplicate = "none"."""
    steps: Literal["all", "evaluate"] = "all"
    """evaluate: inference alone, for hardware that is written once."""
    in_flight: Annotated[int, Field(ge=1, le=64)] = 1
    """Steps that are under way at once; from 2 on, training uses weights that are a step old."""
    objective: Literal["time", "energy"] = "time"
    """What strategy "searched" makes small: a step's makespan, or all its joules."""
    moves: Positive = 300
    """Changes that strategy "searched" tries."""
    pin: dict[str, list[str]] = {}
    """Tiles for the blocks of a matrix, in order."""


def check_fabric(at: Source, table: FabricTable) -> None:
    """Raise BadInput where the fabric is not there or wrong, or keys stand for nothing."""
    if not table.use:
        others = sorted(table.model_fields_set - {"use"})
        for key in others if "use" not in table.model_fields_set else ():
            raise at.bad(("fabric", key), f"{key} lays a network on a fabric, and use names none")
        return
    try:
        load(table.use)
    except (ValueError, OSError) as wrong:
        raise at.bad(("fabric", "use"), str(wrong)) from wrong
    if table.duplicate == "auto" and table.copies:
        raise at.bad(("fabric", "copies"), 'copies are said, and duplicate = "auto" finds others')
    if table.strategy == "pinned" and not table.pin:
        raise at.bad(("fabric", "strategy"), "strategy pinned takes a table [fabric.pin]")
    if table.strategy != "searched":
        for key in ("objective", "moves"):
            if key in table.model_fields_set:
                raise at.bad(("fabric", key), f'{key} is for strategy "searched"')
