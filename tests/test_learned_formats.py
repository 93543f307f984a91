"""Fitted formats: what they are fitted to decides their shape, and they beat fixed ones."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices.formats import Format
from hwloop.devices.learned_formats import any4, fit_float
from hwloop.devices.rounding import quantise


def draws(kind: str, size: tuple[int, ...] = (20_000,)) -> np.ndarray:
    rng = np.random.default_rng(0)
    if kind == "uniform":
        return rng.uniform(-1, 1, size).astype(np.float32)
    if kind == "normal":
        return rng.standard_normal(size).astype(np.float32)
    return rng.standard_t(2.0, size).astype(np.float32)


def test_outliers_ask_for_exponent_bits():
    """Kuzmin et al. 2022: the more severe the outliers, the more exponent bits."""
    e = {kind: fit_float(draws(kind)).element.exponent_bits for kind in ("uniform", "normal", "t")}
    assert e["uniform"] <= e["normal"] < e["t"]
    assert e["uniform"] <= 2
    assert e["t"] >= 3


@pytest.mark.parametrize("kind", ["uniform", "normal", "t"])
def test_a_fitted_float_beats_the_fixed_ones(kind):
    x = draws(kind)
    fitted = fit_float(x)
    error = np.mean((fitted(x) - x) ** 2)
    for name in ("e4m3", "e5m2", "e3m4"):
        assert error <= np.mean((quantise(x, name, scaling="tensor") - x) ** 2)


def test_the_scale_is_a_real_valued_bias():
    fitted = fit_float(draws("normal"))
    values, m = fitted.element.values() * fitted.scale, fitted.element.mantissa_bits
    normal = 2.0 ** (3 - fitted.bias) * (1 + np.arange(2**m) / 2**m)  # p = 3, all mantissas
    gaps = np.abs(values[:, None] - normal).min(axis=0)
    assert (gaps <= 1e-6 * normal).all()


def test_rounding_to_a_fitted_float_is_idempotent():
    fitted = fit_float(draws("t"))
    once = fitted(draws("t"))
    np.testing.assert_array_equal(fitted(once), once)
    assert len(np.unique(np.abs(once))) <= 128


def test_any4_leaves_less_error_than_int4_on_the_same_groups():
    w = draws("normal", (24, 512))
    parts = w.reshape(24, -1, 128)
    low = parts.min(2, keepdims=True)
    step = (parts.max(2, keepdims=True) - low) / 15
    int4 = (np.rint((parts - low) / step) * step + low).reshape(w.shape)
    coded = any4(w)
    error = ((coded.matrix() - w) ** 2).mean(axis=1)
    assert (error < ((int4 - w) ** 2).mean(axis=1)).all()
    assert error.mean() < 0.9 * ((int4 - w) ** 2).mean()
    assert coded.index.max() <= 15
    np.testing.assert_array_equal(coded.values, quantise(coded.values, "bf16"))


def test_any4_keeps_a_matrix_of_sixteen_values_and_constant_rows():
    rng = np.random.default_rng(1)
    w = rng.choice(np.array([0.0, 1, 3, 7, 8, 12, 15], np.float32), (6, 64))
    w[0] = 2.5
    w[1:, :2] = 0, 15
    np.testing.assert_allclose(any4(w, 64).matrix(), w, atol=1e-5)


def test_importance_moves_any4_towards_what_matters():
    w = draws("normal", (8, 256))
    heavy = np.ones(256, np.float32)
    heavy[:32] = 100
    plain, weighted = any4(w, 256).matrix(), any4(w, 256, heavy).matrix()
    assert ((weighted - w)[:, :32] ** 2).mean() < ((plain - w)[:, :32] ** 2).mean()


def test_bad_input_is_one_sentence():
    with pytest.raises(ValueError, match="a group of 128 does not divide rows of 130"):
        any4(np.ones((2, 130)))
    with pytest.raises(ValueError, match="takes 3 to 8 bits, got 2"):
        fit_float(np.ones(3), 2)
    with pytest.raises(ValueError, match="finite"):
        fit_float([np.nan])
    assert isinstance(fit_float(np.zeros(4)).element, Format)
