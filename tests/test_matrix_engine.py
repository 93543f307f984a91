"""The matrix engine: what its verbs do under formats, adders and multipliers."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices import Can, MatrixEngine, Seed
from hwloop.devices.learned_formats import any4, fit_float
from hwloop.devices.products import added_bits, lmul_offset, narrow, sequential
from hwloop.devices.rounding import quantise
from hwloop.devices.technology import load

rng = np.random.default_rng(0)
W = rng.standard_normal((32, 64)).astype(np.float32)
X = rng.standard_normal((32, 64)).astype(np.float32)
Y = rng.standard_normal((32, 32)).astype(np.float32)


def engine(**settings) -> MatrixEngine:
    made = MatrixEngine(n_out=32, n_in=64, name="d", seed=Seed(3), **settings)
    made.program(W)
    return made


def everything(name: str) -> dict[str, str]:
    return {"inputs": name, "weights": name, "gradients": name}


@pytest.mark.parametrize("name", ["bf16", "fp16", "e4m3", "e5m2", "e2m1", "int8", "mxfp4", "nvfp4"])
def test_a_product_is_that_of_rounded_operands(name):
    device = engine(**everything(name), outputs="bf16")
    scaling = "tensor" if name in ("e4m3", "e5m2", "e2m1", "int8") else "none"
    x, w = (quantise(v, name, scaling=scaling) for v in (X, W))
    np.testing.assert_array_equal(device.multiply(X), quantise(x @ w.T, "bf16"))
    np.testing.assert_array_equal(device.matrix(), w)
    across = quantise(np.ascontiguousarray(W.T), name, scaling=scaling)
    y = quantise(Y, name, scaling=scaling)
    np.testing.assert_array_equal(device.transpose(Y), quantise(y @ across.T, "bf16"))
    device.update(Y, X, 0.5)
    y, x = (quantise(np.ascontiguousarray(v.T), name, scaling=scaling) for v in (Y, X))
    np.testing.assert_allclose(device.state()["w"], W + 0.5 * (y @ x.T), rtol=1e-6, atol=1e-6)


def test_weights_learn_in_float32_beside_their_format_unless_told_otherwise():
    small = np.full((1, 32), 1e-4, np.float32)
    for master in (True, False):
        device = engine(weights="e4m3", master=master)
        before = device.matrix()
        for _ in range(50):
            device.update(small, np.ones((1, 64), np.float32), 1.0)
        moved = device.matrix() - before
        assert (moved.mean() > 3e-3) == master  # steps below half a unit are lost without masters


def test_without_masters_stochastic_rounding_moves_the_matrix_on_average():
    small = np.full((1, 32), 1e-4, np.float32)
    device = engine(weights="e4m3", master=False, rounding="stochastic")
    before = device.state()["w"].copy()
    for _ in range(50):
        device.update(small, np.ones((1, 64), np.float32), 1.0)
    assert (device.state()["w"] - before).mean() == pytest.approx(5e-3, rel=0.25)


def test_gradients_are_rounded_stochastically_without_bias():
    device = engine(gradients="e2m1", gradient_rounding="stochastic")
    y = np.repeat(Y[:1], 4000, axis=0)
    x = device.transpose(y)
    error = 5 * x.std(axis=0) / np.sqrt(4000) + 1e-4
    assert (x.std(axis=0) > 0).all()
    assert (abs(x.mean(axis=0) - Y[0] @ W) <= error).all()


def test_a_random_hadamard_transform_keeps_the_product_and_tames_outliers():
    x = X.copy()
    x[rng.random(x.shape) < 0.01] *= 30
    exact = engine(accumulator="fp32", hadamard=True)
    true = x @ W.T
    np.testing.assert_allclose(exact.multiply(x), true, rtol=1e-4, atol=1e-3)
    error = [
        ((engine(inputs="e2m1", hadamard=hadamard).multiply(x) - true) ** 2).mean()
        for hadamard in (False, True)
    ]
    assert error[1] < 0.7 * error[0]


def test_accumulators_and_multipliers_are_their_products():
    bf16 = everything("bf16")
    x, w = quantise(X, "bf16"), quantise(W, "bf16")
    ordered = engine(**bf16, accumulator="fp32").multiply(X)
    np.testing.assert_array_equal(ordered, sequential(x, w))
    device = engine(**bf16, accumulator="narrow", significand=12, normalisation="1-2")
    np.testing.assert_array_equal(device.multiply(X), narrow(x, w, device._adder))
    np.testing.assert_array_equal(engine(**bf16, arithmetic="pam").multiply(X), added_bits(x, w))
    lmul = engine(**everything("e5m3"), scaling="none", arithmetic="lmul")
    x3, w3 = quantise(X, "e5m3"), quantise(W, "e5m3")
    np.testing.assert_array_equal(lmul.multiply(X), added_bits(x3, w3, lmul_offset(3)))
    for name in ("int8", "int9"):
        table = engine(**everything(name), arithmetic="table")
        exact = engine(**everything(name))
        np.testing.assert_allclose(table.multiply(X), exact.multiply(X), rtol=2e-5, atol=2e-5)
        np.testing.assert_allclose(table.transpose(Y), exact.transpose(Y), rtol=2e-5, atol=2e-5)
    cut = engine(**everything("int9"), arithmetic="table", multiplier="truncated6")
    error = cut.multiply(X) - exact.multiply(X)
    assert 0 < np.sqrt((error**2).mean()) < 0.05 * exact.multiply(X).std()


def test_learned_formats_are_fitted_to_what_comes():
    device = engine(inputs="fitted8", weights="any4")
    w = any4(W, 32).matrix()
    np.testing.assert_array_equal(device.matrix(), w)
    np.testing.assert_allclose(device.multiply(X), fit_float(X)(X) @ w.T, rtol=1e-5, atol=1e-5)


def test_padding_fills_a_sum_with_zeros():
    device = MatrixEngine(n_out=10, n_in=40, weights="mxfp4", inputs="mxfp4", pad=True)
    w = rng.standard_normal((10, 40)).astype(np.float32)
    x = rng.standard_normal((3, 40)).astype(np.float32)
    device.program(w)
    wide = [quantise(np.pad(v, ((0, 0), (0, 24))), "mxfp4") for v in (x, w)]
    np.testing.assert_allclose(device.multiply(x), wide[0] @ wide[1].T, rtol=1e-6)
    assert device.matrix().shape == (10, 40)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        everything("bf16"),
        {**everything("e4m3"), "outputs": "bf16"},
        {**everything("mxfp4"), "gradient_rounding": "stochastic", "hadamard": True},
        {**everything("int8"), "scaling": "row"},
        {**everything("bf16"), "weights": "any4"},
    ],
)
def test_torch_does_what_numpy_does(settings):
    """Formats agree bit for bit; sums in another order, to 1e-5 of the largest result."""
    torch = pytest.importorskip("torch")
    here, there = engine(**settings), engine(**settings, place="cpu")
    for verb, given in (("multiply", X), ("transpose", Y)):
        got = getattr(there, verb)(torch.as_tensor(given))
        assert isinstance(got, torch.Tensor)
        expected = getattr(here, verb)(given)
        limit = 1e-5 * abs(expected).max() if settings.get("outputs") is None else 2.0**-7
        np.testing.assert_allclose(
            got.numpy(), expected, rtol=2.0**-7 * ("outputs" in settings), atol=limit
        )
    for device in (here, there):
        device.update(Y, X, 0.1)
    np.testing.assert_allclose(there.state()["w"], here.state()["w"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(there.matrix(), here.matrix(), rtol=0.3, atol=0.5)
    there.restore(there.state())


def test_bytes_follow_the_formats():
    fp32 = engine().cost(Can.MULTIPLY, 8)
    bf16 = engine(**everything("bf16"), outputs="bf16").cost(Can.MULTIPLY, 8)
    assert bf16["byte"].work == fp32["byte"].work / 2
    mx = engine(weights="mxfp4").cost(Can.MULTIPLY, 8)["byte"].work
    assert fp32["byte"].work - mx == 32 * 64 * (4 - (4 + 8 / 32) / 8)


@pytest.mark.parametrize(
    ("settings", "technology", "event"),
    [
        ({}, "nvidia_a100_fp32", "mac"),
        (everything("bf16"), "nvidia_a100_bf16", "mac"),
        (everything("e4m3"), "nvidia_h100_fp8", "mac"),
        (everything("int8"), "nvidia_a100_int8", "mac"),
        (everything("mxfp4"), "systolic_45nm", "mac_fp4"),
        (everything("mxfp6_e3m2"), "systolic_45nm", "mac_fp6"),
        ({**everything("bf16"), "arithmetic": "pam"}, "systolic_45nm", "mac_pam"),
        ({**everything("bf16"), "accumulator": "narrow"}, "systolic_45nm", "mac_narrow"),
        ({**everything("int4"), "weights": "any4"}, "systolic_45nm", "mac_fp4"),
        ({**everything("int9"), "arithmetic": "table"}, "systolic_45nm", "mac_table"),
    ],
)
def test_what_prices_it_follows_its_arithmetic(settings, technology, event):
    device = engine(**settings)
    assert device.technology == technology
    assert event in device.cost(Can.MULTIPLY, 4)
    for verb in device.can:
        for name in device.cost(verb, 4):
            assert load(technology).event(name, 32, 64).source


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"inputs": "e5m3x"}, 'd: inputs: unknown format "e5m3x"; did you mean'),
        ({"weights": "e1m0"}, "d: weights: format e1m0 cannot hold zero"),
        ({"inputs": "any4"}, "any4 is one of weights"),
        ({"rounding": "up"}, 'unknown rounding "up"'),
        ({"scaling": "block"}, "scaling takes none, tensor or row"),
        ({"arithmetic": "log"}, 'unknown arithmetic "log"'),
        ({"accumulator": "fp16"}, 'unknown accumulator "fp16"'),
        ({"arithmetic": "pam", "accumulator": "narrow"}, "accumulator narrow adds exact products"),
        ({"accumulator": "narrow"}, 'inputs takes a format within bfloat16 .* got "fp32"'),
        (
            {**everything("bf16"), "accumulator": "narrow", "significand": 7},
            "d: significand takes 8 bits.*got 7: too narrow for the product",
        ),
        (
            {**everything("bf16"), "accumulator": "narrow", "significand": 29},
            "8 to 28 bits, got 29",
        ),
        ({**everything("bf16"), "accumulator": "narrow", "guard": 13}, "guard takes 0 to 12 bits"),
        (
            {**everything("bf16"), "accumulator": "narrow", "drop": "nearest"},
            "drop nearest takes guard from 3 bits, got 0",
        ),
        (
            {**everything("bf16"), "accumulator": "narrow", "normalisation": "0-1"},
            "normalisation takes exact, or k-lambda",
        ),
        ({"arithmetic": "table"}, 'inputs takes an integer of up to 9 bits .* got "fp32"'),
        (
            {**everything("int8"), "arithmetic": "table", "multiplier": "x"},
            'unknown multiplier "x"',
        ),
        ({"inputs": "mxfp4/48"}, "d: a block of 48 does not divide sums of 64 terms; pad = true"),
        ({"place": "cpu", "accumulator": "fp32"}, "place computes in torch"),
        ({"place": "cuda:99"}, 'd: torch cannot work on place "cuda:99"'),
        ({"column": -1}, "column takes a whole number from 0"),
    ],
)
def test_bad_settings_are_one_sentence(settings, said):
    with pytest.raises(ValueError, match=said) as caught:
        engine(**settings)
    assert str(caught.value).startswith("d: ")
    assert "\n" not in str(caught.value)


def test_numbers_that_a_format_lacks_are_refused():
    x = X.copy()
    x[0, 0] = np.nan
    for settings, said in (
        (everything("e2m1"), "format e2m1 has no NaN"),
        (everything("mxfp4"), "format mxfp4 has no NaN"),
        ({**everything("bf16"), "accumulator": "narrow"}, "narrow accumulator has no NaN"),
        ({**everything("int8"), "arithmetic": "table"}, "format int8 has no NaN"),
    ):
        with pytest.raises(ValueError, match=said):
            engine(**settings).multiply(x)
