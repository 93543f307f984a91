"""Formats on torch tensors: the bits of the numpy kernels, on the processor and on a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices.formats import FORMATS, BlockFormat, parse
from hwloop.devices.rounding import lacking, quantise

torch = pytest.importorskip("torch")


def numbers(fmt) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2**32, (60, 128), dtype=np.uint32).view(np.float32)
    element = fmt.element if isinstance(fmt, BlockFormat) else fmt
    usual = rng.standard_normal(x.shape) * 2.0 ** rng.integers(element.emin, 12, x.shape)
    x = np.where(rng.random(x.shape) < 0.5, x, usual.astype(np.float32))
    if lacking(fmt):
        x = np.where(np.isfinite(x), x, 1)
    return np.ascontiguousarray(x, np.float32)


@pytest.mark.parametrize("scaling", ["none", "tensor", "row"])
@pytest.mark.parametrize("rounding", ["nearest", "truncated", "stochastic"])
@pytest.mark.parametrize("name", [*FORMATS, "e3m4", "mxfp4/16"])
def test_torch_gives_the_same_bits(name, rounding, scaling):
    agree(name, rounding, scaling, "cpu")


def agree(name: str, rounding: str, scaling: str, place: str) -> None:
    fmt = parse(name)
    x = numbers(fmt)
    for saturate in (True, False):
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            expected = quantise(x, fmt, rounding, 9 << 33, saturate, scaling, first=11)
        given = torch.as_tensor(x, device=place)
        got = quantise(given, fmt, rounding, 9 << 33, saturate, scaling, first=11)
        assert got.device == given.device
        got = got.cpu().numpy()
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        assert same.all(), (x[~same][:5], got[~same][:5], expected[~same][:5])


def test_torch_refuses_what_numpy_refuses():
    with pytest.raises(ValueError, match="does not divide rows of 33"):
        quantise(torch.ones(2, 33), "mxfp4")
    with pytest.raises(ValueError, match="format e2m1 has no NaN"):
        quantise(torch.full((3,), float("nan")), "e2m1")
