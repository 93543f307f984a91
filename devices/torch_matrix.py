"""A real matrix engine driven through PyTorch: the noise is its rounding, the time is measured."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .arrays import Array
from .base import Can, Device
from .engine_cost import Widths, gemm_cost
from .ledger import Count
from .seeds import Draw
from .words import unknown

Dtype = Literal["float32", "bfloat16", "float16", "float8_e4m3fn"]
_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float8_e4m3fn": 1}
FLOAT8_LARGEST = 448.0


def import_torch() -> Any:
    """Return torch. Raises ImportError with the extra's name where it is not installed."""
    try:
        import torch
    except ModuleNotFoundError as absent:
        raise ImportError('the torch device needs PyTorch: pip install "hwloop[torch]"') from absent
    return torch


def place_of(name: str, place: str, fallback: str = "") -> str:
    """Return `place` where torch can work there, else `fallback`.

    Raises ValueError where it cannot work on either.
    """
    torch = import_torch()
    try:
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError) as wrong:
        if fallback:
            return place_of(name, fallback)
        reason = str(wrong).splitlines()[0]
        raise ValueError(f'{name}: torch cannot work on place "{place}": {reason}') from wrong
    return place


def entered(name: str, x: Any, width: int, what: str, dtype: Any, place: str) -> Any:
    """Return x as a tensor (batch, width). Raises ValueError for another shape."""
    x = import_torch().as_tensor(x, dtype=dtype, device=place)
    if x.ndim != 2 or x.shape[1] != width:
        raise ValueError(f"{name}: {what} takes (batch, {width}), got {tuple(x.shape)}")
    return x.detach()


class CudaClock:
    """Seconds on a GPU's own time line, by CUDA events on its current stream.

    An event's time is a float32 of milliseconds since another, so the other is renewed every
    second, and a reading is good to 60 ns.
    """

    def __init__(self, torch: Any, place: Any) -> None:
        self._torch, self._place = torch, place
        self._since, self._before_s = self._event(), 0.0

    def _event(self) -> Any:
        event = self._torch.cuda.Event(enable_timing=True)
        event.record(self._torch.cuda.current_stream(self._place))
        event.synchronize()
        return event

    def read_s(self) -> float:
        """Wait until the GPU has done what it was given, and return the time in seconds."""
        now = self._event()
        seconds = self._since.elapsed_time(now) * 1e-3
        total = self._before_s + seconds
        if seconds > 1.0:
            self._since, self._before_s = now, total
        return float(total)


@dataclass(kw_only=True, eq=False)
class TorchMatrix(Device):
    """The same verbs as every device, carried out by whatever `place` names.

    In float8_e4m3fn the matrix learns in float32 and is multiplied in 8 bits, each operand scaled
    by one number: by the GPU's own instruction where it has one and the sizes are multiples of 16,
    else in bfloat16, which holds the same numbers exactly.
    """

    place: str = "cpu"
    """A torch device: "cpu", "cuda", "cuda:1"."""
    fallback: str = ""
    """A torch device to work on where `place` is not there; empty: that is refused."""
    dtype: Dtype = "float32"
    """The number format in which the matrix is held and multiplied."""

    usual_technology = "torch"
    digital = True

    def __post_init__(self) -> None:
        if self.dtype not in get_args(Dtype):
            raise ValueError(f"{self.name}: {unknown('dtype', str(self.dtype), get_args(Dtype))}")
        torch = self._torch = import_torch()
        self.place = place_of(self.name, self.place, self.fallback)
        super().__post_init__()
        self._low = self.dtype == "float8_e4m3fn"
        kept = torch.float32 if self._low else getattr(torch, self.dtype)
        self._w = torch.zeros(self.n_out, self.n_in, dtype=kept, device=self.place)
        self._rounded: tuple[Any, Any] | None = None
        self._clock: CudaClock | None = None

    def _enter(self, x: Any, width: int, what: str) -> Any:
        return entered(self.name, x, width, what, self._w.dtype, self.place)

    def _clock_s(self) -> float:
        if not self._w.is_cuda:
            return time.perf_counter()
        if self._clock is None:
            self._clock = CudaClock(self._torch, self._w.device)
        return self._clock.read_s()

    def _float8(self, x: Any) -> tuple[Any, Any]:
        """Return x in 8 bits, and what one unit of it stands for."""
        top = x.abs().amax().float()
        scale = self._torch.where(top > 0, top / FLOAT8_LARGEST, self._torch.ones_like(top))
        held = (x / scale).clamp(-FLOAT8_LARGEST, FLOAT8_LARGEST)
        return held.to(self._torch.float8_e4m3fn), scale

    def _weights(self) -> tuple[Any, Any]:
        if self._rounded is None:
            self._rounded = self._float8(self._w)
        return self._rounded

    def _product(self, a: tuple[Any, Any], b: tuple[Any, Any]) -> Any:
        """Return a b^T of 8-bit a (rows, k) and b (columns, k), in float32."""
        torch, (x, unit), (y, other) = self._torch, a, b
        whole = all(n % 16 == 0 for n in (*x.shape, *y.shape))
        if x.is_cuda and whole and torch.cuda.get_device_capability(x.device) >= (8, 9):
            return torch._scaled_mm(
                x, y.T, scale_a=unit, scale_b=other, out_dtype=torch.bfloat16
            ).float()
        product = x.to(torch.bfloat16) @ y.to(torch.bfloat16).T
        return product.float() * (unit * other)

    def matrix(self) -> Array:
        held = self._w.float()
        if self._low:
            codes, unit = self._weights()
            held = codes.float() * unit
        w: Array = held.cpu().numpy().copy()
        return w

    def _multiply(self, x: Any, draw: Draw) -> Any:
        if self._low:
            return self._product(self._float8(x), self._weights())
        return x @ self._w.T

    def _transpose(self, y: Any, draw: Draw) -> Any:
        if self._low:
            codes, unit = self._weights()
            return self._product(self._float8(y), (codes.T.contiguous(), unit))
        return y @ self._w

    def _program(self, w: Any, draw: Draw) -> None:
        self._w.copy_(w)
        self._rounded = None

    def _update(self, y: Any, x: Any, rate: float, draw: Draw) -> None:
        if self._low:
            y, x = self._float8(y.T.contiguous()), self._float8(x.T.contiguous())
            self._w.add_(self._product(y, x), alpha=rate)
        else:
            self._w.addmm_(y.T, x, alpha=rate)
        self._rounded = None

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        size = _BYTES[self.dtype]
        widths = Widths(size, size, size, size, 4 if self._low else size)
        return gemm_cost(verb, batch, self.n_out, self.n_in, widths)

    def _state(self) -> dict[str, Array]:
        return {"w": self._w.float().cpu().numpy().copy()}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        self._w.copy_(self._torch.as_tensor(arrays["w"]))
        self._rounded = None
