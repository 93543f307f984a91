"""Projections of a matrix's inputs, on any device: shown, read back, drawn anew, written.

The projection of a matrix (n_out, n_in) is P (rank, n_in). Drawn at random its entries have a
variance of 1 / rank, so P^T P is the identity on average. A device that can be written anew is. One
that cannot (light, a random crossbar) keeps the matrix it was made with: its inputs change places
and signs at random instead, and its outputs are scaled so that |P|^2 = n_in. What is made of a
matrix with independent symmetric entries in this way has such entries itself.

The way back, from rank numbers to n_in, needs P's rows. They are read by showing the rows of a
Hadamard matrix, which uses all of a converter's range where the identity would light one input:
backwards and at each step where the device can TRANSPOSE; else forwards, once for every matrix that
is written, and kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..devices import Can, Device
from ..devices.arrays import Array, namespace
from ..mappings import Demand, Placement
from .optimizers import memory


def projection_of(name: str) -> str:
    """Return the name of the projection of a matrix's inputs: projection/2 of weight/2."""
    role, _, number = name.partition("/")
    return f"projection/{number}" if role == "weight" else f"projection/{name}"


def projection_demand(d: Demand, rank: int, needs: Can = Can.MULTIPLY) -> Demand:
    """Return the demand for a projection (rank, n_in) of the inputs of a matrix."""
    return Demand(projection_of(d.name), rank, d.n_in, needs, rank**-0.5, like="weight")


def project(on: Placement, name: str, rows: Any) -> Any:
    """Return rows (b, n_in) of the inputs of matrix `name`, or of a gradient, as (b, rank)."""
    device = on[projection_of(name)]
    if _writable(device):
        return device.multiply(rows)
    order, signs = _places(on, device)
    moved = rows * signs
    shown = namespace(moved).empty_like(moved)
    shown[:, order] = moved
    on.host.count("SHUFFLE", len(rows), rows.shape[0] * rows.shape[1])
    _read(on, device)
    return device.multiply(shown) * float(on.digital[f"gain/{device.name}"][0])


def back(on: Placement, name: str) -> Any:
    """Return P (rank, n_in) of matrix `name` as its device lets it be read."""
    device = on[projection_of(name)]
    if not _writable(device):
        order, signs = _places(on, device)
        return _read(on, device)[:, order] * signs
    if Can.TRANSPOSE not in device.can:
        return _read(on, device)
    probes = on.array(_probes(device.n_out))
    answers = device.transpose(probes)
    on.host.count("READ", len(probes), 0, macs=len(probes) * device.n_out * device.n_in)
    return probes.T @ answers / len(probes)


def redraw(on: Placement, name: str) -> None:
    """Draw the projection of matrix `name` anew, by the seed and the number of draws so far."""
    device = on[projection_of(name)]
    number = _draws(on, device)
    number[0] += 1
    if _writable(device):
        rng = on.seed.child("draw").child(device.name).rng(int(number[0]))
        p = rng.standard_normal((device.n_out, device.n_in), np.float32)
        on.host.count("DRAW", 1, p.size)
        write(on, name, on.array(p * np.float32(device.n_out**-0.5)))


def write(on: Placement, name: str, p: Any) -> None:
    """Write P (rank, n_in) as the projection of matrix `name`. Raises Unable where none can."""
    device = on[projection_of(name)]
    device.program(p)
    on.digital.pop(f"rows/{device.name}", None)


def _writable(device: Device) -> bool:
    return Can.PROGRAM in device.can and not device.written_once


def _draws(on: Placement, device: Device) -> Any:
    return on.digital.setdefault(f"draws/{device.name}", np.zeros(1, np.int64))


def _places(on: Placement, device: Device) -> tuple[Any, Any]:
    """Return where each input (n_in,) of a fixed matrix is shown now, and with what sign."""
    number, n = int(_draws(on, device)[0]), device.n_in
    if number == 0:
        return on.array(np.arange(n)), on.array(np.ones(n, np.float32))
    rng = on.seed.child("draw").child(device.name).rng(number)
    signs = rng.integers(0, 2, n).astype(np.float32) * 2 - 1
    return on.array(rng.permutation(n)), on.array(signs)


def _read(on: Placement, device: Device) -> Any:
    """Return the matrix (rank, n_in) that is kept of a device, read off it the first time."""
    key = f"rows/{device.name}"
    if key not in on.digital:
        probes = on.array(_probes(device.n_in))
        answers = device.multiply(probes)
        on.host.count("READ", len(probes), 0, macs=len(probes) * device.n_out * device.n_in)
        read = answers.T @ probes / len(probes)
        gain = memory(on, f"gain/{device.name}", (1,))
        size = float((read * read).sum())
        gain[0] = (device.n_in / size) ** 0.5 if not _writable(device) and size > 0 else 1.0
        on.digital[key] = read * float(gain[0])
    return on.digital[key]


def _probes(n: int) -> Array:
    """Return H (N, n) of 1 and -1 with H^T H = N I, N the power of 2 from n."""
    from scipy.linalg import hadamard

    h: Array = hadamard(1 << (n - 1).bit_length()).astype(np.float32)
    return np.ascontiguousarray(h[:, :n])
