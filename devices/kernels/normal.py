"""Random numbers from a counter: any slice of a stream is made without the rest of it.

The bits are Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
1, 2, 3", SC 2011), the generator of torch and TensorFlow, which passes BigCrush. A cheaper mixer
(splitmix64) would save 0.15 ns of the 0.45 ns that a normal costs, and its streams of two keys
can be shifts of one another; a block cipher's cannot.

The four words of counter c hold: c0, c1 the 64-bit position, c2 the row, c3 what the words are
for, so that one key serves normals, entries, words and phases without ever sharing a word. A run
of `BLOCK` counters is one block, laid out word after word (all first words, then all second
ones, ...): this is what lets every loop below run over contiguous memory.

Two words make two independent normals (Box and Muller 1958). The sine and cosine polynomials are
those of Cephes' sinf and cosf; the logarithm is 2 atanh((m - 1) / (m + 1)) on
m in [sqrt(1/2), sqrt(2)). No multiply-add is contracted, so all machines make the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import intrinsic

Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]

BLOCK = 128
NORMALS, ENTRIES, WORDS, PHASES = (np.uint32(tag) for tag in range(4))

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_SIGN = np.uint32(0x80000000)
_ROOT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(1/2)
_f = np.float32
_ONE, _TWO = _f(1), _f(2)
_UNIT, _HALF_UNIT = _f(2.0**-32), _f(2.0**-33)
_LN2, _L1, _L2, _L3 = _f(math.log(2)), _f(2 / 3), _f(2 / 5), _f(2 / 7)
_TURN = _f(math.pi / 2**33)
_S1, _S2, _S3 = _f(-1.6666654611e-1), _f(8.3321608736e-3), _f(-1.9515295891e-4)
_C1, _C2 = _f(4.166664568298827e-2), _f(-1.388731625493765e-3)
_C3, _MINUS_HALF = _f(2.443315711809948e-5), _f(-0.5)


def _cast(source: Any, target: Any) -> Callable[[Any], Any]:
    """Return the function that reads the bits of one 32-bit type as those of another."""

    def typed(typing_context: Any, x: Any) -> Any:
        def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(target))

        return target(source), build

    cast: Any = intrinsic(typed)
    return cast  # type: ignore[no-any-return]


_bits = _cast(types.float32, types.int32)
_float = _cast(types.int32, types.float32)


@njit(cache=True, error_model="numpy")
def _philox(key: np.uint64, block: np.uint64, row: np.uint32, tag: np.uint32, words: Words) -> None:
    """Fill words[w * BLOCK + k] with word w of counter block * BLOCK + k."""
    first = np.uint64(block) * np.uint64(BLOCK)
    for k in range(BLOCK):
        c = first + np.uint64(k)
        x0, x1, x2, x3 = np.uint32(c & _LOW), np.uint32(c >> _HALF), row, tag
        k0, k1 = np.uint32(key & _LOW), np.uint32(key >> _HALF)
        for _ in range(10):
            p0, p1 = _M0 * np.uint64(x0), _M1 * np.uint64(x2)
            x0, x2 = np.uint32(p1 >> _HALF) ^ x1 ^ k0, np.uint32(p0 >> _HALF) ^ x3 ^ k1
            x1, x3 = np.uint32(p1 & _LOW), np.uint32(p0 & _LOW)
            k0, k1 = np.uint32(k0 + _W0), np.uint32(k1 + _W1)
        words[k] = x0
        words[k + BLOCK] = x1
        words[k + 2 * BLOCK] = x2
        words[k + 3 * BLOCK] = x3


@njit(cache=True, error_model="numpy")
def _quarter_turn(word: np.uint32) -> tuple[np.float32, np.float32]:
    """Return sine and cosine of the low 30 bits of `word` as an angle within +-pi / 4."""
    t = np.float32(np.int32(word << np.uint32(2))) * _TURN
    z = t * t
    sine = t + t * z * (_S1 + z * (_S2 + z * _S3))
    cosine = _ONE + z * (_MINUS_HALF + z * (_C1 + z * (_C2 + z * _C3)))
    return sine, cosine


@njit(cache=True, error_model="numpy")
def _gauss(words: Words, at: int, scale: np.float32, out: Floats, first: int, other: int) -> None:
    """Turn BLOCK pairs of words into two normals each, of variance scale / 2."""
    for k in range(BLOCK):
        u = np.float32(words[at + k]) * _UNIT + _HALF_UNIT
        i = _bits(u)
        e = np.int32(np.int32(i - _ROOT_HALF) >> 23)
        m = _float(np.int32(i - np.int32(e << 23)))
        s = (m - _ONE) / (m + _ONE)
        z = s * s
        log = np.float32(e) * _LN2 + s * (_TWO + z * (_L1 + z * (_L2 + z * _L3)))
        radius = math.sqrt(-scale * log)
        turn = words[at + BLOCK + k]
        sine, cosine = _quarter_turn(turn)
        radius = _float(np.int32(_bits(radius) ^ np.int32((turn << np.uint32(1)) & _SIGN)))
        swap = (turn & _SIGN) != 0
        out[first + k] = radius * (sine if swap else cosine)
        out[other + k] = radius * (cosine if swap else sine)


@njit(cache=True, error_model="numpy")
def _copy(source: npt.NDArray[Any], target: npt.NDArray[Any]) -> None:
    """Copy; six times faster than a slice assignment, since indices from 0 need no wraparound."""
    for k in range(len(target)):
        target[k] = source[k]


@njit(cache=True, error_model="numpy")
def words(key: np.uint64, start: int, out: Words) -> None:
    """Write words start, start + 1, ... of the stream `key`, 32 uniform bits each, into out."""
    n, done = len(out), 0
    block, skip = start // (4 * BLOCK), start % (4 * BLOCK)
    bits = np.empty(4 * BLOCK, np.uint32)
    while done < n:
        _philox(np.uint64(key), np.uint64(block), np.uint32(0), WORDS, bits)
        take = min(4 * BLOCK - skip, n - done)
        _copy(bits[skip : skip + take], out[done : done + take])
        done, block, skip = done + take, block + 1, 0


@njit(cache=True, error_model="numpy")
def normals(key: np.uint64, start: int, out: Floats) -> None:
    """Write numbers start, start + 1, ... of the stream `key`, each N(0, 1), into out.

    A slice has the same bits however the stream is cut. `start` is at least 0 and below 2**63;
    no |number| exceeds 6.77, since the radius has 32 bits.
    """
    n, done = len(out), 0
    block, skip = start // (4 * BLOCK), start % (4 * BLOCK)
    bits, buffer = np.empty(4 * BLOCK, np.uint32), np.empty(4 * BLOCK, np.float32)
    while done < n:
        _philox(np.uint64(key), np.uint64(block), np.uint32(0), NORMALS, bits)
        _gauss(bits, 0, _TWO, buffer, 0, BLOCK)
        _gauss(bits, 2 * BLOCK, _TWO, buffer, 2 * BLOCK, 3 * BLOCK)
        take = min(4 * BLOCK - skip, n - done)
        _copy(buffer[skip : skip + take], out[done : done + take])
        done, block, skip = done + take, block + 1, 0


@njit(cache=True, error_model="numpy")
def entries(key: np.uint64, row: int, column: int, re: Floats, im: Floats) -> None:
    """Write the block of the matrix `key` that begins at (row, column) into re and im.

    re and im are (rows, columns). Entry (i, j) is circular complex Gaussian, its two parts
    N(0, 1/2) each, and depends on key, i and j alone; i and j stay below 2**32.
    """
    rows, n = re.shape
    bits, buffer = np.empty(4 * BLOCK, np.uint32), np.empty(4 * BLOCK, np.float32)
    for i in range(rows):
        block, skip, done = column // (2 * BLOCK), column % (2 * BLOCK), 0
        while done < n:
            _philox(np.uint64(key), np.uint64(block), np.uint32(row + i), ENTRIES, bits)
            _gauss(bits, 0, _ONE, buffer, 0, 2 * BLOCK)
            _gauss(bits, 2 * BLOCK, _ONE, buffer, BLOCK, 3 * BLOCK)
            take = min(2 * BLOCK - skip, n - done)
            _copy(buffer[skip : skip + take], re[i, done : done + take])
            skip += 2 * BLOCK
            _copy(buffer[skip : skip + take], im[i, done : done + take])
            done, block, skip = done + take, block + 1, 0


@njit(cache=True, error_model="numpy")
def phases(key: np.uint64, start: int, cosine: Floats, sine: Floats) -> None:
    """Write cosine and sine of the uniform angles start, start + 1, ... of the stream `key`."""
    n, done = len(cosine), 0
    block, skip = start // (4 * BLOCK), start % (4 * BLOCK)
    bits = np.empty(4 * BLOCK, np.uint32)
    while done < n:
        _philox(np.uint64(key), np.uint64(block), np.uint32(0), PHASES, bits)
        take = min(4 * BLOCK - skip, n - done)
        turns = bits[skip : skip + take]
        x, y = cosine[done : done + take], sine[done : done + take]
        for k in range(len(turns)):
            s, c = _quarter_turn(turns[k])
            flip = np.int32((turns[k] << np.uint32(1)) & _SIGN)
            s, c = _float(np.int32(_bits(s) ^ flip)), _float(np.int32(_bits(c) ^ flip))
            swap = (turns[k] & _SIGN) != 0
            x[k] = s if swap else c
            y[k] = c if swap else s
        done, block, skip = done + take, block + 1, 0


def _philox_reference(key: int, counter: npt.NDArray[Any], row: int, tag: np.uint32) -> Words:
    """Return the four words (4, n) of the counters; `key`, `row` and `tag` as in the kernels."""
    zero = np.zeros_like(counter, np.uint64)
    x0, x1 = counter & _LOW, counter >> _HALF
    x2, x3 = zero + np.uint64(row), zero + np.uint64(tag)
    k0, k1 = int(key) & 0xFFFFFFFF, int(key) >> 32
    for _ in range(10):
        p0, p1 = _M0 * x0, _M1 * x2
        x0, x1 = (p1 >> _HALF) ^ x1 ^ np.uint64(k0), p1 & _LOW
        x2, x3 = (p0 >> _HALF) ^ x3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + int(_W0)) & 0xFFFFFFFF, (k1 + int(_W1)) & 0xFFFFFFFF
    return np.stack([x0, x1, x2, x3]).astype(np.uint32)


def _place(start: int, n: int, width: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the counter of each of n numbers from `start` on, and its place in the counter."""
    block, at = np.divmod(np.arange(start, start + n, dtype=np.uint64), np.uint64(width * BLOCK))
    return block * np.uint64(BLOCK) + at % np.uint64(BLOCK), (at // np.uint64(BLOCK)).astype(int)


def _turn_reference(turn: Words) -> npt.NDArray[np.complex128]:
    """Return the points of the unit circle: an angle within +-pi / 4, mirrored by the top bits."""
    angle = (turn << np.uint32(2)).view(np.int32) * (math.pi / 2**33)
    sign = np.where(turn >> np.uint32(30) & np.uint32(1), -1, 1)
    swap = (turn & _SIGN) != 0
    x, y = np.cos(angle), np.sin(angle)
    return np.asarray(sign * (np.where(swap, y, x) + 1j * np.where(swap, x, y)))


def _gauss_reference(pair: Words, scale: float) -> npt.NDArray[np.complex128]:
    """Return Box and Muller's pair as one complex number, by numpy's float64 functions."""
    u = (pair[0].astype(np.float32) * _UNIT + _HALF_UNIT).astype(float)
    return np.asarray(np.sqrt(-scale * np.log(u)) * _turn_reference(pair[1]))


def words_reference(key: int, start: int, out: Words) -> None:
    """Do what `words` does, bit for bit."""
    counter, word = _place(start, len(out), 4)
    out[:] = _philox_reference(key, counter, 0, WORDS)[word, np.arange(len(out))]


def normals_reference(key: int, start: int, out: Floats) -> None:
    """Do what `normals` does, to 2e-6."""
    counter, quarter = _place(start, len(out), 4)
    w = _philox_reference(key, counter, 0, NORMALS)
    z = _gauss_reference(np.where(quarter < 2, w[:2], w[2:]), 2)
    out[:] = np.where(quarter % 2 == 0, z.real, z.imag)


def entries_reference(key: int, row: int, column: int, re: Floats, im: Floats) -> None:
    """Do what `entries` does, to 2e-6."""
    counter, half = _place(column, re.shape[1], 2)
    for i in range(len(re)):
        w = _philox_reference(key, counter, row + i, ENTRIES)
        z = _gauss_reference(np.where(half < 1, w[:2], w[2:]), 1)
        re[i], im[i] = z.real, z.imag


def phases_reference(key: int, start: int, cosine: Floats, sine: Floats) -> None:
    """Do what `phases` does, to 2e-7."""
    counter, word = _place(start, len(cosine), 4)
    w = _philox_reference(key, counter, 0, PHASES)[word, np.arange(len(cosine))]
    z = _turn_reference(w)
    cosine[:], sine[:] = z.real, z.imag
