"""Random streams that depend on names, never on the order in which things run."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np


@functools.cache
def _key(entropy: int, path: tuple[str, ...]) -> tuple[int, int]:
    words = [
        int.from_bytes(hashlib.blake2s(name.encode(), digest_size=4).digest()) for name in path
    ]
    state = np.random.SeedSequence(entropy, spawn_key=words).generate_state(2, np.uint64)
    return int(state[0]), int(state[1])


@dataclass(frozen=True, slots=True)
class Seed:
    """A named place in one tree of random streams.

    Two seeds with the same entropy and path give the same numbers in any process, in any
    order. So a device added to a run, or a sweep run on more cores, changes no other stream.

    >>> a, b = Seed(7).child("crossbar"), Seed(7).child("crossbar")
    >>> a.rng(step=3).integers(100) == b.rng(step=3).integers(100)
    np.True_
    """

    entropy: int = 0
    path: tuple[str, ...] = ()

    def child(self, name: str) -> Seed:
        """Return the stream called `name` below this one."""
        return Seed(self.entropy, (*self.path, name))

    def at(self, step: int) -> Draw:
        """Return the draws of operation number `step`; nothing is computed until they are asked."""
        return Draw(self, step)

    def rng(self, step: int = 0) -> np.random.Generator:
        """Return the generator of operation number `step`; steps lie 2**128 draws apart."""
        return np.random.Generator(
            np.random.Philox(key=list(_key(self.entropy, self.path)), counter=[0, 0, step, 0])
        )

    def key(self, step: int = 0) -> np.uint64:
        """Return a 64-bit key for a counter-based kernel, one for each operation number `step`."""
        low, high = _key(self.entropy, self.path)
        word = hashlib.blake2s(
            low.to_bytes(8) + high.to_bytes(8) + step.to_bytes(8), digest_size=8
        ).digest()
        return np.uint64(int.from_bytes(word))


@dataclass(frozen=True, slots=True)
class Draw:
    """The random numbers that one operation of one device may draw."""

    seed: Seed
    step: int

    def rng(self) -> np.random.Generator:
        """Return a numpy generator; each call returns the same stream from its start."""
        return self.seed.rng(self.step)

    def key(self) -> np.uint64:
        """Return the 64-bit key of a counter-based kernel."""
        return self.seed.key(self.step)
