"""What an algorithm is: the matrices it asks for, and one step of training on them."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..devices import Can
from ..devices.release import Release
from ..mappings import Demand, Graph, Network, Placement, Recurrent
from .aware import NoiseAware
from .losses import Loss, SoftmaxCrossEntropy
from .optimizers import SGD, Optimizer
from .passes import Pass, Slope, passed_of
from .private import Private
from .through_time import recurrent, turns, unrolled
from .within import respond


@dataclass(frozen=True)
class Algorithm(abc.ABC):
    """A rule for training a network: what it demands of the hardware, and one step."""

    loss: Loss = field(default_factory=SoftmaxCrossEntropy)
    optimizer: Optimizer = field(default_factory=SGD)
    private: Private | None = None
    """Clip and noise the gradients of every layer, for differential privacy."""
    aware: NoiseAware | None = None
    """Put noise on the weights in every training step."""
    loss_scale: float = 1.0
    """Factor on the error on its way back, taken out of the updates again [Micikevicius et al.,
    "Mixed precision training", ICLR 2018]: keeps small errors in the range of a narrow format."""

    scales_error: ClassVar[bool] = False
    """Whether every change is proportional to the error at the output: what `loss_scale` takes."""
    by_sample: ClassVar[bool] = True
    """Whether every change is a sum over samples that `update` is given: what privacy clips."""
    by_outer_products: ClassVar[bool] = True
    """Whether every change of a weight is one; else whole matrices are written."""
    takes_codes: ClassVar[bool] = True
    """Whether it learns from an error at the output, so that targets may be codes of classes."""
    keeps_inputs: ClassVar[bool] = False
    """Whether more is done with a forward pass's inputs than to update their own layer."""
    keeps_sums: ClassVar[bool] = False
    """Whether a forward pass keeps what goes into the activations."""

    @abc.abstractmethod
    def demands(self, network: Network) -> Sequence[Demand]:
        """Return the matrices that the algorithm works with on this network."""

    @abc.abstractmethod
    def calls(self, depth: int) -> Mapping[str, int]:
        """Return how often a step asks a role for a verb, as {"weight MULTIPLY": depth, ...}.

        `depth` counts the weight layers of a dense network; SGD without a memory is the optimizer.
        """

    def repeats(self, turns: Sequence[int]) -> Mapping[str, int] | None:
        """Return the calls beyond `calls` of a step, layer k being multiplied turns[k - 1] times.

        That is once, or once a step where it is recurrent. None: such layers are not trained.
        """
        return None

    @abc.abstractmethod
    def learn(self, on: Placement, passed: Pass, error: Any, rate: float) -> None:
        """Change the weights after a forward pass whose output error is (batch, n_classes)."""

    def trains(self, layer: int, network: Network) -> bool:
        """Whether the weights of this layer, counted from 1, ever change."""
        return True

    def weights(self, network: Network, also: Sequence[Can] = ()) -> list[Demand]:
        """Return a demand for the weights of every layer, then those of the optimizer.

        `also` adds abilities by layer.

        Weights start Gaussian with a variance of 1 / n_in [LeCun et al., "Efficient BackProp",
        1998], or 2 / n_in under relu [He et al. 2015].
        """
        if recurrent(network) and self.repeats(turns(network)) is None:
            raise ValueError(
                f"layer {recurrent(network)[0]} is recurrent, and {type(self).__name__} has no "
                "rule for it; backprop, feedback_alignment, dfa, drtp and tpsgd have, among others"
            )
        if self.private and not self.by_sample:
            raise ValueError(
                f"{type(self).__name__} learns by more than sums over samples, which is what "
                "private training clips: leave out [privacy] noise_multiplier"
            )
        if self.aware and type(self).step is not Algorithm.step:
            raise ValueError(
                f"{type(self).__name__} runs passes of its own, and noise is put on the weights "
                "for one forward pass and what follows it: leave out [noise]"
            )
        if not 0 < self.loss_scale < float("inf"):
            raise ValueError(f"loss_scale takes a finite number above 0, got {self.loss_scale}")
        if self.private and self.loss_scale != 1:
            raise ValueError("loss_scale takes 1 in private training, which clips the error itself")
        if self.loss_scale != 1 and not self.scales_error:
            raise ValueError(
                f"loss_scale takes 1 for {type(self).__name__}, whose changes are not the error's "
                "alone"
            )
        demands = []
        for k, layer in enumerate(network.layers, 1):
            if self.private and isinstance(layer, Graph):
                raise ValueError(
                    f"layer {k} mixes the nodes of a graph; private training clips each sample's "
                    "part, and takes dense and convolutional layers"
                )
            if self.private and layer.norm == "batch":
                raise ValueError(
                    f'layer {k} has norm = "batch", which mixes samples, and private training '
                    'clips each sample\'s part: take norm = "layer"'
                )
            needs = Can.MULTIPLY
            if self.trains(k, network):
                needs |= Can.PROGRAM
                if self.private is None and self.by_outer_products:
                    needs |= self.optimizer.needs
            if self.aware is not None:
                needs |= Can.PROGRAM
            if also:
                needs |= also[k - 1]
            gain = 2.0 if layer.activation == "relu" else 1.0
            spread = (gain / layer.n_in) ** 0.5
            demands.append(Demand(f"weight/{k}", layer.n_out, layer.n_in, needs, spread))
        trained = [d for k, d in enumerate(demands, 1) if self.trains(k, network)]
        return [*demands, *self.optimizer.demands(trained)]

    def releases(self, on: Placement, sampling: str, rate: float) -> tuple[Release, ...]:
        """Return what each training step lets out under noise; nothing where nothing is promised.

        `sampling` and `rate` say how a batch is drawn; see `Release`.
        """
        if self.private is None:
            return ()
        layers = [k for k in range(1, on.network.depth + 1) if self.trains(k, on.network)]
        trained = [f"weight/{k}" for k in layers]
        trained += [f"norm/{k}" for k in layers if on.network.layers[k - 1].norm != "none"]
        return (self.private.release(trained, rate, sampling),)

    def predict(self, on: Placement, x: Any) -> Any:
        """Return scores (batch, n_classes) of x (batch, features): the largest is the answer."""
        return self.decoded(on, self.forward(on, x).output)

    def decoded(self, on: Placement, output: Any) -> Any:
        """Return an output (batch, n) as scores (batch, n_classes), where codes stand for classes.

        `on.digital["codes"]` (n_classes, n) are those; without them the output is the scores.
        """
        if "codes" not in on.digital:
            return output
        with on.ledger.stage("decode", after=on.ledger.stages[-1:]):
            return self.loss.closeness(on.host, output, on.digital["codes"])

    def enter(self, on: Placement, x: Any) -> Any:
        """Return x (batch, width) as it goes into the next layer, in the current stage."""
        return x

    def forward(
        self,
        on: Placement,
        x: Any,
        name: str = "forward",
        after: tuple[str, ...] = (),
        train: bool = False,
    ) -> Pass:
        """Run x (batch, features) through the network, a stage a layer, named `name`/layer.

        The first waits for the stages `after`. `train` lets batch norm take the batch's own mean
        and variance, and its running ones follow; and the optimizer may keep less of the inputs
        of layers that train than they are.
        """
        inputs, responses, features = [], [], x
        before = after
        compressed = train and self._compresses()
        for k, layer in enumerate(on.network.layers, 1):
            stage = f"{name}/{k}"
            if isinstance(layer, Recurrent):
                rows = layer.gather(x)
                response = unrolled(on, k, rows, name, after if k == 1 else (), self.keeps_sums)
            else:
                with on.ledger.stage(stage, after=before):
                    x = self.enter(on, x)
                    rows = layer.gather(x)
                    if rows is not x:
                        on.host.count("GATHER", len(x), rows.shape[0] * rows.shape[1])
                    z = on[f"weight/{k}"].multiply(rows)
                    response = respond(on, k, z, train, self.keeps_sums)
                    if compressed and self.trains(k, on.network):
                        rows = self.optimizer.kept(on, f"weight/{k}", rows)
            x = response.units
            inputs.append(rows)
            responses.append(response)
            before = (stage,)
        passed = passed_of(inputs, responses, x, features)
        return passed._replace(sums=[r.sums for r in responses]) if self.keeps_sums else passed

    def step(
        self, on: Placement, x: Any, target: Any, mask: Any = None, rate: float = 1.0
    ) -> float:
        """Train on x (batch, features) and target (batch, n_classes); return the mean loss.

        `mask` (batch,) of 0 and 1 leaves samples out of the loss. `rate` scales the optimizer's
        own rate, for schedules. The caller opens the ledger's step.
        """
        on.steps += 1
        if self.aware is not None:
            return self._step_on_noise(self.aware, on, x, target, mask, rate)
        passed = self.forward(on, x, train=True)
        return self._learn_from(on, passed, target, mask, rate)

    def _compresses(self) -> bool:
        """Whether a forward pass may keep what the optimizer makes of its inputs."""
        plain = self.by_outer_products and self.private is None and not self.keeps_inputs
        return self.optimizer.compresses and plain

    def _learn_from(
        self, on: Placement, passed: Pass, target: Any, mask: Any, rate: float
    ) -> float:
        with on.ledger.stage("error", after=(f"forward/{on.network.depth}",)):
            loss, error = self.loss.error(on.host, passed.output, target, mask)
            if self.loss_scale != 1:
                on.host.count("SCALE", len(error), error.shape[0] * error.shape[1])
                error = error * float(self.loss_scale)
        share = None if mask is None else mask / mask.mean()
        passed = passed._replace(target=target, share=share)
        self.learn(on, passed, error, rate)
        return loss

    def _step_on_noise(
        self, aware: NoiseAware, on: Placement, x: Any, target: Any, mask: Any, rate: float
    ) -> float:
        """Do what `step` does with noise on all weights, and none on those that it leaves."""
        try:
            with on.ledger.stage("noise"):
                aware.inject(on)
            passed = self.forward(on, x, after=("noise",), train=True)
            loss = self._learn_from(on, passed, target, mask, rate)
        finally:
            if on.clean:
                with on.ledger.stage("clean", after=on.ledger.stages):
                    for name in list(on.clean):
                        on.settle(name)
        if aware.clips:
            with on.ledger.stage("clip", after=on.ledger.stages):
                for k in range(1, on.network.depth + 1):
                    if self.trains(k, on.network):
                        aware.clip(on, f"weight/{k}")
        return loss

    def update(
        self, on: Placement, layer: int, slope: Slope, rows: Any, samples: int, rate: float
    ) -> None:
        """Move weights, biases and gains of one layer against the gradient, in the current stage.

        rows (rows, n_in) is what the matrix multiplied; the gradient is the mean over `samples`,
        and the slope within the layer holds it `loss_scale` times.
        """
        if self.private is not None:
            self._update_privately(self.private, on, layer, slope, rows, samples, rate)
            return
        scale = 1.0 / (samples * self.loss_scale)
        self.optimizer.change(on, f"weight/{layer}", slope.sums, rows, scale, rate)
        delta = slope.shifted
        on.host.count("SUM", len(delta), delta.shape[0] * delta.shape[1])
        self.optimizer.shift(on, f"bias/{layer}", delta.sum(0) * scale, rate)
        if slope.normal is not None:
            on.host.count("SUM", len(delta), delta.shape[0] * delta.shape[1])
            gains = (delta * slope.normal).sum(0) * scale
            self.optimizer.shift(on, f"gain/{layer}", gains, rate)

    def _update_privately(
        self,
        private: Private,
        on: Placement,
        layer: int,
        slope: Slope,
        rows: Any,
        samples: int,
        rate: float,
    ) -> None:
        """Do what `update` does with clipped and noised sums.

        The bias learns as one more input; with a norm, it and the gain have a sum of their own.
        """
        name, of = f"weight/{layer}", on.network.layers[layer - 1]
        last = layer == on.network.depth and isinstance(self.loss, SoftmaxCrossEntropy)
        draw = on.seed.child("privacy").at(on.steps)
        weights, biases = private.sums(name, slope.sums, rows, draw, last, of.rows_per_sample)
        n, n_out, n_in = len(rows), of.n_out, of.n_in
        on.host.count("CLIP", n, n * (n_out + n_in + 1), macs=n * n_out * (n_in + 1))
        on.host.count("NOISE", 1, n_out * (n_in + 1))
        if slope.normal is not None:
            gains, biases = private.norm_sums(
                f"norm/{layer}", slope.shifted, slope.normal, draw, of.rows_per_sample
            )
            on.host.count("SUM", n, 2 * n * n_out)
            on.host.count("NOISE", 1, 2 * n_out)
            self.optimizer.shift(on, f"gain/{layer}", gains / samples, rate)
        self.optimizer.descend(on, name, weights / samples, rate)
        self.optimizer.shift(on, f"bias/{layer}", biases / samples, rate)
