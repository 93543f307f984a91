"""Rounding torch tensors to number formats where they are: the same bits as the numpy kernels."""

from __future__ import annotations

from typing import Any

from .formats import FP32, AnyFormat, BlockFormat, Format
from .layouts import NEAREST, TRUNCATED, Layout, spread

_WORD = 0xFFFFFFFF
_MAGIC = 1.5 * 2**23


def quantise_torch(
    x: Any, fmt: AnyFormat, mode: int, key: int, saturate: bool, scaling: str, first: int
) -> Any:
    """Return float32 x rounded to a format; see `rounding.quantise`, which calls this."""
    import torch

    from .rounding import check_block, lacking, lacks, tensor_scale

    if fmt == FP32:
        return x.clone()
    if lacking(fmt) and not bool(torch.isfinite(x).all()):
        raise ValueError(lacks(fmt, bool(torch.isnan(x).any())))
    draws = _draws(torch, x, key, first) if mode not in (NEAREST, TRUNCATED) else None
    if isinstance(fmt, BlockFormat):
        check_block(fmt, tuple(x.shape))
        if not x.numel():
            return x.clone()
        rows = x.reshape(-1, fmt.block)
        tensor = tensor_scale(fmt, float(x.abs().max()))
        scale = _block_scales(torch, rows.abs().amax(1, keepdim=True), fmt, tensor)
        inner = None if draws is None else draws.reshape(rows.shape)
        return (_rounded(torch, rows / scale, fmt.element.layout(), mode, inner) * scale).reshape(
            x.shape
        )
    fitted = _scale_of(torch, x, fmt, scaling)
    given = x if fitted is None else x / fitted
    out = _rounded(torch, given, fmt.layout(saturate), mode, draws)
    return out if fitted is None else out * fitted


def _draws(torch: Any, x: Any, key: int, first: int) -> Any:
    """Return the uniform numbers of positions `first`, ... in the shape of x."""
    k0, k1 = spread(key)
    h = (torch.arange(first, first + x.numel(), dtype=torch.int64, device=x.device) & _WORD) ^ k0
    h = ((h ^ (h >> 16)) * 0x21F0AAAD) & _WORD
    h = (((h ^ (h >> 15)) ^ k1) * 0xD35A2D97) & _WORD
    h = h ^ (h >> 15)
    return ((h >> 8).to(torch.float32) * 2.0**-24).reshape(x.shape)


def _rounded(torch: Any, x: Any, layout: Layout, mode: int, draws: Any) -> Any:
    bits = x.contiguous().view(torch.int32)
    size = x.abs()
    infinite = torch.isinf(size)
    if layout.wide:
        cut = 23 - layout.mantissa
        mag = bits & 0x7FFFFFFF
        if mode == NEAREST:
            more = (1 << cut >> 1) - 1 + ((mag >> cut) & 1)
        elif mode == TRUNCATED:
            more = 0
        else:
            more = (draws * 2.0**cut).to(torch.int32)
        kept = ((mag + more) & -(1 << cut)).view(torch.float32)
        q = torch.where(torch.isfinite(size), kept, size)
    else:
        shift = layout.mantissa << 23
        e = (bits & 0x7F800000).clamp(layout.low << 23, layout.high << 23)
        t = size * ((254 << 23) + shift - e).view(torch.float32)
        r = (t + _MAGIC) - _MAGIC
        if mode != NEAREST:
            r = r - (r > t).to(torch.float32)
            if draws is not None:
                r = r + (t - r > draws).to(torch.float32)
        q = r * (e - shift).view(torch.float32)
    beyond = q > layout.largest
    over = torch.full_like(q, layout.over)
    if mode == TRUNCATED:
        over = torch.where(infinite, over, torch.full_like(q, layout.largest))
    return torch.copysign(torch.where(beyond, over, q), x)


def _block_scales(torch: Any, top: Any, fmt: BlockFormat, tensor: float) -> Any:
    scales = fmt.scales
    if scales.mantissa == 0:
        e = (top.contiguous().view(torch.int32) >> 23) - 127 - fmt.element.emax
        return torch.ldexp(torch.ones_like(top), e.clamp(-127, 127))
    s = top / torch.tensor(fmt.element.largest, dtype=top.dtype, device=top.device)
    s = s / torch.tensor(tensor, dtype=top.dtype, device=top.device)
    s = _rounded(torch, s, scales, NEAREST, None)
    s = s.clamp_min(2.0 ** (scales.low - 127 - scales.mantissa))
    return torch.where(top > 0, s * tensor, torch.ones_like(s))


def _scale_of(torch: Any, x: Any, fmt: Format, scaling: str) -> Any:
    if scaling == "none" or not x.numel():
        return None
    size = torch.where(torch.isfinite(x), x, torch.zeros_like(x)).abs()
    top = size.amax(-1, keepdim=True) if scaling == "row" else size.amax().reshape([1] * x.ndim)
    if fmt.fixed:
        scale = top / torch.full_like(top, fmt.largest)
        return torch.where(scale < 2.0**-126, torch.ones_like(scale), scale)
    shown = torch.where(top > 0, top, torch.full_like(top, fmt.largest)).double()
    e = torch.frexp(shown)[1] - 1 - fmt.emax
    e = e + (torch.ldexp(shown, -e) > fmt.largest)
    return torch.ldexp(torch.ones_like(top), e.clamp(-100, 100).to(torch.int32))
