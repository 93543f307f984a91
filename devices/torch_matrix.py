"""A real matrix engine driven through PyTorch: the noise is its rounding, the time is measured."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .arrays import Array
from .base import Can, Device
from .engine_cost import gemm_cost
from .ledger import Count
from .seeds import Draw


def import_torch() -> Any:
    """Return torch. Raises ImportError with the extra's name where it is not installed."""
    try:
        import torch
    except ModuleNotFoundError as absent:
        raise ImportError('the torch device needs PyTorch: pip install "hwloop[torch]"') from absent
    return torch


def on_place(name: str, place: str, x: Any) -> Any:
    """Return x as a tensor on a torch device. Raises ValueError where torch cannot work there."""
    torch = import_torch()
    try:
        return torch.as_tensor(x, device=place)
    except (RuntimeError, AssertionError) as wrong:
        reason = str(wrong).splitlines()[0]
        raise ValueError(f'{name}: torch cannot work on place "{place}": {reason}') from wrong


def entered(name: str, x: Any, width: int, what: str, like: Any) -> Any:
    """Return x as a tensor (batch, width) of the dtype and on the device of `like`.

    Raises ValueError for another shape.
    """
    x = import_torch().as_tensor(x, dtype=like.dtype, device=like.device)
    if x.ndim != 2 or x.shape[1] != width:
        raise ValueError(f"{name}: {what} takes (batch, {width}), got {tuple(x.shape)}")
    return x.detach()


@dataclass(kw_only=True, eq=False)
class TorchMatrix(Device):
    """The same verbs as every device, carried out by whatever `place` names."""

    place: str = "cpu"
    """A torch device: "cpu", "cuda", "cuda:1"."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """The number format in which the matrix is held and multiplied."""

    usual_technology = "torch"
    digital = True

    def __post_init__(self) -> None:
        super().__post_init__()
        torch = self._torch = import_torch()
        if self.precision not in ("float32", "bfloat16", "float16"):
            raise ValueError(
                f"{self.name}: precision takes float32, bfloat16 or float16, got {self.precision!r}"
            )
        try:
            self._w = torch.zeros(
                self.n_out, self.n_in, dtype=getattr(torch, self.precision), device=self.place
            )
        except (RuntimeError, AssertionError) as wrong:
            reason = str(wrong).splitlines()[0]
            raise ValueError(
                f'{self.name}: torch cannot work on place "{self.place}": {reason}'
            ) from wrong

    def _enter(self, x: Any, width: int, what: str) -> Any:
        entered = self._torch.as_tensor(x, dtype=self._w.dtype, device=self._w.device)
        if entered.ndim != 2 or entered.shape[1] != width:
            raise ValueError(
                f"{self.name}: {what} takes (batch, {width}), got {tuple(entered.shape)}"
            )
        return entered.detach()

    def _clock_s(self) -> float:
        if self._w.is_cuda:
            self._torch.cuda.synchronize(self._w.device)
        return time.perf_counter()

    def matrix(self) -> Array:
        w: Array = self._w.float().cpu().numpy().copy()
        return w

    def _multiply(self, x: Any, draw: Draw) -> Any:
        return x @ self._w.T

    def _transpose(self, y: Any, draw: Draw) -> Any:
        return y @ self._w

    def _program(self, w: Any, draw: Draw) -> None:
        self._w.copy_(w)

    def _update(self, y: Any, x: Any, rate: float, draw: Draw) -> None:
        self._w.addmm_(y.T, x, alpha=rate)

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        return gemm_cost(verb, batch, self.n_out, self.n_in)

    def _state(self) -> dict[str, Array]:
        return {"w": self.matrix()}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._w.copy_(self._torch.as_tensor(arrays["w"]))
