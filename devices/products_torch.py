"""Multiplication-free products inside a torch model: autograd over the engine's arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array
from .products import ONE, added_bits, pam_slope
from .torch_matrix import import_torch


def affine_matmul(a: Any, b: Any, offset: int = ONE, exact: bool = True) -> Any:
    """Return a b^T of tensors a (..., m, k) and b (..., n, k), products by adding bits.

    `offset` is `ONE` for piecewise-affine multiplication, `lmul_offset(bits)` for L-Mul. Gradients
    are the slopes of the pieces where `exact` (those of L-Mul are the same but for where it
    carries), else the same arithmetic of the error and the other operand. Leading axes are equal.
    """
    return _function().apply(a, b, offset, exact)


def _function() -> Any:
    """Return the autograd function; made when used, since torch may not be installed."""
    global _made
    if _made is None:
        torch = import_torch()

        class AffineMatmul(torch.autograd.Function):  # type: ignore[misc,name-defined]
            """a b^T and its two derivatives."""

            @staticmethod
            def forward(ctx: Any, a: Any, b: Any, offset: int, exact: bool) -> Any:
                ctx.save_for_backward(a, b)
                ctx.offset, ctx.exact = offset, exact
                return _each(lambda x, y: added_bits(x, y, offset), a, b)

            @staticmethod
            def backward(ctx: Any, error: Any) -> Any:
                a, b = ctx.saved_tensors

                def slope(d: Array, x: Array, y: Array) -> Array:
                    if ctx.exact:
                        return pam_slope(d, x, y)
                    return added_bits(d, np.ascontiguousarray(y.T), ctx.offset)

                turned = error.transpose(-1, -2)
                return _each(slope, error, a, b), _each(slope, turned, b, a), None, None

        _made = AffineMatmul
    return _made


_made: Any = None


def _each(product: Any, *operands: Any) -> Any:
    """Return the product of the last two axes of every operand, as a tensor like the first."""
    first = operands[0]
    shape = first.shape[:-2]
    plain = [
        np.ascontiguousarray(x.detach().cpu().float().reshape(-1, *x.shape[-2:]).numpy())
        for x in operands
    ]
    found = np.stack([product(*group) for group in zip(*plain, strict=True)])
    return import_torch().as_tensor(found.reshape(*shape, *found.shape[-2:]), device=first.device)
