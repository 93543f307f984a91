"""Multiplications that are not exact, and sums in a given order."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices.kernels import products as kernels
from hwloop.devices.multipliers import Multiplier, exact, named, read, truncated
from hwloop.devices.products import ONE, added_bits, lmul_offset, pam, pam_slope, sequential
from hwloop.devices.rounding import quantise

LMUL = lmul_offset(7)


def operands(rows: int = 13, length: int = 57, columns: int = 21) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = (rows, length), (length, columns)
    found = [rng.standard_normal(s) * 2.0 ** rng.integers(-9, 9, s) for s in shapes]
    found[0][rng.random(shapes[0]) < 0.3] = 0
    found[1][rng.random(shapes[1]) < 0.2] = -0.0
    found[0][0, :4] = 1e-40, -1e-40, 1e-38, 3e38
    return [x.astype(np.float32) for x in found]


def run(kernel, *args) -> np.ndarray:
    out = np.full((len(args[0]), args[1].shape[1]), 7, np.int32 if len(args) == 9 else np.float32)
    with np.errstate(over="ignore"):
        kernel(*args, out)
    return out


def test_sequential_is_its_reference():
    a, b = operands()
    np.testing.assert_array_equal(
        run(kernels.sequential, a, b), run(kernels.sequential_reference, a, b)
    )


@pytest.mark.parametrize("offset", [ONE, LMUL, lmul_offset(3)])
def test_added_bits_is_its_reference(offset):
    a, b = operands()
    for scale in (1, 2.0**-100, 2.0**100):  # below the normal numbers, and beyond the finite ones
        big = np.clip(b * np.float32(scale), -3e38, 3e38)
        got = run(kernels.added_bits, a, big, offset)
        np.testing.assert_array_equal(got, run(kernels.added_bits_reference, a, big, offset))


def test_looked_up_is_its_reference():
    rng = np.random.default_rng(0)
    table = rng.integers(-(2**15), 2**15, (256, 256)).astype(np.int32)
    a, b = (rng.integers(0, 256, s).astype(np.uint16) for s in ((9, 31), (31, 14)))
    got, expected = np.empty((9, 14), np.int32), np.empty((9, 14), np.int32)
    kernels.looked_up(a, b, table, got)
    kernels.looked_up_reference(a, b, table, expected)
    np.testing.assert_array_equal(got, expected)


def test_affine_slope_is_its_reference():
    a, b = (np.clip(x, -(2.0**20), 2.0**20) for x in operands())
    a[np.abs(a) < 1e-30], b[np.abs(b) < 1e-30] = 0, 0
    d = np.random.default_rng(1).standard_normal((13, 21)).astype(np.float32)
    got, expected = np.empty_like(a), np.empty_like(a)
    kernels.affine_slope(d, a, b, got)
    kernels.affine_slope_reference(d, a, b, expected)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-3)


def test_pam_is_the_definition():
    """pa_exp2(pa_log2|a| + pa_log2|b|), both straight between powers of two."""

    def log2(x: np.ndarray) -> np.ndarray:
        m, e = np.frexp(np.abs(x.astype(np.float64)))
        return e - 1 + (2 * m - 1)

    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(2000).astype(np.float32) for _ in range(2))
    total = log2(a) + log2(b)
    floor = np.floor(total)
    expected = np.sign(a) * np.sign(b) * 2.0**floor * (1 + total - floor)
    np.testing.assert_allclose(pam(a, b), expected, rtol=3e-7)
    np.testing.assert_array_equal(pam(a, np.float32(4)), 4 * a)  # exact for powers of two
    assert pam(np.float32(0), np.float32(3)) == 0
    ratio = pam(a, b) / (a * b)
    assert ratio.min() >= 8 / 9 * (1 - 1e-6)  # worst at two mantissas of 1/2
    assert ratio.max() <= 1 + 1e-6


def piece(a: np.float32, b: np.ndarray) -> list[float]:
    """Return which straight piece of each product a lies on: its exponent, and the carries."""
    m, e = np.frexp(np.abs(a))
    return [float(e), *(2 * m - 1 + 2 * np.frexp(np.abs(b))[0] - 1 >= 1)]


def test_pam_has_the_published_slopes():
    """A finite difference within a piece is the power of two of the exact derivative."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((6, 9)).astype(np.float32) for _ in range(2))
    d = rng.standard_normal((6, 6)).astype(np.float32)
    step = np.float32(2.0**-10)
    slope = pam_slope(d, a, b)
    met = 0
    for i, k in np.ndindex(6, 9):
        moved = a.copy()
        moved[i, k] += step * abs(a[i, k])
        if piece(moved[i, k], b[:, k]) != piece(a[i, k], b[:, k]):
            continue
        change = (pam(moved[i, k], b[:, k]) - pam(a[i, k], b[:, k])) / (moved[i, k] - a[i, k])
        assert slope[i, k] == pytest.approx((d[i] * change).sum(), rel=1e-2, abs=1e-3)
        met += 1
    assert met > 40
    near = pam_slope(d, a, b, exact=False)
    np.testing.assert_array_equal(near, added_bits(d, np.ascontiguousarray(b.T)))
    assert np.corrcoef(near.ravel(), slope.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("offset", "mantissa", "published"),
    [(ONE, 7, 4.8e-2), (lmul_offset(3), 3, 6.9e-2), (lmul_offset(4), 4, 6.2e-2), (LMUL, 7, 3.1e-2)],
)
def test_errors_of_products_are_those_measured_before(offset, mantissa, published):
    """Relative root mean square of a 256^3 product of N(0, 1), as the facts have it."""
    rng = np.random.default_rng(0)
    a, b = (quantise(rng.standard_normal((256, 256)), "bf16") for _ in range(2))
    true = a.astype(np.float64) @ b.T.astype(np.float64)
    a, b = (quantise(x, f"e8m{mantissa}") for x in (a, b))
    off = added_bits(a, b, offset) - true
    assert np.sqrt((off**2).mean() / (true**2).mean()) == pytest.approx(published, rel=0.08)


