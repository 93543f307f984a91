"""Linear systems on noisy hardware: residuals in float64, corrections by whatever device there is.

Iterative refinement with an inexact inner solver [Le Gallo et al., "Mixed-precision in-memory
computing", Nature Electronics 1, 2018]: x += z with A z = r solved roughly, every product of the
inner solver on the device, every residual r = b - A x in float64. The right-hand side is scaled to
length 1 first, so that a device works at its full range whatever is left to correct.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .arrays import Array
from .base import Device

if TYPE_CHECKING:
    from scipy.sparse.linalg import LinearOperator

Inner = Literal["cg", "gmres", "gcrotmk"]


@dataclass(frozen=True)
class Refined:
    """A solution and how it was reached."""

    x: Array
    residuals: tuple[float, ...]
    """|b - A x| / |b| before and after every correction."""
    products: int
    """Matrix products on the device."""

    @property
    def residual(self) -> float:
        """|b - A x| / |b| of the solution."""
        return self.residuals[-1]


class _Counting:
    """Products with one vector at a time, scaled to length 1, and how many there were."""

    def __init__(self, device: Device | LinearOperator) -> None:
        self.count = 0
        self._operator = device.to_scipy() if isinstance(device, Device) else device

    def operator(self) -> Any:
        from scipy.sparse.linalg import LinearOperator

        def matvec(v: Array) -> Array:
            self.count += 1
            size = float(np.linalg.norm(v)) or 1.0
            return np.asarray(self._operator.matvec(np.ravel(v) / size), np.float64) * size

        return LinearOperator(self._operator.shape, matvec=matvec, dtype=np.float64)


def inner_solve(operator: Any, rhs: Array, inner: Inner, steps: int) -> Array:
    """Return z with A z near rhs, after at most so many products; never checked to be near."""
    from scipy.sparse.linalg import cg, gcrotmk, gmres

    tiny = 1e-14
    if inner == "cg":
        z, _ = cg(operator, rhs, rtol=tiny, maxiter=steps)
    elif inner == "gmres":
        z, _ = gmres(operator, rhs, rtol=tiny, restart=steps, maxiter=1)
    else:
        z, _ = gcrotmk(operator, rhs, rtol=tiny, maxiter=1, m=steps, k=max(1, steps // 4))
    return np.asarray(z)


def refine(
    a: Array,
    b: Array,
    device: Device | LinearOperator,
    inner: Inner = "cg",
    steps: int = 20,
    tolerance: float = 1e-12,
    most: int = 60,
) -> Refined:
    """Solve A x = b of a square A (n, n), which the device approximates, to |r| <= tolerance |b|.

    `device` is a `Device` that holds A, or a SciPy LinearOperator. It stops after
    `most` corrections, or where the residual has grown a thousandfold. Raises ValueError where
    sizes do not fit.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    n = len(b)
    counting = _Counting(device)
    operator = counting.operator()
    if a.shape != (n, n) or operator.shape != (n, n):
        raise ValueError(
            f"refine takes A and a device of ({n}, {n}), got {a.shape} and {operator.shape}"
        )
    x, whole = np.zeros(n), float(np.linalg.norm(b))
    r, residuals = b.copy(), [1.0]
    for _ in range(most):
        size = float(np.linalg.norm(r))
        if size <= tolerance * whole or not size <= 1e3 * whole:
            break
        x += size * inner_solve(operator, r / size, inner, steps)
        r = b - a @ x
        residuals.append(float(np.linalg.norm(r)) / whole)
    return Refined(x, tuple(residuals), counting.count)
