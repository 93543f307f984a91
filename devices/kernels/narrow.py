"""Products of bfloat16 matrices whose sums are kept in few bits, normalised exactly or nearly.

The accumulator is a sign, an exponent e and a significand m of W bits: (-1)^s m 2^(e - W + 1). A
step takes the exact product of two bfloat16 numbers (16 bits; subnormals are 0), aligns the operand
of the smaller exponent, both with G guard bits, adds, takes a carry back by one place, normalises,
and drops the guard bits. m may stay with zeros at its head where normalisation is approximate:
then e is too large, and later alignments lose bits. That is the error of the scheme of Alexandridis
et al. (arXiv:2408.11997), whose body was not read: what is emulated is stated here, as settings.
Exponents have no limits; the result is rounded to float32 at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import intrinsic

from ..layouts import Adder

Floats = npt.NDArray[np.float32]


def _cast(source: Any, target: Any) -> Callable[[Any], Any]:
    """Return the function that reads the bits of one 32-bit type as those of another."""

    def typed(typing_context: Any, x: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(target))

        return target(source), build

    cast: Any = intrinsic(typed)
    return cast  # type: ignore[no-any-return]


def _binary(name: str) -> Callable[[Any, Any], Any]:
    """Return LLVM's instruction `name` on two int32; numba's own would widen them to 64 bits."""

    def typed(typing_context: Any, x: Any, y: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, name)(args[0], args[1])

        return types.int32(types.int32, types.int32), build

    operation: Any = intrinsic(typed)
    return operation  # type: ignore[no-any-return]


def _larger(typing_context: Any, x: Any, y: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(builder.icmp_signed(">", args[0], args[1]), args[0], args[1])

    return types.int32(types.int32, types.int32), build


def _chosen(typing_context: Any, test: Any, x: Any, y: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = builder.icmp_signed("==", args[0], context.get_constant(types.int32, 0))
        return builder.select(zero, args[1], args[2])

    return types.int32(types.int32, types.int32, types.int32), build


def _leading_zeros(typing_context: Any, x: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], context.get_constant(types.boolean, False))

    return types.int32(types.int32), build


_bits = _cast(types.float32, types.int32)
_shl, _shr, _sar = _binary("shl"), _binary("lshr"), _binary("ashr")
_add, _sub, _mul = _binary("add"), _binary("sub"), _binary("mul")
_and, _or, _xor = _binary("and_"), _binary("or_"), _binary("xor")
_max: Any = intrinsic(_larger)
_where0: Any = intrinsic(_chosen)  # (test, x, y): x where the test is 0, else y
_clz: Any = intrinsic(_leading_zeros)
_i = np.int32
_0, _1, _31, _32 = _i(0), _i(1), _i(31), _i(32)
_NOTHING = _i(-(1 << 20))
"""The exponent of zero: below all others."""


@njit(cache=True, error_model="numpy")
def _signed(m: Any, sign: Any) -> Any:
    """Return m, or -m where sign is -1."""
    return _sub(_xor(m, sign), sign)


def _cutting(nearest: bool) -> Any:
    """Return the function m >> by that, for rounding to nearest, keeps what fell off in a bit."""

    @njit(error_model="numpy")
    def cut(m: Any, by: Any) -> Any:
        by = _sub(_31, _max(_sub(_31, by), _0))
        kept = _shr(m, by)
        if nearest:
            lost = _xor(_shl(kept, by), m)
            return _or(kept, _where0(lost, _0, _1))
        return kept

    return cut


def _adding(exact: bool, nearest: bool) -> Any:
    """Return the step that adds the product p 2^ep to the accumulator, and gives both its parts."""
    cut = _cutting(nearest)

    @njit(error_model="numpy")
    def step(acc: Any, e: Any, p: Any, ep: Any, w: Any, g: Any, k: Any, kl: Any) -> Any:
        top = _add(w, g)
        d = _sub(e, ep)
        s1, s2 = _sar(acc, _31), _sar(p, _31)
        mine = cut(_shl(_signed(acc, s1), g), _max(_sub(_0, d), _0))
        other = cut(_signed(p, s2), _max(d, _0))
        v = _add(_signed(mine, s1), _signed(other, s2))
        e = _max(e, ep)
        sign = _sar(v, _31)
        u = _signed(v, sign)
        carry = _shr(u, top)
        e = _add(e, carry)
        u = cut(u, carry)
        if exact:
            shift = _sub(_clz(u), _sub(_32, top))
        else:
            near, far = _shr(u, _sub(top, k)), _shr(u, _sub(top, kl))
            shift = _where0(near, _where0(far, kl, k), _0)
        shift = _where0(u, _0, shift)
        u = _shl(u, shift)
        e = _sub(e, shift)
        if nearest:
            half = _sub(_shl(_1, _sub(g, _1)), _1)
            u = _add(u, _add(half, _and(_shr(u, g), _1)))
        m = _shr(u, g)
        if nearest:
            over = _shr(m, w)
            m = _shr(m, over)
            e = _add(e, over)
        return _signed(m, sign), _where0(m, _NOTHING, e)

    return step


_exact_cut, _exact_nearest = _adding(True, False), _adding(True, True)
_near_cut, _near_nearest = _adding(False, False), _adding(False, True)
_cut_plain, _cut_sticky = _cutting(False), _cutting(True)


@njit(cache=True, error_model="numpy")
def _factor(x: np.float32) -> tuple[Any, Any]:
    """Return the signed 8-bit significand of a bfloat16 number, and its exponent."""
    word = _bits(x)
    field = _and(_shr(word, _i(23)), _i(255))
    s = _signed(_or(_and(_shr(word, _i(16)), _i(127)), _i(128)), _sar(word, _31))
    return _where0(field, _0, s), _where0(field, _NOTHING, _sub(field, _i(127)))


@njit(cache=True, error_model="numpy", nogil=True)
def narrow(a: Floats, b: Floats, adder: Adder, out: Floats) -> None:
    """Write a b into out (rows, columns), of bfloat16 a (rows, k) and b (k, columns).

    Terms are added in the order of k. Both hold finite bfloat16 numbers as float32. Rounding to
    nearest takes guard bits.
    """
    rows, length = a.shape
    n = b.shape[1]
    w, g = _i(adder.significand), _i(adder.guard)
    k, kl = _i(adder.first), _i(adder.first + adder.second)
    exact, nearest = adder.first == 0, adder.nearest != 0
    place = adder.significand + adder.guard - 16
    left, right = _i(max(place, 0)), _i(max(-place, 0))
    significands, exponents = np.empty(b.shape, np.int32), np.empty(b.shape, np.int32)
    for r in range(length):
        source, m, x = b[r], significands[r], exponents[r]
        for j in range(n):
            m[j], x[j] = _factor(source[j])
    acc, e = np.empty(n, np.int32), np.empty(n, np.int32)
    p, ep = np.empty(n, np.int32), np.empty(n, np.int32)
    for i in range(rows):
        for j in range(n):
            acc[j], e[j] = _0, _NOTHING
        for r in range(length):
            s, x = _factor(a[i, r])
            x = _add(x, _1)
            m, ex = significands[r], exponents[r]
            if nearest:
                for j in range(n):
                    q = _mul(s, m[j])
                    sign = _sar(q, _31)
                    p[j] = _signed(_shl(_cut_sticky(_signed(q, sign), right), left), sign)
                    ep[j] = _add(x, ex[j])
                if exact:
                    for j in range(n):
                        acc[j], e[j] = _exact_nearest(acc[j], e[j], p[j], ep[j], w, g, k, kl)
                else:
                    for j in range(n):
                        acc[j], e[j] = _near_nearest(acc[j], e[j], p[j], ep[j], w, g, k, kl)
                continue
            if exact:
                for j in range(n):
                    q = _mul(s, m[j])
                    sign = _sar(q, _31)
                    q = _signed(_shl(_cut_plain(_signed(q, sign), right), left), sign)
                    acc[j], e[j] = _exact_cut(acc[j], e[j], q, _add(x, ex[j]), w, g, k, kl)
            else:
                for j in range(n):
                    q = _mul(s, m[j])
                    sign = _sar(q, _31)
                    q = _signed(_shl(_cut_plain(_signed(q, sign), right), left), sign)
                    acc[j], e[j] = _near_cut(acc[j], e[j], q, _add(x, ex[j]), w, g, k, kl)
        for j in range(n):
            out[i, j] = np.float32(np.float64(acc[j]) * 2.0 ** np.float64(e[j] - (w - _1)))


def narrow_reference(a: Floats, b: Floats, adder: Adder, out: Floats) -> None:
    """Do what `narrow` does, bit for bit, one scalar at a time in Python's whole numbers."""
    w, g, k, lam, nearest = adder
    top = w + g
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            sign, m, e = 0, 0, None
            for r in range(a.shape[1]):
                sa, ma, ea = _parts(a[i, r])
                sb, mb, eb = _parts(b[r, j])
                mp, sp = ma * mb, sa ^ sb
                ep = ea + eb + 1 if mp else None
                mp = mp << (top - 16) if top >= 16 else _shifted(mp, 16 - top, nearest)
                sign, m, e = _added((sign, m << g, e), (sp, mp, ep), w, g, k, lam, nearest)
            value = 0.0 if e is None else float(m) * 2.0 ** (e - w + 1)
            with np.errstate(over="ignore"):
                out[i, j] = np.float32(-value if sign and m else value)


