"""Put every demand onto a device that is able to meet it, all under one ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..devices import Can, Device, Ledger, MatrixEngine, Seed, TorchMatrix, Unable
from ..devices.arrays import Array, namespace
from ..devices.base import words
from ..devices.host import Host
from ..devices.words import unknown
from .demand import Demand
from .network import Network

Build = Callable[[Demand, Ledger, Seed], Device]
"""Makes the device of one demand; it must bear the demand's name and sizes."""


@dataclass
class Placement:
    """A network on its devices: what an algorithm works on, and the one ledger of the run."""

    network: Network
    devices: dict[str, Device]
    host: Host
    ledger: Ledger
    seed: Seed
    digital: dict[str, Any] = field(default_factory=dict)
    """Biases, gains, running statistics and whatever an optimizer remembers, by name; arrays of
    the kind `array` gives."""
    batch: int | None = None
    """What sums over a batch are divided by; None: by the size of the batch that came."""
    steps: int = 0
    """Training steps so far: the counter of whatever draws at random beside the devices."""
    clean: dict[str, Any] = field(default_factory=dict)
    """Matrices without noise, by name, while their devices hold noisy ones: within a step."""

    def settle(self, name: str) -> None:
        """Write a matrix without its noise again, where its device holds a noisy one."""
        if (clean := self.clean.pop(name, None)) is not None:
            self.devices[name].program(self.array(clean))

    def __getitem__(self, name: str) -> Device:
        return self.devices[name]

    def array(self, x: Array) -> Any:
        """Return x where the weights live: on their GPU if all are torch's, else in numpy."""
        inside = TorchMatrix, MatrixEngine
        places = {d.place if isinstance(d, inside) else "" for d in self._weights()}
        if len(places) > 1 or "" in places:
            return x
        import torch

        return torch.as_tensor(x, device=places.pop())

    def _weights(self) -> list[Device]:
        return [d for name, d in self.devices.items() if name.startswith("weight")]

    def state(self) -> dict[str, Array]:
        """Return every array that a checkpoint needs: devices' and digital ones."""
        arrays = {
            f"device:{name}:{key}": value
            for name, device in self.devices.items()
            for key, value in device.state().items()
        }
        for name, value in self.digital.items():
            plain = value if namespace(value) is np else value.detach().cpu().numpy()
            arrays[f"digital:{name}"] = plain
        arrays["steps"] = np.array([self.steps], np.int64)
        return arrays

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Go on from what `state` returned."""
        for name, device in self.devices.items():
            start = f"device:{name}:"
            mine = {k[len(start) :]: v for k, v in arrays.items() if k.startswith(start)}
            device.restore(mine)
        self.steps = int(arrays["steps"][0])
        self.digital = {
            k.removeprefix("digital:"): self.array(v.copy())
            for k, v in arrays.items()
            if k.startswith("digital:")
        }


def place(
    network: Network,
    demands: Iterable[Demand],
    on: Mapping[str, Build],
    host_technology: str,
    seed: Seed,
) -> Placement:
    """Return the network on its devices, first weights written and counted as one step.

    `on` maps a demand's name, or its role ("weight", "feedback"), to what builds its device.
    Raises ValueError where a demand has no device, Unable where the device cannot do what is
    demanded; both before any device is written.
    """
    ledger = Ledger()
    host = Host(ledger, host_technology)
    demands = list(demands)
    known = {key for d in demands for key in (d.name, d.role, d.like) if key}
    for name in on:
        if name not in known:
            raise ValueError(f"{unknown('place', name, known)}; the algorithm demands only these")
    devices = {}
    for demand in demands:
        key = demand.served_by(on)
        if key is None:
            raise ValueError(
                f'{demand.name} has no device: say [{demand.role}] device = "..." in the file'
            )
        device = on[key](demand, ledger, seed)
        missing = demand.needs & ~device.can
        if missing:
            raise Unable(
                f"{demand.name} needs {words(missing)}; "
                f"{type(device).__name__} can {words(device.can)}"
            )
        devices[demand.name] = device
    placement = Placement(network, devices, host, ledger, seed)
    with ledger.step("program", samples=0):
        for demand in demands:
            if Can.PROGRAM in devices[demand.name].can:
                rng = seed.child("start").child(demand.name).rng()
                w = rng.standard_normal((demand.n_out, demand.n_in), np.float32)
                with ledger.stage(f"program/{demand.name}"):
                    devices[demand.name].program(w * np.float32(demand.spread))
    placement.digital = {name: placement.array(a) for name, a in network.digital().items()}
    return placement
