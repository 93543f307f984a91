"""What every optical medium is: a fixed random complex matrix that multiplies real rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .arrays import namespace, rows

Floats = npt.NDArray[np.float32]

MATRIX_ENTRIES = 2**28


class Medium(ABC):
    """A matrix R (n_out, n_in), CN(0, 1), that multiplies real rows.

    `exact` says whether the entries have the law of an i.i.d. Gaussian matrix; `key` is a 64-bit
    key such as `Seed.key()` gives. Raises ValueError where a number is out of its range.
    """

    kind: ClassVar[str]
    exact: ClassVar[bool] = True

    def __init__(self, n_out: int, n_in: int, key: int | np.uint64) -> None:
        for name, n in (("n_out", n_out), ("n_in", n_in)):
            if not 1 <= n < 2**32:
                raise ValueError(f"{name} of a medium takes 1 to 2**32 - 1, got {n}")
        if not 0 <= int(key) < 2**64:
            raise ValueError(f"key of a medium takes 0 to 2**64 - 1, got {key}")
        self.n_out, self.n_in, self.key = int(n_out), int(n_in), np.uint64(key)

    def apply(self, x: Any) -> tuple[Floats, Floats]:
        """Return real and imaginary part of x Rᵀ, float32 (batch, n_out), for real x (batch, n_in).

        Raises ValueError where x has another shape, is complex (apply its two parts and add) or
        holds a number that is not finite.
        """
        if "complex" in str(x.dtype if namespace(x) is not np else np.asarray(x).dtype):
            raise ValueError("a medium takes real x, got complex: apply the two parts and add")
        x = rows(x, self.n_in).astype(np.float32, copy=False)
        if not np.isfinite(x).all():
            raise ValueError("a medium takes finite x, got inf or nan")
        return self._apply(x)

    def matrix(self) -> tuple[Floats, Floats]:
        """Return the two parts of R, float32 (n_out, n_in) each.

        Raises ValueError above 2**28 entries.
        """
        if self.n_out * self.n_in > MATRIX_ENTRIES:
            raise ValueError(
                f"matrix() takes at most 2**28 entries, this medium has {self.n_out} x {self.n_in}"
            )
        return self._matrix()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the medium has become by its inputs; `restore` takes it back."""
        return {}

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Become what a medium of the same size and key was. Raises ValueError on a misfit."""
        if state:
            raise ValueError(f"a {self.kind} medium has no state, got {sorted(state)}")

    @abstractmethod
    def _apply(self, x: Floats) -> tuple[Floats, Floats]: ...

    def _matrix(self) -> tuple[Floats, Floats]:
        re, im = self.apply(np.eye(self.n_in, dtype=np.float32))
        return np.ascontiguousarray(re.T), np.ascontiguousarray(im.T)
