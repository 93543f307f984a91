"""Reading a crossbar with torch: the arithmetic of `crossbar_read`, on the tensor's own device.

Drives, codes and conversions are those of the numpy path, to a step of the converter where a sum
in another order falls on the other side of a rounding. Noise has the same law and other draws:
torch's generator on the device, seeded by the operation's key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import namespace
from .base import Can
from .crossbar_read import Pass

if TYPE_CHECKING:
    from .crossbar import Crossbar


def drive_torch(x: Any, reach: float, steps: int, serial: bool) -> list[tuple[Any, Any]]:
    """Return what `crossbar_read.drive` returns, for a float32 tensor x (batch, lines)."""
    torch = namespace(x)
    full = x.abs().amax(1) if reach == 0 else torch.full_like(x[:, 0], reach)
    factor = torch.where(full == 0, torch.ones_like(full), full)
    count = float(max(steps, 1))
    drives = x * (count / factor)[:, None]
    if steps:
        drives = drives.round()
    code = drives.clamp(-count, count) * float(np.float32(1) / np.float32(count))
    if not serial:
        return [(factor, code)]
    whole = (code * steps).round().to(torch.int32)
    size, sign = whole.abs(), torch.sign(whole).to(torch.float32)
    return [
        (factor * float(np.float32(2**k / steps)), ((size >> k) & 1) * sign)
        for k in range(steps.bit_length())
    ]


def read_torch(
    planes: Sequence[tuple[Any, Any]], passes: Sequence[Pass], level: float, top: float, key: int
) -> Any:
    """Return what all passes, held as tensors, read of all planes (batch, n).

    See `crossbar_read.read`; the converters' codes are equally wide.
    """
    first = planes[0][1]
    torch, place = namespace(first), first.device
    generator = torch.Generator(device=place).manual_seed(int(key) % 2**63)
    total = None
    for factor, drives in planes:
        for currents, inverse, offset, gain, *_ in passes:
            here = drives[:, currents.drives]
            current = here @ currents.w.T
            for name, c in currents.curves:
                shaped = here.abs() if name == "size" else here ** int(name.removeprefix("power "))
                current = current + shaped @ c.T
            variance: Any = level**2
            if currents.thermal is not None:
                variance = variance + currents.thermal
            if currents.variance is not None:
                variance = variance + (here * here) @ currents.variance.T
            if not isinstance(variance, float) or variance > 0:
                noise = torch.randn(current.shape, generator=generator, device=place)
                current = current + noise * variance**0.5
            code = current * inverse + offset
            if top > 0:
                code = code.round().clamp(-top, top)
            read = code * (gain * factor[:, None])
            total = read if total is None else total + read
    return total


def passes_on(passes: Sequence[Pass], x: Any) -> list[Pass]:
    """Return the passes as tensors on the device of x."""
    torch = namespace(x)

    def on(a: Any) -> Any:
        return None if a is None else torch.as_tensor(np.ascontiguousarray(a), device=x.device)

    return [
        p._replace(
            currents=p.currents._replace(
                w=on(p.currents.w),
                variance=on(p.currents.variance),
                thermal=on(p.currents.thermal),
                curves=tuple((name, on(c)) for name, c in p.currents.curves),
            ),
            inverse=on(p.inverse),
            offset=on(p.offset),
            gain=on(p.gain),
        )
        for p in passes
    ]


def can_read_there(crossbar: Crossbar, verb: Can) -> bool:
    """Whether the converters are such that torch reads them: all codes of one are equally wide."""
    return all(p.edges is None for p in crossbar._of(verb))


def read_there(crossbar: Crossbar, x: Any, verb: Can, key: int) -> tuple[Any, float]:
    """Return what a crossbar reads of x (batch, lines), a tensor, and what its cells amount to.

    The second is what `Crossbar._drives` gives beside the drives: the cells that were read.
    """
    torch, offset, tiles = namespace(x), crossbar._mapping.kind == "offset", crossbar._tiles
    reach = crossbar.input_range if verb is Can.MULTIPLY and crossbar.input_range else 0.0
    planes = drive_torch(x, reach, crossbar._steps, crossbar._encoding == "serial")
    load = torch.as_tensor(np.ascontiguousarray(crossbar._load(verb)), device=x.device)
    spent = _spent(planes, load[: x.shape[1]], crossbar)
    if offset and verb is Can.TRANSPOSE:
        planes = [(f, tiles.with_reference(d)) for f, d in planes]
        lines = torch.as_tensor(np.asarray(tiles.reference_lines()), device=x.device)
        for _, d in planes:
            spent += float((d[:, lines].abs() @ load[crossbar.n_out :]).sum())
    passes = crossbar._of(verb)
    held, there = crossbar._there.get((verb, x.device), (None, None))
    if held is not passes or there is None:
        there = passes_on(passes, x)
        crossbar._there[verb, x.device] = passes, there
    out = read_torch(planes, there, crossbar.output_noise, crossbar._top, key)
    if not offset or verb is Can.TRANSPOSE:
        return out, spent
    reference = torch.as_tensor(tiles.reference_of(), device=x.device)
    unit = torch.as_tensor(crossbar._scale * crossbar._rescale, device=x.device)
    return (out[:, : crossbar.n_out] - out[:, reference]) * unit, spent


def _spent(planes: Sequence[tuple[Any, Any]], load: Any, crossbar: Crossbar) -> float:
    """Return the cells that drives amount to: squared, or as many as pulses are sent."""
    if crossbar._encoding == "amplitude":
        return float(sum(((d * d) @ load).sum() for _, d in planes))
    pulses = crossbar._steps if crossbar._encoding == "pulses" else 1
    return float(pulses * sum((d.abs() @ load).sum() for _, d in planes))