def test_lmul_takes_the_published_lengths_and_differs_from_the_formula_where_it_carries():
    assert [ONE - lmul_offset(m) for m in (2, 3, 4, 7)] == [2**21, 2**20, 2**20, 2**19]
    assert lmul_offset(23) == 0x3F780000
    a, b = np.float32(1.25), np.float32(1.5)  # mantissas 1/4 + 1/2 + 1/16 < 1: the formula
    assert added_bits(a.reshape(1, 1), b.reshape(1, 1), LMUL)[0, 0] == 1 + 0.25 + 0.5 + 2.0**-4
    a = np.float32(1.75)  # 3/4 + 1/2 + 1/16 >= 1: 2 (1 + 5/16), where the formula gives 2.3125
    assert added_bits(a.reshape(1, 1), b.reshape(1, 1), LMUL)[0, 0] == 2 * (1 + 5 / 16)


C_SOURCE = """
// MAE = 1.0
// PDK45_PWR = 0.391 mW
// PDK45_AREA = 709.6 um2
// PDK45_DELAY = 1.25 ns
#include <stdint.h>
/* a product whose lowest bit is an OR of two, and whose
   highest is left out */
uint64_t mul8u_own(const uint64_t B, const uint64_t A)
{
   uint64_t O, low, all;   int unused = 0;
   all = (A & 0xFF) * (B & 255U);
   low = ((A >> 0)&1) | ((B >> 0)&1);
   O = 0;
   O |= (low & 1) << 0;
   O |= all & ~1 & 0x7FFF;
   return O;
}
"""


