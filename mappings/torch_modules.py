"""A PyTorch module whose layers live on devices, and the training loop it had before.

The forward pass multiplies on the device, the backward pass transposes on it. The parameters
stay what optimizers and state dicts know. When one has changed, the device is told before it is
used again: as an update in place where the change is the outer product that the last backward
passes leave, at one rate, as plain gradient descent makes it; else by writing the whole matrix.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..devices import Can, Device, Ledger, Seed, Unable
from ..devices.arrays import Array
from ..devices.base import words

Make = Callable[..., Device]
"""A device class, or anything that takes n_out, n_in, name, seed and ledger and makes one."""

EXACT = 1e-4
"""A change counts as an outer product at one rate where no more than this share of it is not."""


class _Multiply(torch.autograd.Function):
    """y = x W^T on a device, x (rows, n_in); the slope of x by its transpose."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, held: Held) -> Any:
        ctx.save_for_backward(x)
        ctx.held = held
        return held.device.multiply(x)

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> Any:
        (y,) = slopes
        (x,) = ctx.saved_tensors
        held: Held = ctx.held
        below = above = None
        if ctx.needs_input_grad[0]:
            below = held.device.transpose(y)
        if ctx.needs_input_grad[1]:
            above = y.T @ x
            held.passed.append((y.detach(), x.detach()))
        return below, above, None


def _multiply(x: Any, weight: Any, held: Held) -> Any:
    return _Multiply.apply(x, weight, held)  # type: ignore[no-untyped-call]


@dataclass(eq=False)
class Held:
    """A device, and what has happened to the parameter that it holds since it was told."""

    device: Device
    told: Any = None
    """The weights (n_out, n_in) as the device was last told them."""
    version: int = -1
    passed: list[tuple[Any, Any]] = field(default_factory=list)

    def tell(self, weight: Any) -> None:
        """Bring the device up to date with the parameter, if that has changed."""
        if weight._version == self.version:
            return
        w = weight.detach().reshape(self.device.n_out, self.device.n_in)
        rate = None if self.told is None else self._rate(w - self.told)
        if rate is None:
            self.device.program(w)
        else:
            y, x = (torch.cat(parts) for parts in zip(*self.passed, strict=True))
            self.device.update(y, x, rate)
        self.passed.clear()
        if rate is not None:
            holds = torch.as_tensor(self.device.matrix(), dtype=weight.dtype, device=weight.device)
            with torch.no_grad():
                weight.copy_(holds.reshape(weight.shape))
            w = weight.detach().reshape(w.shape)
        self.told, self.version = w.clone(), weight._version

    def _rate(self, change: Any) -> float | None:
        """Return the rate at which the change is the outer product of what passed, or None."""
        if Can.UPDATE not in self.device.can or not self.passed:
            return None
        gradient = sum(y.T @ x for y, x in self.passed)
        size = float((gradient * gradient).sum())
        if not 0 < size < float("inf"):
            return None
        rate = float((change * gradient).sum()) / size
        left = float(((change - rate * gradient) ** 2).sum())
        whole = float((change * change).sum())
        return rate if left <= EXACT**2 * whole else None


class DeviceLinear(nn.Module):
    """nn.Linear on a device: x (..., in_features) to (..., out_features)."""

    def __init__(self, layer: nn.Linear, make: Make, name: str, seed: Seed, ledger: Ledger) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        n_out, n_in = layer.weight.shape
        self.held = Held(_made(make, n_out, n_in, name, seed, ledger))

    def forward(self, x: Any) -> Any:
        """Return the layer's output."""
        self.held.tell(self.weight)
        rows = x.reshape(-1, x.shape[-1])
        y = _multiply(rows, self.weight, self.held)
        y = y.reshape(*x.shape[:-1], y.shape[-1])
        return y if self.bias is None else y + self.bias


class DeviceConv2d(nn.Module):
    """nn.Conv2d of one group on a device that holds (out_channels, in_channels * kernel)."""

    def __init__(self, layer: nn.Conv2d, make: Make, name: str, seed: Seed, ledger: Ledger) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.geometry: dict[str, Any] = {
            "kernel_size": layer.kernel_size,
            "stride": layer.stride,
            "padding": layer.padding,
            "dilation": layer.dilation,
        }
        n_out = layer.out_channels
        self.held = Held(_made(make, n_out, layer.weight[0].numel(), name, seed, ledger))

    def forward(self, x: Any) -> Any:
        """Return the layer's output (batch, out_channels, height, width)."""
        self.held.tell(self.weight)
        patches = nn.functional.unfold(x, **self.geometry)
        batch, n_in, places = patches.shape
        rows = patches.transpose(1, 2).reshape(-1, n_in)
        y = _multiply(rows, self.weight.reshape(len(self.weight), -1), self.held)
        if self.bias is not None:
            y = y + self.bias
        g = self.geometry
        height, width = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(
                x.shape[2:],
                g["kernel_size"],
                g["stride"],
                g["padding"],
                g["dilation"],
                strict=True,
            )
        )
        return y.reshape(batch, places, -1).transpose(1, 2).reshape(batch, -1, height, width)


