"""The structured medium on a GPU: Hadamard transforms of a tensor where it lies."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .arrays import namespace


def structured(x: Any, n: int, n_out: int, key: int) -> tuple[Any, Any]:
    """Return the two parts (batch, n_out) of what `medium.Structured` makes of x (batch, n_in).

    x is a float32 tensor; n is the transform's length. Signs and phases are those of numpy, and
    results agree to the rounding of the transforms.
    """
    torch = namespace(x)
    once = torch.nn.functional.pad(x, (0, n - x.shape[1]))
    once = _fwht(once * _signs(key, n, 0, x.device)) / n
    real, imaginary = [], []
    for block in range(-(-n_out // n)):
        twice = _fwht(once * _signs(key, n, block + 1, x.device))
        cosine, sine = _turns(key, n, block, x.device)
        wide = min(n, n_out - block * n)
        real.append(_fwht(twice * cosine)[:, :wide])
        imaginary.append(_fwht(twice * sine)[:, :wide])
    return torch.cat(real, 1), torch.cat(imaginary, 1)


def _fwht(x: Any) -> Any:
    """Return each row of x (batch, n) times the Hadamard matrix of order n, a power of two."""
    torch, (batch, n) = namespace(x), x.shape
    step = 1
    while step < n:
        pairs = x.reshape(batch, -1, 2, step)
        upper, lower = pairs[:, :, 0], pairs[:, :, 1]
        x = torch.stack((upper + lower, upper - lower), 2)
        step *= 2
    return x.reshape(batch, n)


@lru_cache(maxsize=64)
def _signs(key: int, n: int, block: int, place: Any) -> Any:
    """Return the random signs (n,) of a stage, on a device."""
    import torch

    from .kernels.hadamard import flip
    from .kernels.normal import words

    bits, signs = np.empty(n // 32, np.uint32), np.ones((1, n), np.float32)
    words(np.uint64(key), block * (n // 32), bits)
    flip(signs, bits)
    return torch.as_tensor(signs[0], device=place)


@lru_cache(maxsize=64)
def _turns(key: int, n: int, block: int, place: Any) -> tuple[Any, Any]:
    """Return cosines and sines (n,) of a block's phases, on a device."""
    import torch

    from .kernels.normal import phases

    turn = np.empty((2, n), np.float32)
    phases(np.uint64(key), block * n, turn[0], turn[1])
    return torch.as_tensor(turn[0], device=place), torch.as_tensor(turn[1], device=place)