def test_a_c_file_gives_its_table_and_its_figures(tmp_path):
    path = tmp_path / "mul8u_own.c"
    path.write_text(C_SOURCE)
    found = read(path)
    a, b = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    np.testing.assert_array_equal(found.table, (a * b & 0x7FFE) | (a & 1) | (b & 1))
    assert not found.signed
    figures = found.power_W, found.area_m2, found.delay_s
    assert figures == pytest.approx((0.391e-3, 709.6e-12, 1.25e-9))
    written = tmp_path / "own.toml"
    written.write_text(found.technology())
    from hwloop.devices.technology import load

    assert load(str(written)).event("mac_table", 1, 1).energy_J == pytest.approx(
        0.391e-3 * 1.25e-9 + 0.1e-12, rel=1e-3
    )
    assert load(str(written)).event("mac_narrow", 1, 1).energy_J == 1.5e-12


def test_tables_in_other_files_are_read_as_they_stand(tmp_path):
    signed = np.multiply.outer(np.arange(256), np.arange(256))
    signed = np.where(signed % 7 == 3, -signed, signed).astype(np.int32)
    np.save(tmp_path / "t.npy", signed)
    np.savetxt(tmp_path / "t.csv", signed, fmt="%d", delimiter=",")
    for name in ("t.npy", "t.csv"):
        found = named(str(tmp_path / name))
        np.testing.assert_array_equal(found.table, signed)
        assert found.signed


def test_errors_are_counted_as_the_library_counts_them():
    assert exact().errors == {"MAE": 0, "WCE": 0, "MRE": 0, "EP": 0}
    assert truncated(0).errors["WCE"] == 0
    # Columns 0 to 3 hold 1, 2, 3 and 4 bits of weight 1, 2, 4 and 8: at most 49 is left out.
    assert truncated(4).errors["WCE"] == 49
    assert truncated(4).errors["MAE"] == pytest.approx(49 / 4)  # a product of bits is 1 in four


def test_signs_beside_magnitudes_and_twos_complement_agree_where_both_are_exact():
    code = np.arange(256)
    signed = np.where(code >= 128, code - 256, code)
    twos = Multiplier("s", np.multiply.outer(signed, signed).astype(np.int32), signed=True)
    values = np.array([[-127, -1, 0, 5, 127]], np.float32)
    for multiplier in (exact(), twos):
        out = np.empty((5, 5), np.int32)
        codes = multiplier.codes(values)
        kernels.looked_up(np.ascontiguousarray(codes.T), codes, multiplier.lookup, out)
        np.testing.assert_array_equal(out, values.T * values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("int f(void) { return 1; }", "holds no C function of two"),
        ("uint8_t f(uint8_t a, uint8_t b) { return a ? b : 0; }", "beyond the C that is read"),
        ("uint8_t f(uint8_t a, uint8_t b) { return c; }", '"c" is used and was never set'),
        ("uint8_t f(uint8_t a, uint8_t b) { return (a; }", "a bracket is not closed"),
        ("uint8_t f(uint8_t a, uint8_t b) { uint8_t c; }", "returns nothing"),
        ("uint8_t f(uint8_t a, uint8_t b) { return system(a); }", "was never set"),
    ],
)
def test_c_that_is_no_multiplier_is_refused(tmp_path, text, said):
    path = tmp_path / "f.c"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        read(path)


def test_bad_tables_are_refused(tmp_path):
    np.save(tmp_path / "t.npy", np.zeros((16, 16), np.int32))
    with pytest.raises(ValueError, match="takes 256 x 256 whole numbers, got 256 of kind int32"):
        named(str(tmp_path / "t.npy"))
    with pytest.raises(ValueError, match="cannot be read"):
        named(str(tmp_path / "absent.c"))
    with pytest.raises(ValueError, match='unknown multiplier "exakt"; did you mean "exact"'):
        named("exakt")
    with pytest.raises(ValueError, match="states no power and delay"):
        truncated(3).technology()


def test_sequential_adds_in_order():
    row = np.array([[2.0**24, 1, -(2.0**24), 1]], np.float32)
    assert sequential(row, np.ones((1, 4), np.float32))[0, 0] == 1.0
