"""Autograd over multiplication-free products."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices.products import ONE, added_bits, lmul_offset, pam_slope

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("offset", [ONE, lmul_offset(7)])
@pytest.mark.parametrize("exact", [True, False])
def test_values_and_gradients_are_the_engine_s(offset, exact):
    from hwloop.devices.products_torch import affine_matmul

    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((2, 3, n, 7)).astype(np.float32) for n in (5, 4))
    d = rng.standard_normal((2, 3, 5, 4)).astype(np.float32)
    x, y = (torch.tensor(v, requires_grad=True) for v in (a, b))
    out = affine_matmul(x, y, offset, exact)
    out.backward(torch.as_tensor(d))
    for at in np.ndindex(2, 3):
        np.testing.assert_array_equal(out[at].detach().numpy(), added_bits(a[at], b[at], offset))
        across = np.ascontiguousarray(d[at].T)
        if exact:
            dx, dy = pam_slope(d[at], a[at], b[at]), pam_slope(across, b[at], a[at])
        else:
            dx = added_bits(d[at], np.ascontiguousarray(b[at].T), offset)
            dy = added_bits(across, np.ascontiguousarray(a[at].T), offset)
        np.testing.assert_array_equal(x.grad[at].numpy(), dx)
        np.testing.assert_array_equal(y.grad[at].numpy(), dy)


def test_a_model_of_such_products_learns():
    from hwloop.devices.products_torch import affine_matmul

    torch.manual_seed(0)
    x = torch.randn(64, 8)
    wanted = x @ torch.randn(8, 3)
    w = torch.zeros(3, 8) + 0.01 * torch.randn(3, 8)
    w.requires_grad_()
    first = last = 0.0
    for step in range(200):
        loss = ((affine_matmul(x, w) - wanted) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= 0.05 * w.grad
            w.grad = None
        first, last = (loss.item(), loss.item()) if step == 0 else (first, loss.item())
    assert last < 0.02 * first
