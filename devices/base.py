"""The one interface of every device: a noisy linear operator that writes down what it did."""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from .arrays import Array, elsewhere, like, rows
from .ledger import Count, Installed, Ledger
from .seeds import Draw, Seed

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator


class Can(enum.Flag):
    """What a device is able to do. Read off the hooks that its class implements."""

    MULTIPLY = enum.auto()
    """y = W x, with a W that may be fixed."""
    TRANSPOSE = enum.auto()
    """x = W^T y, on the same physical W."""
    PROGRAM = enum.auto()
    """W := given."""
    UPDATE = enum.auto()
    """W += rate * y^T x, in place."""


_HOOKS = {
    Can.TRANSPOSE: "_transpose",
    Can.PROGRAM: "_program",
    Can.UPDATE: "_update",
}
SET_BY_MAPPING = {"n_out", "n_in", "name", "seed", "ledger"}
"""Fields of a device that a mapping sets; all others can be set in an experiment file."""
_OWN = SET_BY_MAPPING | {"technology", "part"}


def words(can: Can) -> str:
    """Return the abilities in words.

    >>> words(Can.MULTIPLY | Can.UPDATE)
    'MULTIPLY and UPDATE'
    """
    names = [ability.name or "" for ability in can]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


class Unable(TypeError):
    """A device was asked for what its hardware cannot do."""


