"""numpy in, numpy out; torch in, torch out; float32 stays float32."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""Rows of real numbers, float32 unless the caller gave float64."""


def namespace(x: Any) -> ModuleType:
    """Return the module, numpy or torch, whose functions take `x`. Never imports torch."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and isinstance(x, torch.Tensor) else np


def elsewhere(x: Any) -> bool:
    """Whether x is a tensor in another memory than this processor's, a GPU's."""
    return namespace(x) is not np and x.device.type != "cpu"


def rows(x: Any, width: int, what: str = "x") -> Array:
    """Return x as C-contiguous numpy rows (batch, width); float64 stays, all else is float32.

    Raises ValueError where x is not of that shape.
    """
    xp = namespace(x)
    if xp is not np:
        x = x.detach().to("cpu", xp.float64 if x.dtype == xp.float64 else xp.float32).numpy()
    x = np.asarray(x)
    dtype = np.float64 if x.dtype == np.float64 else np.float32
    if x.ndim != 2 or x.shape[1] != width:
        raise ValueError(f"{what} takes (batch, {width}), got {x.shape}")
    return np.ascontiguousarray(x, dtype=dtype)


def like(y: Any, x: Any) -> Any:
    """Return y in the array type, dtype and place of x; integers and bools give float32."""
    xp = namespace(x)
    if xp is np:
        if namespace(y) is not np:
            y = y.detach().float().cpu().numpy()
        dtype = np.float64 if getattr(x, "dtype", None) == np.float64 else np.float32
        return y.astype(dtype, copy=False)
    dtype = x.dtype if x.dtype.is_floating_point else xp.float32
    return xp.as_tensor(y, dtype=dtype, device=x.device)


def zeros(x: Any, *shape: int) -> Any:
    """Return zeros of a shape, in the array type, dtype and place of x."""
    return np.zeros(shape, x.dtype) if namespace(x) is np else x.new_zeros(shape)
