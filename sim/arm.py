"""One arm of a run: a network on its devices, trained step by step, resumable at any of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..algorithms.private import poisson_batch
from ..devices.arrays import Array, namespace
from ..devices.ledger import Ledger
from ..devices.release import Release
from ..mappings import Placement
from .data import Data
from .experiment import Experiment
from .meter import Meter

EVALUATE_ROWS = 1000
EVALUATE_ENTRIES = 2**24
"""Samples are evaluated by the thousand, or by fewer where a layer gathers more entries."""


@dataclass(frozen=True)
class Progress:
    """Where an arm stands; what a progress display shows."""

    arm: str
    epoch: int
    epochs: int
    step: int
    steps: int
    """Steps of this epoch."""
    loss: float
    accuracy: float | None
    energy_J: float
    latency_s: float
    unit: str = "epoch"
    """What an epoch is called: a chip where the trained network is put on chips."""


@dataclass
class Arm:
    """A placed network with its data, its place in the run, and what it has learned so far."""

    name: str
    experiment: Experiment
    data: Data
    placement: Placement
    meter: Meter = field(default_factory=Meter)
    epoch: int = 0
    step: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    """Losses of the steps of the open epoch; NaN for a step without samples."""
    stopped: str = ""
    """Why the run ended before its last epoch; empty where it did not."""
    diverged: bool = False
    """Whether it stopped because the loss was no finite number."""
    wall_s: float = 0.0
    releases: tuple[Release, ...] = ()
    """What every training step lets out under noise."""
    rehearsal: Ledger = field(default_factory=Ledger)
    """What one step and one evaluation recorded before the run; none of it is in the run's own."""

    @property
    def part(self) -> str:
        """The part of the data that the learning curve is measured on."""
        return "validation" if len(self.data.validation) else "test"

    # ---- training --------------------------------------------------------------------

    def train(
        self,
        on_progress: Callable[[Progress], None],
        interrupted: Callable[[], bool],
        save: Callable[[], None],
    ) -> bool:
        """Train to the end; return False where `interrupted` said to stop before a step.

        `save` is called then, and at the end of every epoch. A loss that is no finite number ends
        the training; `stopped` says so.
        """
        epochs = self.experiment.train.epochs
        start = time.perf_counter() - self.wall_s
        x, target = self.arrays()
        while self.epoch < epochs and not self.stopped:
            batches = self.batches()
            while self.step < len(batches) and not self.stopped:
                if interrupted():
                    self.wall_s = time.perf_counter() - start
                    save()
                    return False
                self._take(self.train_step(x, target, batches[self.step], len(batches)))
                on_progress(self._progress(len(batches)))
            self._end_epoch(x)
            self.wall_s = time.perf_counter() - start
            save()
            on_progress(self._progress(len(batches)))
        return True

    def _take(self, loss: float) -> None:
        self.losses.append(loss)
        self.step += 1
        if not math.isfinite(loss) and not math.isnan(loss):
            self.diverged = True
            self.stopped = (
                f"the loss left the finite numbers in epoch {self.epoch + 1}, step {self.step}; "
                "a smaller [optimizer] rate usually helps"
            )

    def arrays(self) -> tuple[Any, Any]:
        """Return the features and targets of all samples, where the weights live.

        One-hot, or the codes of [target]; a sample without a class has zeros.
        """
        codes = self.placement.digital.get("codes")
        table = np.eye(self.data.n_classes, dtype=np.float32) if codes is None else _plain(codes)
        target = np.zeros((len(self.data.y), table.shape[1]), np.float32)
        known = self.data.y >= 0
        target[known] = table[self.data.y[known]]
        return self.placement.array(self.data.x), self.placement.array(target)

    def batches(self) -> list[Array]:
        """Return the indices of every step of this epoch; they depend on its number alone."""
        train, samples = self.experiment.train, self.data.train
        if self.data.graph is not None:
            return [np.arange(len(self.data.x))]
        rng = self.placement.seed.child("order").rng(self.epoch)
        if train.sampling == "poisson":
            steps = math.ceil(len(samples) / train.batch)
            rate = min(train.batch / len(samples), 1.0)
            return [samples[poisson_batch(len(samples), rate, rng)] for _ in range(steps)]
        order = rng.permutation(samples)
        return [order[k : k + train.batch] for k in range(0, len(order), train.batch)]

    def train_step(self, x: Any, target: Any, batch: Array, steps: int) -> float:
        """Train on the samples `batch`, one of `steps` in its epoch; return the mean loss.

        NaN where there is no sample, infinity where the loss is no finite number.
        """
        on, algorithm = self.placement, self.experiment.algorithm
        mask = None
        if self.data.graph is not None:
            chosen = np.zeros(len(self.data.x), np.float32)
            chosen[self.data.train] = 1.0
            mask = on.array(chosen)
            rows, wanted = x, target
        else:
            index = on.array(batch)
            rows, wanted = x[index], target[index]
        rate = self._rate((self.epoch + self.step / steps) / self.experiment.train.epochs)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            try:
                with on.ledger.step("train", samples=len(batch)):
                    for release in self.releases:
                        on.ledger.release(release)
                    loss = algorithm.step(on, rows, wanted, mask, rate)
            except ValueError:
                if self._says_finite(rows):
                    raise
                return math.inf  # a device refused an error that was no number any more
        if not len(batch):
            return math.nan
        return loss if math.isfinite(loss) else math.inf

    def _says_finite(self, rows: Any) -> bool:
        """Whether the network's output is finite; the ledger does not hear of the question."""
        ledger = self.placement.ledger
        steps = dict(ledger.steps)
        with ledger.step("free", samples=0):
            output = self.experiment.algorithm.predict(self.placement, rows)
        ledger.steps = steps
        return bool(namespace(output).isfinite(output).all())

    def _rate(self, gone: float) -> float:
        """Return the factor on the optimizer's rate after a share `gone` of the run."""
        schedule = self.experiment.train.schedule
        if schedule == "linear":
            return 1.0 - gone
        return 0.5 * (1.0 + math.cos(math.pi * gone)) if schedule == "cosine" else 1.0

    def _end_epoch(self, x: Any) -> None:
        losses = [loss for loss in self.losses if not math.isnan(loss)]
        energy_J, latency_s = self.meter.read(self.placement.ledger)
        self.epoch += 1
        self.curve.append(
            {
                "epoch": self.epoch,
                "loss": float(np.mean(losses)) if losses else math.nan,
                "accuracy": self.accuracy(self.part, x),
                "energy_J": energy_J,
                "latency_s": latency_s,
            }
        )
        self.step, self.losses = 0, []
        patience = self.experiment.train.patience
        accuracies = [row["accuracy"] for row in self.curve]
        best = accuracies.index(max(accuracies))
        if patience and not self.stopped and len(accuracies) - 1 - best >= patience:
            self.stopped = f"no better validation accuracy for {patience} epochs"

    # ---- what it has learned ---------------------------------------------------------

    def accuracy(self, part: str, x: Any = None, most: int | None = None) -> float:
        """Return the share of right answers on "train", "validation" or "test", on the devices.

        `most` looks at so many samples at most.
        """
        samples: Array = getattr(self.data, part)[:most]
        if x is None:
            x = self.placement.array(self.data.x)
        on, right = self.placement, 0
        size = len(self.data.x) if self.data.graph is not None else self._evaluated_at_once()
        for k in range(0, len(samples), size):
            chosen = samples[k : k + size]
            rows = x if self.data.graph is not None else x[on.array(chosen)]
            with (
                np.errstate(over="ignore", invalid="ignore"),
                on.ledger.step("evaluate", samples=len(chosen)),
            ):
                said = self.experiment.algorithm.predict(on, rows).argmax(1)
            said = said if namespace(said) is np else said.cpu().numpy()
            answers = said[chosen] if self.data.graph is not None else said
            right += int((answers == self.data.y[chosen]).sum())
        return right / len(samples)

    def _evaluated_at_once(self) -> int:
        widest = max(
            a.rows_per_sample * max(a.n_in, a.n_out) for a in self.placement.network.layers
        )
        return max(1, min(EVALUATE_ROWS, EVALUATE_ENTRIES // widest))

    def _progress(self, steps: int) -> Progress:
        energy_J, latency_s = self.meter.soon(self.placement.ledger)
        loss = self.losses[-1] if self.losses else math.nan
        if math.isnan(loss) and self.curve:
            loss = self.curve[-1]["loss"]
        return Progress(
            self.name,
            self.epoch,
            self.experiment.train.epochs,
            self.step,
            steps,
            loss,
            self.curve[-1]["accuracy"] if self.curve else None,
            energy_J,
            latency_s,
        )

    def weights(self) -> dict[str, Array]:
        """Return the trained matrices (n_out, n_in), and by layer what the host keeps (n_out,).

        That is biases, gains and running means and variances, by name as the matrices are; and any
        codes of the classes.
        """
        found: dict[str, Array] = {}
        for name, device in self.placement.devices.items():
            if name.startswith(("weight", "head")):
                found[name] = np.ascontiguousarray(device.matrix(), np.float32)
        kept = [*self.placement.network.digital(), "codes"]
        for name in (n for n in kept if n in self.placement.digital):
            found[name] = np.ascontiguousarray(_plain(self.placement.digital[name]))
        return found


def _plain(value: Any) -> Array:
    found: Array = value if namespace(value) is np else value.cpu().numpy()
    return found
