"""A design file: what `hwloop print` reads, checked whole before anything runs."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ..algorithms.genes import Genes
from ..algorithms.genetic import Genetic
from ..algorithms.printed_gradient import Gradient
from ..devices.printed_circuit import Topology
from ..devices.technology import load as load_technology
from ..devices.words import unknown
from .eda import Absent, need
from .places import BadInput, Source, shown
from .printed_data import Words, words
from .settings import anchored, apply
from .tables import Positive, Share, Table, validated

Count = Annotated[int, Field(ge=0, le=10**6)]


class PrintDataTable(Table):
    """[data]: a set of features; it is prepared as the literature on printed classifiers does."""

    set: str = "seeds"
    path: str | None = None
    column: str | None = None


class CircuitTable(Table):
    """[circuit]: the network and its words."""

    hidden: list[Positive] = [3]
    input_bits: Annotated[int, Field(ge=1, le=8)] = 4
    activation_bits: Annotated[int, Field(ge=1, le=12)] = 8
    shifts: list[Annotated[int, Field(ge=0, le=20)]] = []
    """Bits cut off the sums of each hidden layer; empty: 4 each."""
    weight_bits: Annotated[int, Field(ge=2, le=12)] = 8
    """Sign and magnitude: 2^0 to 2^(bits - 1), and the fixed point of the exact circuit."""


class SearchTable(Table):
    """[search]: gradient-trained starts, evolution, and what it is compared with."""

    population: Annotated[int, Field(ge=4, le=10**5)] = 300
    generations: Positive = 400
    changes: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Genes of a child that are changed on average."""
    seeds: Annotated[int, Field(ge=1, le=1000)] = 2
    """How many times evolution runs, each from random numbers of its own."""
    seeded: bool = True
    epochs: Count = 150
    """Epochs of each gradient-trained start, and of the exact circuit."""
    starts: Annotated[int, Field(ge=1, le=100)] = 4
    """Trainings in fixed point, of which the best becomes the exact circuit."""
    sparsities: list[Annotated[float, Field(ge=0, le=10)]] = [0.0, 0.02, 0.1]
    """Pulls to zero under which each of them is fine-tuned to powers of two: the starts."""
    loss_bound: Share = 0.1
    """Share of the training rows that a circuit may lose against the exact one."""
    compare: Count = 0
    """Evaluations that evolution, annealing and gradients alone get in a comparison; 0: none."""


class CostTable(Table):
    """[cost]: the library, what is around the circuit, and the programs that confirm it."""

    technology: str = "egfet_1v0"
    converter: Literal["flash", "binary_search", "none"] = "flash"
    sensor_W: Annotated[float, Field(ge=0)] = 0.0
    battery_W: Annotated[float, Field(gt=0)] | None = None
    """None: the battery of the technology's file."""
    circuits: Annotated[int, Field(ge=1, le=1000)] = 12
    """How many circuits of the front are mapped, simulated and written."""
    map: bool = True
    """Map to cells by Yosys; without it areas are what the count of adders says."""
    simulate: bool = True
    """Run the Verilog of every circuit on every test row, by Icarus Verilog."""


class FaultTable(Table):
    """[faults]: what printing does to the gates of a copy; needs [cost] map."""

    stuck: Share = 0.001
    """Chance of a gate to be stuck at 0 or 1."""
    delay_std: Annotated[float, Field(ge=0, le=3)] = 0.1
    """Std of the logarithm of a gate's delay."""
    copies: Count = 100


_TABLES: dict[str, type[Table]] = {
    "data": PrintDataTable,
    "circuit": CircuitTable,
    "search": SearchTable,
    "cost": CostTable,
    "faults": FaultTable,
}


