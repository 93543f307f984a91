"""The products of a training step."""

import numpy as np
import pytest

from hwloop.devices.blas import product, product_back


@pytest.mark.parametrize("shape", [(1, 7, 5), (6, 1, 5), (6, 7, 1), (6, 7, 5), (64, 300, 200)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_product_is_the_sum_over_inputs(shape, kind):
    """Of strided rows too; in the rows' own precision, and ready for the kernels."""
    batch, n_in, n_out = shape
    rng = np.random.default_rng(0)
    w = rng.standard_normal((n_out, n_in)).astype(np.float32)
    x = rng.standard_normal((batch, 2 * n_in)).astype(kind)[:, ::2]
    y = rng.standard_normal((2 * batch, n_out)).astype(kind)[::2]
    for got, left, right in ((product(x, w), x, w.T), (product_back(y, w), y, w)):
        exact = left.astype(np.float64) @ right.astype(np.float64)
        scale = abs(left).astype(np.float64) @ abs(right).astype(np.float64)
        assert got.dtype == kind
        assert got.shape == exact.shape
        assert (abs(got - exact) <= n_in * n_out * np.finfo(kind).eps * scale).all()
        assert got.flags.c_contiguous or batch == 1
