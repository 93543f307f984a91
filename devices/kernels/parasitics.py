"""Ladder networks, and the voltages of a resistive crossbar with one input, in float64.

A ladder is a line of nodes: node k has a conductance g_k to a source f_k / g_k (f_k is the current
which that source can inject), neighbours are joined by a segment, and the first node (where
`both`, the last too) is joined to a terminal. Seen from node k, all that lies on the terminal's
side is a Thevenin source of voltage E_k and resistance q_k:

    p = q_(k-1) + segment,   t_k = 1 / (1 + g_k p),   q_k = p t_k,   E_k = t_k E_(k-1) + q_k f_k
    c_k = q_k / (q_k + segment),   u_k = (1 - c_k) E_k + c_k u_(k+1)

with p = end at node 0. Nothing is subtracted from q and no conductance of a segment occurs, so
segments of 0 ohm are exact: nodes so joined get the same u, bit for bit. `c` of the last node is
0, or q / (q + end) towards a terminal.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Doubles = npt.NDArray[np.float64]


@njit(cache=True, error_model="numpy")
def ladder(
    g: Doubles, segment_ohm: float, end_ohm: float, both: bool, t: Doubles, q: Doubles, c: Doubles
) -> None:
    """Write the coefficients (nodes, lines) of ladders of conductance g (nodes, lines)."""
    nodes, lines = g.shape
    zero, one = np.float64(0), np.float64(1)
    for k in range(nodes):
        gk, tk, qk, ck, before = g[k], t[k], q[k], c[k], q[max(k - 1, 0)]
        for i in range(lines):
            p = end_ohm if k == 0 else before[i] + segment_ohm
            tk[i] = one / (one + gk[i] * p)
            qk[i] = p * tk[i]
        if k < nodes - 1 or both:
            beyond = segment_ohm if k < nodes - 1 else end_ohm
            for i in range(lines):
                ck[i] = qk[i] / (qk[i] + beyond) if qk[i] > zero else zero
        else:
            for i in range(lines):
                ck[i] = zero


@njit(cache=True, error_model="numpy")
def climb(t: Doubles, q: Doubles, c: Doubles, f: Doubles, end: Doubles, u: Doubles) -> None:
    """Write the node voltages u of ladders (nodes, lines) fed f, their terminals held at `end`.

    u may be f itself.
    """
    nodes, lines = f.shape
    one = np.float64(1)
    for k in range(nodes):
        tk, qk, fk, uk = t[k], q[k], f[k], u[k]
        before = end if k == 0 else u[k - 1]
        for i in range(lines):
            uk[i] = tk[i] * before[i] + qk[i] * fk[i]
    for back in range(nodes):
        k = nodes - 1 - back
        ck, uk = c[k], u[k]
        after = end if back == 0 else u[k + 1]
        for i in range(lines):
            uk[i] = (one - ck[i]) * uk[i] + ck[i] * after[i]


@njit(cache=True, error_model="numpy")
def _turn(a: Doubles, out: Doubles) -> None:
    """Transpose in blocks of 16 x 16."""
    m, n = a.shape
    for i0 in range(0, m, 16):
        for j0 in range(0, n, 16):
            for i in range(i0, min(i0 + 16, m)):
                for j in range(j0, min(j0 + 16, n)):
                    out[j, i] = a[i, j]


@njit(cache=True, error_model="numpy")
def _times(g: Doubles, x: Doubles, out: Doubles) -> None:
    for k in range(len(x)):
        out[k] = g[k] * x[k]


@njit(cache=True, error_model="numpy")
def _scale(a: float, x: Doubles, out: Doubles) -> None:
    for k in range(len(x)):
        out[k] = a * x[k]


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _dot(x: Doubles, y: Doubles) -> float:
    total = 0.0
    for k in range(len(x)):
        total += x[k] * y[k]
    return total


@njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract"})
def _apply(p: Doubles, bp: Doubles, gu: Doubles) -> float:
    """Write S p = bp - gu over gu; return p . S p."""
    total = 0.0
    for k in range(len(p)):
        gu[k] = bp[k] - gu[k]
        total += p[k] * gu[k]
    return total


@njit(cache=True, error_model="numpy")
def _descend(a: float, p: Doubles, sp: Doubles, w: Doubles, r: Doubles) -> None:
    for k in range(len(p)):
        w[k] += a * p[k]
        r[k] -= a * sp[k]


@njit(cache=True, error_model="numpy")
def _direct(b: float, z: Doubles, r: Doubles, p: Doubles, bp: Doubles) -> None:
    for k in range(len(p)):
        p[k] = z[k] + b * p[k]
        bp[k] = r[k] + b * bp[k]


@njit(cache=True, error_model="numpy")
def one(
    g: Doubles,
    gt: Doubles,
    word: Doubles,
    bit: Doubles,
    v: Doubles,
    tolerance: float,
    steps: Doubles,
    kept: Doubles,
    work: Doubles,
    u: Doubles,
    w: Doubles,
) -> tuple[int, float]:
    """Solve for the node voltages u, w (rows, columns) of one input v (rows,); 0 V at the bit ends.

    Conjugate gradients on S w = G A^-1 v, S = B - G A^-1 G, with B^-1 as preconditioner; the
    product B p follows from the recurrence of p, so B itself is never formed. `gt` is g transposed,
    `work` (4, rows, columns) is scribbled on. `word` (3, columns,
    rows) and `bit` (3, rows, columns) hold t, q, c of the ladders. `steps` (most steps, 2) takes
    alpha and beta of each step, `kept` (some, rows, columns) the first residuals, of norm 1.
    Returns how many steps were taken and the residual, in the norm of B^-1, relative to the first.
    """
    m, n = g.shape
    mn = m * n
    r, p, bp, ut, s = work[0], work[1], work[2], work[3].reshape(n, m), u
    flat, flat_t, flat_r, flat_p = g.reshape(mn), gt.reshape(mn), r.reshape(mn), p.reshape(mn)
    flat_bp, flat_ut, flat_s = bp.reshape(mn), ut.reshape(mn), s.reshape(mn)
    ground, held = np.zeros(n), np.zeros(m)
    ut[:] = 0
    climb(word[0], word[1], word[2], ut, v, ut)
    _turn(ut, r)
    _times(flat, flat_r, flat_r)
    climb(bit[0], bit[1], bit[2], r, ground, p)
    w[:] = 0
    bp[:] = r
    rest = first = _dot(flat_r, flat_p)
    taken = 0
    while taken < len(steps) and rest > tolerance * tolerance * first:
        if taken < len(kept):
            _scale(1 / np.sqrt(rest), flat_r, kept[taken].reshape(mn))
        _turn(p, ut)
        _times(flat_t, flat_ut, flat_ut)
        climb(word[0], word[1], word[2], ut, held, ut)
        _turn(ut, s)
        _times(flat, flat_s, flat_s)
        alpha = rest / _apply(flat_p, flat_bp, flat_s)
        _descend(alpha, flat_p, flat_s, w.reshape(mn), flat_r)
        climb(bit[0], bit[1], bit[2], r, ground, s)
        before, rest = rest, _dot(flat_r, flat_s)
        steps[taken, 0], steps[taken, 1] = alpha, rest / before
        _direct(rest / before, flat_s, flat_r, flat_p, flat_bp)
        taken += 1
    _turn(w, ut)
    _times(flat_t, flat_ut, flat_ut)
    climb(word[0], word[1], word[2], ut, v, ut)
    _turn(ut, u)
    return taken, 0.0 if rest <= 0 else np.sqrt(rest / first)


def ladder_reference(
    g: Doubles, segment_ohm: float, end_ohm: float, both: bool, t: Doubles, q: Doubles, c: Doubles
) -> None:
    """Do what `ladder` does."""
    p = np.full(g.shape[1], end_ohm)
    for k in range(len(g)):
        t[k] = 1 / (1 + g[k] * p)
        q[k] = p * t[k]
        p = q[k] + segment_ohm
    beyond = np.full((len(g), 1), segment_ohm)
    beyond[-1] = end_ohm if both else np.inf
    c[:] = np.divide(q, q + beyond, out=np.zeros_like(q), where=q > 0)


def climb_reference(
    t: Doubles, q: Doubles, c: Doubles, f: Doubles, end: Doubles, u: Doubles
) -> None:
    """Do what `climb` does."""
    e = end
    for k in range(len(f)):
        u[k] = e = t[k] * e + q[k] * f[k]
    e = end
    for k in reversed(range(len(f))):
        u[k] = e = (1 - c[k]) * u[k] + c[k] * e


def one_reference(
    g: Doubles,
    gt: Doubles,
    word: Doubles,
    bit: Doubles,
    v: Doubles,
    tolerance: float,
    steps: Doubles,
    kept: Doubles,
    work: Doubles,
    u: Doubles,
    w: Doubles,
) -> tuple[int, float]:
    """Do what `one` does, but for the order of its sums; leaves `work` alone."""
    m, n = g.shape

    def words(f: Doubles, v: Doubles) -> Doubles:
        out = np.empty((n, m))
        climb_reference(word[0], word[1], word[2], f.T, v, out)
        return out.T

    def bits(f: Doubles) -> Doubles:
        out = np.empty((m, n))
        climb_reference(bit[0], bit[1], bit[2], f, np.zeros(n), out)
        return out

    w[:] = 0
    r = g * words(np.zeros((m, n)), v)
    z = bits(r)
    p, bp = z, r
    rest = first = np.sum(r * z)
    taken = 0
    while taken < len(steps) and rest > tolerance**2 * first:
        if taken < len(kept):
            kept[taken] = r / np.sqrt(rest)
        sp = bp - g * words(g * p, np.zeros(m))
        alpha = rest / np.sum(p * sp)
        w += alpha * p
        r = r - alpha * sp
        z = bits(r)
        before, rest = rest, np.sum(r * z)
        steps[taken] = alpha, rest / before
        p, bp = z + rest / before * p, r + rest / before * bp
        taken += 1
    u[:] = words(g * w, v)
    return taken, 0.0 if rest <= 0 else float(np.sqrt(rest / first))
