"""A transpose for devices that are read one way only: two of them hold W and its transpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .ageing import Ageing
from .arrays import Array
from .base import Can, Device
from .inside import inner_state, make_inside, restore_inner
from .ledger import Count
from .pulsed_crossbar import PulsedCrossbar
from .seeds import Draw


@dataclass(kw_only=True, eq=False)
class Paired(Device, Ageing):
    """Two devices that are only multiplied by: one holds W, the other its transpose.

    `multiply` asks the first and `transpose` the second. Whatever is written or added goes into
    both, one after the other, each with its own noise, so that the second is the first's transpose
    no better than its cells are: on pulsed arrays the two drift apart. The ledger knows them as two
    devices, NAME and NAME/transposed, each with its own prices, area, place and wear.
    """

    of: Mapping[str, Any] = field(default_factory=lambda: {"device": "pulsed_crossbar"})
    """Both devices: a table with `device` and its settings."""

    usual_technology = PulsedCrossbar.usual_technology
    is_tile = True

    def __post_init__(self) -> None:
        of = {**self.of, "part": self.part} if self.part else self.of
        self.ahead = make_inside(self, of, (Paired,), self.n_out, self.n_in, self.name, self.ledger)
        installed = self.ledger.devices.pop(self.name)
        self.technology, self.part = self.ahead.technology, self.ahead.part
        self.usual_technology = self.ahead.usual_technology  # type: ignore[misc]
        super().__post_init__()
        self.ledger.devices[self.name] = installed
        transposed = f"{self.name}/transposed"
        self.back = make_inside(self, of, (Paired,), self.n_in, self.n_out, transposed, self.ledger)
        written = self.ahead.can & (Can.PROGRAM | Can.UPDATE)
        self.can = Can.MULTIPLY | Can.TRANSPOSE | written  # type: ignore[misc]
        self.written_once = self.ahead.written_once  # type: ignore[misc]

    def matrix(self) -> Array:
        return self.ahead.matrix()

    def noise_std(self) -> float | None:
        return self.ahead.noise_std()

    def wear(self) -> Array | None:
        both = [wear.ravel() for d in (self.ahead, self.back) if (wear := d.wear()) is not None]
        return np.concatenate(both) if both else None

    @property
    def drifts(self) -> bool:
        return isinstance(self.ahead, Ageing) and self.ahead.drifts

    def wait(self, seconds: float) -> None:
        for device in (self.ahead, self.back):
            if isinstance(device, Ageing):
                device.wait(seconds)

    def compensate(self, per_column: bool = False) -> None:
        for device in (self.ahead, self.back):
            if isinstance(device, Ageing):
                device.compensate(per_column)

    def _enter(self, x: Any, width: int, what: str) -> Any:
        return self.ahead._enter(x, width, what)

    def _run(self, verb: Can, hook: Any, *args: Any) -> Any:
        """Do what the verb's hook does; the two devices write it into the ledger themselves."""
        return hook(*args, self._stream.at(0))

    def _multiply(self, x: Any, draw: Draw) -> Any:
        return self.ahead.multiply(x)

    def _transpose(self, y: Any, draw: Draw) -> Any:
        return self.back.multiply(y)

    def _program(self, w: Any, draw: Draw) -> None:
        self.ahead.program(w)
        self.back.program(w.T)

    def _update(self, y: Any, x: Any, rate: float, draw: Draw) -> None:
        self.ahead.update(y, x, rate)
        self.back.update(x, y, rate)

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        if verb is Can.MULTIPLY:
            return self.ahead.cost(verb, batch)
        if verb is Can.TRANSPOSE:
            return self.back.cost(Can.MULTIPLY, batch)
        one = self.ahead.cost(verb, batch)
        other = self.back.cost(verb, self.n_in if verb is Can.PROGRAM else batch)
        none = Count(0, 0)
        return {
            event: Count(
                one.get(event, none).work + other.get(event, none).work,
                one.get(event, none).depth + other.get(event, none).depth,
            )
            for event in {**one, **other}
        }

    def _state(self) -> dict[str, Array]:
        return {**inner_state("ahead", self.ahead), **inner_state("back", self.back)}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        restore_inner("ahead", self.ahead, arrays)
        restore_inner("back", self.back, arrays)
