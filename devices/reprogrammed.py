"""Updates for a device that can only be written: a digital copy learns, and is written anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .arrays import Array
from .base import Can, Device
from .crossbar import Crossbar
from .host import Host
from .inside import inner_state, make_inside, restore_inner
from .ledger import Count, Ledger
from .seeds import Draw


@dataclass(kw_only=True, eq=False)
class Reprogrammed(Device):
    """A device that can be programmed, with a copy of its matrix on the host that learns.

    An update adds rate * y^T x to the copy, which the host counts, and after every `every`
    updates the device is programmed with the copy: all its cells, with the noise of the write, and
    verified where the device verifies. In between, and where training ends in between, the device
    lags behind its copy. Prices, part and technology are those of the device inside.
    """

    of: Mapping[str, Any] = field(default_factory=lambda: {"device": "crossbar"})
    """The device inside: a table with `device` and its settings."""
    every: int = 1
    """Updates from one write to the next."""

    usual_technology = Crossbar.usual_technology
    is_tile = True

    def __post_init__(self) -> None:
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise ValueError(f"{self.name}: every takes a whole number from 1, got {self.every!r}")
        self.inner = self._made()
        self.technology, self.part = self.inner.technology, self.part or self.inner.part
        self.usual_technology = self.inner.usual_technology  # type: ignore[misc]
        super().__post_init__()
        self._install()
        self.can = self.inner.can | Can.UPDATE  # type: ignore[misc]
        self._copy = self.inner.matrix().astype(np.float32)
        self._updates = np.zeros(1, np.int64)

    def _install(self) -> None:
        """Let the ledger know the settings and units of the device inside: prices follow them."""
        inside = self.inner.ledger.devices[self.name]
        settings = (("inside", inside.kind), ("every", self.every), *inside.settings)
        own = self.ledger.devices[self.name]
        self.ledger.devices[self.name] = own._replace(settings=settings)
        for units in self.inner.ledger.units.values():
            self.ledger.build(self.name, units)

    def _made(self) -> Device:
        from .paired import Paired

        wrappers = (Reprogrammed, Paired)
        return make_inside(self, self.of, wrappers, self.n_out, self.n_in, self.name, Ledger())

    def matrix(self) -> Array:
        return self.inner.matrix()

    def noise_std(self) -> float | None:
        return self.inner.noise_std()

    def wear(self) -> Array | None:
        return self.inner.wear()

    def _multiply(self, x: Any, draw: Draw) -> Any:
        y = self.inner.multiply(x)
        self._account(Can.MULTIPLY)
        return y

    def _transpose(self, y: Any, draw: Draw) -> Any:
        x = self.inner.transpose(y)
        self._account(Can.TRANSPOSE)
        return x

    def _program(self, w: Any, draw: Draw) -> None:
        self.inner.program(w)
        self._copy[:] = w
        self._account(Can.PROGRAM)

    def _update(self, y: Any, x: Any, rate: float, draw: Draw) -> None:
        host = self.ledger.devices.get("host")
        beside = Host(self.ledger, "ideal" if host is None else host.technology)
        y, x = (np.asarray(a, np.float32) for a in (y, x))
        beside.gradient(y, x, rate, into=self._copy, keep=1.0)
        self._updates += 1
        if self._updates[0] % self.every == 0:
            self.inner.program(self._copy)
            self._account(None)

    def _account(self, verb: Can | None) -> None:
        """Take over what the device inside wrote down: of `verb` the work, of others all."""
        for step, tally in self.inner.ledger.steps.items():
            for op, work in zip(step.ops, tally.work, strict=True):
                events = dict(zip(op.depths, work, strict=True))
                if verb is not None and op.verb == verb.name:
                    for (event, _), amount in events.items():
                        self._tell(event, amount)
                elif op.verb not in Can.__members__:
                    counts = {event: Count(amount, d) for (event, d), amount in events.items()}
                    self.ledger.record(self.name, op.verb, op.batch, counts)
        self.inner.ledger.steps.clear()

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        """Count an update as its share of the write that it is waited for with."""
        if verb is not Can.UPDATE:
            return self.inner.cost(verb, batch)
        written = self.inner.cost(Can.PROGRAM, self.n_out)
        return {e: Count(c.work / self.every, c.depth / self.every) for e, c in written.items()}

    def _state(self) -> dict[str, Array]:
        inside = inner_state("inner", self.inner)
        return {"copy": self._copy, "updates": self._updates, **inside}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._copy[:], self._updates[:] = arrays["copy"], arrays["updates"]
        restore_inner("inner", self.inner, arrays)
