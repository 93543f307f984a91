"""Networks of any size without a number in them: what an algorithm demands and does, counted.

A dry device has sizes and prices but holds no matrix, and a dry host computes nothing; an
algorithm's own `step` runs on them and writes the ledger that it would write on real ones. So a
step of a trillion weights can be placed, timed and priced on a laptop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..devices import Can, Count, Crossbar, Device, Ledger, Seed
from ..devices.arrays import Array
from ..devices.crossbar_cost import cost_of
from ..devices.engine_cost import gemm_cost
from ..devices.host import Host
from ..devices.seeds import Draw
from ..devices.technology import load
from .demand import Demand
from .network import Network
from .place import Placement

Cost = Callable[[Can, int, int, int], Mapping[str, Count]]
"""Maps a verb, a batch, n_out and n_in to the events of one operation."""


@dataclass(frozen=True)
class Stand:
    """What a dry device stands for: a kind of device, its prices, its settings."""

    kind: str
    """Name of the device's class."""
    technology: str
    cost: Cost
    settings: tuple[tuple[str, Any], ...] = ()


def engine(technology: str = "nvidia_a100_fp32") -> Stand:
    """Return what a MatrixEngine counts."""
    return Stand("MatrixEngine", technology, gemm_cost)


def crossbar(technology: str = "pcm_hermes") -> Stand:
    """Return what a Crossbar of a technology's arrays, with usual settings, counts."""
    small = Crossbar(n_out=1, n_in=1, name="small", technology=technology)
    around, tiles, mapping = small._around, small._tiles, small._mapping

    def cost(verb: Can, batch: int, n_out: int, n_in: int) -> Mapping[str, Count]:
        if verb is Can.UPDATE:
            raise ValueError("a Crossbar is programmed, not updated: give the optimizer a momentum")
        return cost_of(verb, batch, around, replace(tiles, n_out=n_out, n_in=n_in), mapping)

    return Stand("Crossbar", technology, cost, small.ledger.devices["small"].settings)


def pulsed(technology: str = "rram_milo", length: int = 31) -> Stand:
    """Return what a PulsedCrossbar on tiles of 256 x 256 weights counts.

    Reads are those of PulsedCrossbar, with its columns on as many arrays as that takes side by
    side; an update is at most `length` pulses a sample, of all cells at once.
    """
    shared = int(load(technology).parameter("columns_per_adc"))

    def cost(verb: Can, batch: int, n_out: int, n_in: int) -> Mapping[str, Count]:
        cells = n_out * n_in
        if verb is Can.PROGRAM:
            return {"cell_write": Count(cells, min(n_in, 256))}
        if verb is Can.UPDATE:
            slots = batch * length
            return {"cell_write": Count(slots * cells, slots)}
        n_read, n_driven = (n_out, n_in) if verb is Can.MULTIPLY else (n_in, n_out)
        turns = min(shared, n_read, 256)
        return {
            "dac": Count(batch * n_driven, batch),
            "cell_read": Count(2 * batch * cells, batch),
            "adc": Count(batch * n_read, batch * turns),
        }

    return Stand("PulsedCrossbar", technology, cost)


def opu(technology: str = "opu_gen3", signed: bool = True) -> Stand:
    """Return what an OPU with ternary inputs counts."""
    of = load(technology).parameter
    frames, a_pass = int(of("linear_frames")), int(of("vectors_per_pass"))

    def cost(verb: Can, batch: int, n_out: int, n_in: int) -> Mapping[str, Count]:
        shown = batch * frames * (2 if signed else 1)
        calls = -(-shown // a_pass)
        return {"call": Count(calls, calls), "frame": Count(shown, shown)}

    return Stand("OPU", technology, cost)


@dataclass(kw_only=True, eq=False)
class Dry(Device):
    """A device that holds no matrix: it answers zeros of the right shape, without any memory."""

    stand: Stand
    usual_technology = "ideal"

    def __post_init__(self) -> None:
        super().__post_init__()
        installed = self.ledger.devices[self.name]
        self.ledger.devices[self.name] = installed._replace(
            kind=self.stand.kind, settings=self.stand.settings
        )

    def matrix(self) -> Array:
        return np.broadcast_to(np.float32(0), (self.n_out, self.n_in))

    def _enter(self, x: Any, width: int, what: str) -> Any:
        if x.ndim != 2 or x.shape[1] != width:
            raise ValueError(f"{self.name}: {what} takes (batch, {width}), got {x.shape}")
        return x

    def _multiply(self, x: Array, draw: Draw) -> Array:
        return np.broadcast_to(np.float32(0), (len(x), self.n_out))

    def _transpose(self, y: Array, draw: Draw) -> Array:
        return np.broadcast_to(np.float32(0), (len(y), self.n_in))

    def _program(self, w: Array, draw: Draw) -> None:
        return

    def _update(self, y: Array, x: Array, rate: float, draw: Draw) -> None:
        return

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        return self.stand.cost(verb, batch, self.n_out, self.n_in)


def dry_placement(
    network: Network,
    demands: Iterable[Demand],
    on: Mapping[str, Stand],
    host_technology: str,
) -> Placement:
    """Return a network on devices without numbers; `on` maps roles or names to what they stand for.

    Raises ValueError where a demand has none.
    """
    ledger, seed = Ledger(), Seed(0)
    devices: dict[str, Device] = {}
    for demand in demands:
        key = demand.served_by(on)
        if key is None:
            raise ValueError(f"{demand.name} has nothing to stand on: {demand.role} is not said")
        devices[demand.name] = Dry(
            n_out=demand.n_out,
            n_in=demand.n_in,
            name=demand.name,
            technology=on[key].technology,
            seed=seed,
            ledger=ledger,
            stand=on[key],
        )
    host = Host(ledger, host_technology, dry=True)
    placement = Placement(network, devices, host, ledger, seed)
    for name, value in network.digital().items():
        placement.digital[name] = np.broadcast_to(np.float32(0), value.shape)
    return placement