def convert(module: nn.Module, place: Mapping[str, Make], seed: int = 0) -> nn.Module:
    """Put a module's Linear and Conv2d layers onto devices, in place, and return it.

    `place` maps patterns of layer names, as in {"fc.*": Crossbar}, to a device class, or to
    anything that takes its sizes, name, seed and ledger (functools.partial with settings); the
    first that fits a layer counts. Parameters, their names and the state dict stay as they are;
    `sync` tells the devices what an optimizer or `load_state_dict` changed, as every forward pass
    does; `ledger` returns the one record of all of them.

    Raises ValueError where a pattern fits no layer or a convolution has groups, padding by words
    or another mode than zeros; Unable where a device cannot be written or read backwards.
    """
    for key, make in place.items():
        if not callable(make):
            raise ValueError(f'pattern "{key}" takes a device class, got {make!r}')
    record, root = Ledger(), Seed(seed)
    fits: dict[str, list[str]] = {pattern: [] for pattern in place}
    found: list[tuple[str, nn.Module, Make]] = []
    for name, layer in module.named_modules():
        if not isinstance(layer, (nn.Linear, nn.Conv2d)):
            continue
        pattern = next((p for p in place if fnmatch.fnmatchcase(name, p)), None)
        if pattern is not None:
            fits[pattern].append(name)
            found.append((name, layer, place[pattern]))
    for pattern, names in fits.items():
        if not names:
            known = [n for n, m in module.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))]
            there = ", ".join(known) or "none"
            raise ValueError(
                f'pattern "{pattern}" fits no Linear or Conv2d layer; there is: {there}'
            )
    for name, layer, make in found:
        held: nn.Module
        if isinstance(layer, nn.Linear):
            held = DeviceLinear(layer, make, name, root, record)
        else:
            assert isinstance(layer, nn.Conv2d)
            _check_convolution(name, layer)
            held = DeviceConv2d(layer, make, name, root, record)
        held.train(layer.training)
        parent, _, last = name.rpartition(".")
        if not name:
            module = held
        else:
            setattr(module.get_submodule(parent), last, held)
    sync(module)
    return module


def sync(module: nn.Module) -> None:
    """Tell every device of a converted module what has changed in its parameters."""
    for layer in _held(module).values():
        layer.held.tell(layer.weight)


def ledger(module: nn.Module) -> Ledger:
    """Return the record of all that a converted module's devices did.

    Raises ValueError where no layer of it lives on a device.
    """
    for layer in _held(module).values():
        return layer.held.device.ledger
    raise ValueError("no layer of this module lives on a device: convert it first")


def _held(module: nn.Module) -> dict[str, DeviceLinear | DeviceConv2d]:
    kinds = (DeviceLinear, DeviceConv2d)
    return {name: m for name, m in module.named_modules() if isinstance(m, kinds)}


def _made(make: Make, n_out: int, n_in: int, name: str, seed: Seed, ledger: Ledger) -> Device:
    device = make(n_out=n_out, n_in=n_in, name=name or "layer", seed=seed, ledger=ledger)
    missing = (Can.PROGRAM | Can.TRANSPOSE) & ~device.can
    if missing:
        raise Unable(
            f"{device.name} needs {words(missing)}; {type(device).__name__} can {words(device.can)}"
        )
    return device


def _check_convolution(name: str, layer: nn.Conv2d) -> None:
    if layer.groups != 1:
        raise ValueError(
            f"{name}: a convolution on a device has one group, this has {layer.groups}"
        )
    if isinstance(layer.padding, str):
        raise ValueError(f'{name}: padding takes whole numbers, got "{layer.padding}"')
    if layer.padding_mode != "zeros":
        raise ValueError(f'{name}: padding_mode takes "zeros", got "{layer.padding_mode}"')


def weights(module: nn.Module) -> dict[str, Array]:
    """Return what each device of a converted module stands for, (n_out, n_in), by layer."""
    return {name: layer.held.device.matrix() for name, layer in _held(module).items()}