def _parts(x: np.float32) -> tuple[int, int, int]:
    word = int(np.float32(x).view(np.uint32))
    field = (word >> 23) & 255
    return word >> 31, ((word >> 16) & 127 | 128) if field else 0, field - 127


def _shifted(m: int, by: int, nearest: int) -> int:
    kept = m >> by
    return kept | 1 if nearest and kept << by != m else kept


def _added(
    one: tuple[int, int, int | None],
    two: tuple[int, int, int | None],
    w: int,
    g: int,
    k: int,
    lam: int,
    nearest: int,
) -> tuple[int, int, int | None]:
    (s1, m1, e1), (s2, m2, e2) = one, two
    if e1 is None and e2 is None:
        return 0, 0, None
    e = max(x for x in (e1, e2) if x is not None)
    m1 = _shifted(m1, e - e1, nearest) if e1 is not None else 0
    m2 = _shifted(m2, e - e2, nearest) if e2 is not None else 0
    v = (-m1 if s1 else m1) + (-m2 if s2 else m2)
    u, top = abs(v), w + g
    if u >> top:
        u, e = _shifted(u, 1, nearest), e + 1
    if u == 0:
        return 0, 0, None
    if k == 0:
        shift = top - u.bit_length()
    else:
        shift = 0
        if u >> (top - k) == 0:
            shift = k + (lam if u >> (top - k - lam) == 0 else 0)
    u, e = u << shift, e - shift
    m = u >> g
    if nearest and g:
        rest, half = u & (2**g - 1), 2 ** (g - 1)
        m += rest > half or (rest == half and m & 1)
        if m >> w:
            m, e = m >> 1, e + 1
    return (int(v < 0), m, e) if m else (0, 0, None)