@dataclass(frozen=True)
class Design:
    """A checked description of a printed classifier to be found."""

    name: str
    seed: int
    data: PrintDataTable
    circuit: CircuitTable
    search: SearchTable
    cost: CostTable
    faults: FaultTable
    raw: Mapping[str, Any]
    at: Source = field(default_factory=Source, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """A hash of everything that the result depends on."""
        text = json.dumps(self.raw, sort_keys=True)
        return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()

    def words(self) -> Words:
        """Return the data. Raises BadInput for whatever is wrong in them."""
        path = None if self.data.path is None else Path(self.data.path)
        try:
            return words(self.data.set, self.circuit.input_bits, path, self.data.column)
        except (ValueError, OSError) as wrong:
            key = "path" if path is not None else "set"
            raise self.at.bad(("data", key), str(wrong)) from wrong

    def topology(self, data: Words) -> Topology:
        """Return the network between the features and classes of the data."""
        table = self.circuit
        try:
            return Topology(
                (data.features, *table.hidden, len(data.classes)),
                table.input_bits,
                table.activation_bits,
                tuple(table.shifts),
            )
        except ValueError as wrong:
            key = next((k for k in ("shifts",) if str(wrong).startswith(k)), "hidden")
            raise self.at.bad(("circuit", key), str(wrong)) from wrong

    def genes(self, topology: Topology) -> Genes:
        """Return the code of chromosomes."""
        return Genes(topology, self.circuit.weight_bits)

    def genetic(self) -> Genetic:
        """Return the settings of evolution."""
        s = self.search
        return Genetic(s.population, s.generations, s.changes, s.seeded)

    def gradient(self, rows: int) -> Gradient:
        """Return the settings of a training by gradients on so many rows: 32 steps or more."""
        batch = min(64, max(8, rows // 32))
        return Gradient(
            weight_bits=self.circuit.weight_bits, epochs=self.search.epochs, batch=batch
        )


def read_design(path: Path | None, settings: Sequence[str] = ()) -> Design:
    """Return the design of a TOML file with `key=value` settings; without a file, the defaults.

    Raises BadInput, with the place in the file, for whatever is wrong in it.
    """
    where, text = "the embedded design", ""
    if path is not None:
        where = str(path)
        try:
            text = path.read_text("utf-8-sig")
        except (OSError, ValueError) as wrong:
            reason = wrong.strerror if isinstance(wrong, OSError) else "it is not text in UTF-8"
            raise BadInput(f"{where} cannot be read: {reason}") from wrong
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as wrong:
        raise BadInput(f"{where} is not TOML: {wrong}") from wrong
    raw = anchored(raw, Path.cwd() if path is None else path.parent)
    settled = apply(raw, settings)
    if "name" not in raw:
        table = raw.get("data")
        known = table.get("set", "seeds") if isinstance(table, dict) else "seeds"
        raw["name"] = str(known) if path is None else path.stem
    return parse_design(raw, Source(where, text, settled))


def parse_design(raw: Mapping[str, Any], at: Source | None = None) -> Design:
    """Return the design that plain data describe. Raises BadInput as `read_design` does."""
    at = at or Source("design")
    for key in raw:
        if key not in ("name", "seed", *_TABLES):
            raise at.bad((key,), unknown("key", key, ["name", "seed", *_TABLES]))
    name, seed = raw.get("name", "printed"), raw.get("seed", 0)
    if not isinstance(name, str) or not name.strip():
        raise at.bad(("name",), f"name takes a text, got {shown(name)}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise at.bad(("seed",), f"seed takes a whole number from 0 to 2^63 - 1, got {shown(seed)}")
    made: dict[str, Any] = {
        key: validated(at, (key,), table, raw.get(key, {})) for key, table in _TABLES.items()
    }
    cost: CostTable = made["cost"]
    try:
        load_technology(cost.technology).parameter("area_NAND2X1")
        load_technology(cost.technology).parameter("adder_full")
    except (ValueError, OSError) as wrong:
        raise at.bad(("cost", "technology"), str(wrong)) from wrong
    for key, programs in (("map", ("yosys",)), ("simulate", ("iverilog", "vvp"))):
        if getattr(cost, key):
            try:
                need(*programs)
            except Absent as wrong:
                raise at.bad(("cost", key), f"{wrong}; or say {key} = false") from wrong
    return Design(name=name, seed=seed, raw=dict(raw), at=at, **made)
