"""A network: layers one after another, checked to fit before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..devices.arrays import Array
from ..devices.host import Activation
from ..devices.norms import Norm
from .layers import Convolution, Dense, Graph, Layer, Pooling
from .recurrent import Recurrent, States


@dataclass(frozen=True)
class Network:
    """Layers from the data's features to one output a class.

    Raises ValueError where a layer does not take what the one before it leaves.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError("a network takes at least one layer, got none")
        for k, (below, above) in enumerate(zip(self.layers, self.layers[1:], strict=False), 1):
            if below.width_out != above.width_in:
                raise ValueError(
                    f"layer {k} leaves {below.width_out} units, layer {k + 1} takes "
                    f"{above.width_in}"
                )
        if isinstance(self.layers[-1], Recurrent):
            raise ValueError("the output takes a layer without states; the last one is recurrent")

    @property
    def hidden(self) -> tuple[Layer, ...]:
        """All layers but the last."""
        return self.layers[:-1]

    @property
    def depth(self) -> int:
        """How many matrices the network has."""
        return len(self.layers)

    @property
    def parameters(self) -> int:
        """Weights, biases and gains."""
        return sum(layer.parameters for layer in self.layers)

    def digital(self) -> dict[str, Array]:
        """Return what the host keeps for all layers, as it starts: {"bias/1": (n_out,), ...}."""
        return {
            f"{name}/{k}": value
            for k, layer in enumerate(self.layers, 1)
            for name, value in layer.digital().items()
        }

    def spread(self, error: Any, layer: int) -> Any:
        """Carry an error from the output down to layer number `layer`, through the graph alone."""
        for above in reversed(self.layers[layer:]):
            error = above.spread(error)
        return error


@dataclass(frozen=True)
class Connect:
    """A dense layer to come, or a graph layer: its width and norm."""

    width: int
    norm: Norm | None = None
    """None: that of the network."""


@dataclass(frozen=True)
class Convolve:
    """A convolution to come: channels, kernel (pixels), stride, padding, pooling and norm."""

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 0
    pool: int = 1
    pooling: Pooling = "average"
    norm: Norm | None = None
    """None: that of the network."""


@dataclass(frozen=True)
class Recur:
    """A recurrent layer to come: its units, the steps of a sequence and what goes on of them."""

    recurrent: int
    """How many units."""
    steps: int
    width: int | None = None
    """Numbers that each step brings; None: all that come, shared among the steps."""
    states: States = "last"


def build(
    shape: tuple[int, ...],
    n_classes: int,
    hidden: Sequence[int | Connect | Convolve | Recur],
    activation: Activation = "tanh",
    adjacency: Any = None,
    norm: Norm = "none",
) -> Network:
    """Return the network with these hidden layers and a linear output of one unit a class.

    `shape` is (features,) or (height, width, channels). A whole number is a dense layer of that
    width, or a graph layer where `adjacency` is given. Hidden layers have this `norm` unless they
    name their own or are recurrent. Raises ValueError where an image is smaller than a kernel, a
    convolution follows a dense layer, or what comes to a recurrent layer is no sequence of its
    steps.
    """
    layers: list[Layer] = []
    image: tuple[int, ...] | None = shape if len(shape) == 3 else None
    features = 1
    for n in shape:
        features *= n
    for k, item in enumerate(hidden, 1):
        if isinstance(item, Convolve):
            if image is None:
                raise ValueError(
                    f"layer {k} is a convolution and takes an image (height, width, channels); "
                    f"what comes to it is {features} features"
                )
            layer: Layer = _convolution(k, item, image, activation, item.norm or norm)
            assert isinstance(layer, Convolution)
            image = layer.image_out
        elif isinstance(item, Recur):
            layer, image = _recurrent(k, item, features, activation, adjacency), None
        else:
            full = Connect(item) if isinstance(item, int) else item
            if full.width < 1:
                raise ValueError(f"layer {k} takes a width from 1, got {full.width}")
            layer = _full(features, full.width, activation, adjacency, full.norm or norm)
            image = None
        if layer.norm == "layer" and layer.n_out * layer.rows_per_sample < 2:
            raise ValueError(f'layer {k}: norm = "layer" takes 2 units or more, got 1')
        layers.append(layer)
        features = layer.width_out
    layers.append(_full(features, n_classes, "identity", adjacency))
    return Network(tuple(layers))


def _full(
    inputs: int, outputs: int, activation: Activation, adjacency: Any, norm: Norm = "none"
) -> Layer:
    if adjacency is None:
        return Dense(inputs=inputs, outputs=outputs, activation=activation, norm=norm)
    return Graph(
        inputs=inputs, outputs=outputs, activation=activation, norm=norm, adjacency=adjacency
    )


def _recurrent(
    k: int, item: Recur, features: int, activation: Activation, adjacency: Any
) -> Recurrent:
    if adjacency is not None:
        raise ValueError(f"layer {k} is recurrent and takes sequences; the data are a graph")
    if item.recurrent < 1:
        raise ValueError(f"layer {k}: recurrent takes a number of units from 1, got {item}")
    if item.steps < 2:
        raise ValueError(f"layer {k}: steps takes a whole number from 2, got {item.steps}")
    width = features // item.steps if item.width is None else item.width
    if item.steps * width != features:
        wanted = f"{item.steps} steps of equal width, and {features} features do not divide by that"
        if item.width is not None:
            steps = f"{item.steps} steps of {item.width}"
            wanted = f"{steps}; what comes to it is {features} features"
        raise ValueError(f"layer {k} is recurrent and takes {wanted}")
    return Recurrent(
        steps=item.steps,
        width=width,
        units=item.recurrent,
        states=item.states,
        activation=activation,
    )


def _convolution(
    k: int, item: Convolve, image: tuple[int, ...], activation: Activation, norm: Norm
) -> Convolution:
    height, width, channels = image
    if min(item.channels, item.kernel, item.stride, item.pool) < 1 or item.padding < 0:
        raise ValueError(
            f"layer {k}: channels, kernel, stride and pool take whole numbers from 1, padding "
            f"from 0, got {item}"
        )
    if item.pooling == "max" and item.pool == 1:
        raise ValueError(f'layer {k}: pooling = "max" takes a pool from 2, got 1')
    if min(height, width) + 2 * item.padding < item.kernel:
        raise ValueError(
            f"layer {k}: a kernel of {item.kernel} does not fit an image of {height} x {width} "
            f"with padding {item.padding}"
        )
    layer = Convolution(
        height=height,
        width=width,
        channels_in=channels,
        channels_out=item.channels,
        kernel=item.kernel,
        stride=item.stride,
        padding=item.padding,
        pool=item.pool,
        pooling=item.pooling,
        activation=activation,
        norm=norm,
    )
    if 0 in layer.image_out:
        raise ValueError(
            f"layer {k}: pooling by {item.pool} leaves nothing of {layer.height_out} x "
            f"{layer.across_out}"
        )
    return layer
