"""The currents of a resistive crossbar with many inputs at once, in float64.

The right-hand sides lie in the innermost axis, `LANES` of them side by side. t, q, c are the
coefficients of `kernels.parasitics.ladder`, here as (3, rows, columns) for word and bit lines.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Doubles = npt.NDArray[np.float64]

LANES = 16
"""Inputs side by side: enough to hide a ladder's latency, few enough for a row to stay in L1."""


@njit(cache=True, error_model="numpy")
def guess(response: Doubles, s: Doubles, mode: Doubles, weight: Doubles, w: Doubles) -> None:
    """Write response * s + mode * weight into w (rows, columns, LANES).

    response, mode are (rows, columns); s is (columns, LANES), weight (LANES,).
    """
    m, n = mode.shape
    for i in range(m):
        for j in range(n):
            a, b, wi = response[i, j], mode[i, j], w[i]
            for k in range(LANES):
                wi[j, k] = a * s[j, k] + b * weight[k]


@njit(cache=True, error_model="numpy")
def many(
    g: Doubles,
    word: Doubles,
    bit: Doubles,
    v: Doubles,
    s: Doubles,
    rho: float,
    tolerance: float,
    most: int,
    w: Doubles,
    last: Doubles,
    front: Doubles,
    by_word: Doubles,
    by_bit: Doubles,
) -> tuple[int, float]:
    """Improve bit-line voltages w (rows, columns, LANES) until they solve the array.

    The ends of the word lines are held at v (rows, LANES), those of the bit lines at s (columns,
    LANES). Solving the word lines for given w and then the bit lines is an iteration whose
    eigenvalues lie in [0, 1); Chebyshev's method (Golub and Varga 1961) is laid over those up to
    `rho`. `by_word` (rows, LANES) and `by_bit` (columns, LANES) take the currents that pass from
    each word line, and into each bit line, through its cells; `last` and `front` are work space
    like w. Returns the number of steps, at most `most`, and the largest change, relative to a
    lane's w, that solving the lines once more would make.
    """
    m, n = g.shape
    now = w
    e, hat = np.empty((n, LANES)), np.empty((n, LANES))
    total, norm, x = np.empty(LANES), np.empty(LANES), np.empty(LANES)
    sigma, gamma, omega, taken = rho / (2 - rho), 2 / (2 - rho), 1.0, 0
    while True:
        by_bit[:] = 0
        for i in range(m):
            tw, qw, cw, gi, wi = word[0, i], word[1, i], word[2, i], g[i], now[i]
            tb, qb, fi = bit[0, i], bit[1, i], front[i]
            below = s if i == 0 else front[i - 1]
            x[:] = v[i]
            for j in range(n):
                a, b = tw[j], qw[j] * gi[j]
                for k in range(LANES):
                    x[k] = a * x[k] + b * wi[j, k]
                    e[j, k] = x[k]
            x[:] = v[i]
            total[:] = 0
            for back in range(n):
                j = n - 1 - back
                a, b, c, d = tb[j], qb[j] * gi[j], cw[j], gi[j]
                for k in range(LANES):
                    x[k] = e[j, k] + c * (x[k] - e[j, k])
                    fi[j, k] = a * below[j, k] + b * x[k]
                    current = d * (x[k] - wi[j, k])
                    total[k] += current
                    by_bit[j, k] += current
            by_word[i] = total
        total[:] = 0
        norm[:] = 0
        hat[:] = s
        for back in range(m):
            i = m - 1 - back
            cb, fi, wi, li = bit[2, i], front[i], now[i], last[i]
            for j in range(n):
                c = cb[j]
                for k in range(LANES):
                    y = fi[j, k] + c * (hat[j, k] - fi[j, k])
                    hat[j, k] = y
                    change = y - wi[j, k]
                    total[k] += change * change
                    norm[k] += y * y
                    old = li[j, k] if taken > 0 else 0.0
                    li[j, k] = old + omega * (gamma * change + wi[j, k] - old)
        worst = 0.0
        for k in range(LANES):
            if total[k] > 0:
                worst = max(worst, np.sqrt(total[k] / norm[k]))
        if worst <= tolerance or taken == most:
            break
        now, last = last, now
        omega = 1 / (1 - sigma * sigma * (0.5 if taken == 0 else omega / 4))
        taken += 1
    if taken % 2 == 1:
        last[:] = now
    return taken, worst