@dataclass(kw_only=True, eq=False)
class Device(abc.ABC):
    """A matrix W (n_out, n_in) held in hardware.

    A device file writes the hooks (`_multiply`, `_cost`, `matrix`, and those of TRANSPOSE,
    PROGRAM and UPDATE that its hardware can do). Everyone else calls the verbs. A verb checks
    shapes, hands the hook the draws of this one operation, and writes it into the ledger.
    Whatever a subclass adds as a dataclass field can be set in an experiment file.
    """

    n_out: int
    n_in: int
    name: str = "device"
    seed: Seed = field(default_factory=Seed, repr=False)
    ledger: Ledger = field(default_factory=Ledger, repr=False)
    technology: str = ""
    """Stem of a file in devices/technology, or a path to one; empty: the device's usual one."""
    part: str = ""
    """The physical thing that works for this matrix; empty: see `is_tile`."""

    can: ClassVar[Can] = Can.MULTIPLY
    usual_technology: ClassVar[str]
    is_tile: ClassVar[bool] = False
    """True where a matrix occupies hardware of its own; False where one machine takes turns."""
    digital: ClassVar[bool] = False
    """True where the matrix is held as numbers: what is read is what was written."""

    written_once: ClassVar[bool] = False
    """True where a second `program` is refused."""

    def __init_subclass__(cls) -> None:
        cls.can = Can.MULTIPLY
        for ability, hook in _HOOKS.items():
            if getattr(cls, hook) is not getattr(Device, hook):
                cls.can |= ability

    def __post_init__(self) -> None:
        for size in ("n_out", "n_in"):
            got = getattr(self, size)
            if isinstance(got, bool) or not isinstance(got, (int, np.integer)) or got < 1:
                raise ValueError(f"{self.name}: {size} takes a whole number from 1, got {got!r}")
        if not isinstance(self.seed, Seed):
            raise ValueError(f"{self.name}: seed takes a Seed, as Seed(1), got {self.seed!r}")
        self.technology = self.technology or self.usual_technology
        self.part = self.part or (self.name if self.is_tile else self.technology)
        self._operations = 0
        self._stream = self.seed.child(self.name)
        self._costs: dict[tuple[Can, int], Mapping[str, Count]] = {}
        self._told: dict[str, float] = {}
        self.ledger.install(
            self.name,
            Installed(
                type(self).__name__,
                self.technology,
                self.part,
                self.n_out,
                self.n_in,
                tuple((f.name, getattr(self, f.name)) for f in fields(self) if f.name not in _OWN),
            ),
        )

    # ---- the hooks: what a device file writes ----------------------------------------

    @abc.abstractmethod
    def matrix(self) -> Array:
        """Return the W (n_out, n_in) that the device stands for, free of read noise."""

    @abc.abstractmethod
    def _multiply(self, x: Any, draw: Draw) -> Any:
        """Map x (batch, n_in) to y (batch, n_out)."""

    def _transpose(self, y: Any, draw: Draw) -> Any:
        """Map y (batch, n_out) to x (batch, n_in)."""
        raise Unable(f"{self.name}: {type(self).__name__} cannot read its matrix the other way")

    def _program(self, w: Any, draw: Draw) -> None:
        """Write w (n_out, n_in)."""
        raise Unable(f"{self.name}: the matrix of {type(self).__name__} is fixed")

    def _update(self, y: Any, x: Any, rate: float, draw: Draw) -> None:
        """Add rate * y^T x, of y (batch, n_out) and x (batch, n_in), in place."""
        raise Unable(f"{self.name}: {type(self).__name__} cannot be updated in place")

    @abc.abstractmethod
    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        """Return the events of one verb on `batch` vectors; depends on nothing else."""

    @final
    def _tell(self, event: str, work: float) -> None:
        """Write into this operation's record how often an event really took place.

        For what depends on the data, where `_cost` can only bound it; the depth stays `_cost`'s.
        """
        self._told[event] = work

    def _enter(self, x: Any, width: int, what: str) -> Any:
        """Return x as rows (batch, width) of the array type that the hooks work in.

        A device that is simulated on this processor takes a GPU's tensor over, and counts the
        bytes.
        """
        if elsewhere(x):
            self.ledger.move(self.name, x.numel() * x.element_size())
        return rows(x, width, f"{self.name}: {what}")

    def _clock_s(self) -> float:
        """Return the time in seconds on real hardware that measures itself; else 0."""
        return 0.0

    def _state(self) -> dict[str, Array]:
        """Return the arrays that a checkpoint must hold beside the settings and the seed."""
        return {}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        """Take back what `_state` returned; a device without arrays has nothing to take."""
        return

    def noise_std(self) -> float | None:
        """Return a floor of the Gaussian noise on each output of `multiply`, in output units.

        None where the hardware promises no such noise; privacy counts only what is promised.
        """
        return None

    def wear(self) -> Array | None:
        """Return how often each cell was written, in any shape; None where nothing wears."""
        return None

    # ---- the verbs: what everyone else calls -----------------------------------------

    @final
    def multiply(self, x: Any) -> Any:
        """Map x (batch, n_in) to y (batch, n_out), in the array type of x.

        Raises ValueError for another shape, and for inputs that the hardware cannot show.
        """
        y = self._run(Can.MULTIPLY, self._multiply, self._enter(x, self.n_in, "x"))
        return self._leave(y, x)

    @final
    def transpose(self, y: Any) -> Any:
        """Map y (batch, n_out) to x (batch, n_in), in the array type of y.

        Raises ValueError for another shape, Unable where the hardware has no such way.
        """
        x = self._run(Can.TRANSPOSE, self._transpose, self._enter(y, self.n_out, "y"))
        return self._leave(x, y)

    @final
    def program(self, w: Any) -> None:
        """Write w (n_out, n_in).

        Raises ValueError for another shape, Unable where the matrix is fixed.
        """
        w = self._enter(w, self.n_in, "w")
        if w.shape[0] != self.n_out:
            raise ValueError(f"{self.name}: w takes {(self.n_out, self.n_in)}, got {w.shape}")
        self._run(Can.PROGRAM, self._program, w)

    @final
    def update(self, y: Any, x: Any, rate: float) -> None:
        """Add rate * y^T x, of y (batch, n_out) and x (batch, n_in), in place.

        Raises ValueError for other shapes, Unable where the matrix cannot be updated.
        """
        y, x = self._enter(y, self.n_out, "y"), self._enter(x, self.n_in, "x")
        if y.shape[0] != x.shape[0]:
            raise ValueError(f"{self.name}: y has {y.shape[0]} rows, x has {x.shape[0]}")
        self._run(Can.UPDATE, self._update, y, x, rate)

    def _leave(self, result: Any, given: Any) -> Any:
        """Return a result in the array type of what was given; bytes that move are counted."""
        if elsewhere(given) and not elsewhere(result):
            self.ledger.move(self.name, result.nbytes)
        return like(result, given)

    def _run(self, verb: Can, hook: Any, *args: Any) -> Any:
        draw = self._stream.at(self._operations)
        batch = args[0].shape[0]
        start = self._clock_s()
        result = hook(*args, draw)
        seconds = self._clock_s() - start
        self._operations += 1
        name = verb.name or ""
        events = self.cost(verb, batch)
        if self._told:
            events = {e: Count(self._told.get(e, c.work), c.depth) for e, c in events.items()}
            self._told = {}
        self.ledger.record(self.name, name, batch, events)
        if seconds > 0:
            self.ledger.measure(self.name, name, batch, seconds)
        return result

    @final
    def cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        """Return the events of one verb on `batch` vectors, without doing anything."""
        key = (verb, batch)
        if key not in self._costs:
            self._costs[key] = self._cost(verb, batch)
        return self._costs[key]

    @final
    def state(self) -> dict[str, Array]:
        """Return all that a checkpoint needs to go on bit for bit."""
        return {"operations": np.array([self._operations], np.int64), **self._state()}

    @final
    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on from what `state` returned."""
        self._operations = int(arrays["operations"][0])
        self._restore(arrays)

    @final
    def to_scipy(self) -> LinearOperator:
        """Return the device as a scipy LinearOperator, for SciPy's and PyLops' solvers."""
        from scipy.sparse.linalg import LinearOperator

        def forward(x: Array) -> Array:
            return np.asarray(self.multiply(np.reshape(x, (1, -1)))[0])

        def backward(y: Array) -> Array:
            return np.asarray(self.transpose(np.reshape(y, (1, -1)))[0])

        return LinearOperator((self.n_out, self.n_in), forward, backward, dtype=np.float64)