@njit(cache=True, error_model="numpy")
def across(g: Doubles, word: Doubles, v: Doubles, w: Doubles, x: Doubles) -> None:
    """Write the voltages across the cells, word line less bit line, into x; v, w as in `many`."""
    m, n = g.shape
    u = np.empty(LANES)
    for i in range(m):
        tw, qw, cw, gi, wi, xi = word[0, i], word[1, i], word[2, i], g[i], w[i], x[i]
        u[:] = v[i]
        for j in range(n):
            a, b = tw[j], qw[j] * gi[j]
            for k in range(LANES):
                u[k] = a * u[k] + b * wi[j, k]
                xi[j, k] = u[k]
        u[:] = v[i]
        for back in range(n):
            j = n - 1 - back
            for k in range(LANES):
                u[k] = xi[j, k] + cw[j] * (u[k] - xi[j, k])
                xi[j, k] = u[k] - wi[j, k]


def guess_reference(
    response: Doubles, s: Doubles, mode: Doubles, weight: Doubles, w: Doubles
) -> None:
    """Do what `guess` does."""
    w[:] = response[:, :, None] * s + mode[:, :, None] * weight


def _words_reference(g: Doubles, word: Doubles, v: Doubles, w: Doubles) -> Doubles:
    """Return the word-line voltages (rows, columns, LANES)."""
    u, e = np.empty_like(w), v
    for j in range(g.shape[1]):
        f = g[:, j, None] * w[:, j]
        u[:, j] = e = word[0, :, j, None] * e + word[1, :, j, None] * f
    e = v
    for j in reversed(range(g.shape[1])):
        u[:, j] = e = u[:, j] + word[2, :, j, None] * (e - u[:, j])
    return u


def many_reference(
    g: Doubles,
    word: Doubles,
    bit: Doubles,
    v: Doubles,
    s: Doubles,
    rho: float,
    tolerance: float,
    most: int,
    w: Doubles,
    last: Doubles,
    front: Doubles,
    by_word: Doubles,
    by_bit: Doubles,
) -> tuple[int, float]:
    """Do what `many` does; leaves the work space alone."""
    sigma, omega = rho / (2 - rho), 1.0
    old = np.zeros_like(w)
    for taken in range(most + 1):
        u = _words_reference(g, word, v, w)
        current = g[:, :, None] * (u - w)
        by_word[:], by_bit[:] = current.sum(1), current.sum(0)
        hat, e = np.empty_like(w), s
        for i in range(len(g)):
            hat[i] = e = bit[0, i, :, None] * e + (bit[1, i] * g[i])[:, None] * u[i]
        e = s
        for i in reversed(range(len(g))):
            hat[i] = e = hat[i] + bit[2, i, :, None] * (e - hat[i])
        change, norm = np.sum((hat - w) ** 2, (0, 1)), np.sum(hat**2, (0, 1))
        worst = np.sqrt(np.max(np.divide(change, norm, out=np.zeros_like(norm), where=change > 0)))
        if worst <= tolerance or taken == most:
            break
        old, w[:] = w.copy(), old + omega * (2 / (2 - rho) * (hat - w) + w - old)
        omega = 1 / (1 - sigma**2 * (0.5 if taken == 0 else omega / 4))
    return taken, float(worst)


def across_reference(g: Doubles, word: Doubles, v: Doubles, w: Doubles, x: Doubles) -> None:
    """Do what `across` does."""
    x[:] = _words_reference(g, word, v, w) - w
