"""Layers and networks: adjoints are adjoints, convolutions are torch's, misfits are named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hwloop.mappings import (
    Connect,
    Convolution,
    Convolve,
    Dense,
    Graph,
    Network,
    Recur,
    Recurrent,
    build,
)

rng = np.random.default_rng(2)


def graph_of(nodes: int) -> csr_array:
    dense = np.triu(rng.random((nodes, nodes)) < 0.4)
    return csr_array((dense | dense.T).astype(np.float32) / 3)


convolutions = st.builds(
    Convolution,
    height=st.integers(4, 7),
    width=st.integers(4, 7),
    channels_in=st.integers(1, 3),
    channels_out=st.integers(1, 3),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 2),
    pool=st.integers(1, 2),
).filter(lambda layer: 0 not in layer.image_out)
recurrent = st.builds(
    Recurrent,
    steps=st.integers(2, 5),
    width=st.integers(1, 4),
    units=st.integers(1, 4),
    states=st.sampled_from(["last", "all"]),
)
layers = st.one_of(
    convolutions,
    recurrent,
    st.builds(Dense, inputs=st.integers(1, 9), outputs=st.integers(1, 9)),
    st.builds(
        Graph, inputs=st.integers(1, 9), outputs=st.integers(1, 9), adjacency=st.just(graph_of(5))
    ),
)


@settings(max_examples=60, deadline=None)
@given(layers)
def test_gather_and_scatter_have_their_adjoints(layer):
    draw, batch = np.random.default_rng(0), 5
    x = draw.normal(size=(batch, layer.width_in))
    rows = layer.gather(x)
    assert rows.shape == (batch * layer.rows_per_sample, layer.n_in)
    r = draw.normal(size=rows.shape)
    back = layer.gather_adjoint(r)
    assert back.shape == x.shape
    assert (rows * r).sum() == pytest.approx((x * back).sum())
    y = draw.normal(size=(batch * layer.rows_per_sample, layer.n_out))
    h = layer.scatter(y)
    assert h.shape == (batch, layer.width_out)
    g = draw.normal(size=h.shape)
    assert (h * g).sum() == pytest.approx((y * layer.scatter_adjoint(g)).sum())
    moments = layer.moments(y)
    assert moments.shape[::2] == (batch, layer.signal_width)
    s = draw.normal(size=(batch, layer.signal_width))
    assert (moments.mean(1) * s).sum() == pytest.approx((y * layer.deliver(s)).sum())
    each = draw.normal(size=moments.shape)
    delivered = layer.deliver(each.reshape(batch, -1))
    assert (moments * each).mean(1).sum() == pytest.approx((y * delivered).sum())


@settings(max_examples=30, deadline=None)
@given(convolutions)
def test_convolution_is_torchs(layer):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(2, layer.height, layer.width, layer.channels_in))
    k, c = layer.kernel, layer.channels_in
    w = rng.normal(size=(layer.channels_out, k, k, c))
    ours = layer.scatter(layer.gather(x.reshape(2, -1)) @ w.reshape(layer.channels_out, -1).T)
    theirs = torch.nn.functional.conv2d(
        torch.as_tensor(x).permute(0, 3, 1, 2),
        torch.as_tensor(w).permute(0, 3, 1, 2),
        stride=layer.stride,
        padding=layer.padding,
    )
    theirs = torch.nn.functional.avg_pool2d(theirs, layer.pool).permute(0, 2, 3, 1)
    np.testing.assert_allclose(ours, theirs.reshape(2, -1).numpy(), atol=1e-10)
    tensor = layer.gather(torch.as_tensor(x).reshape(2, -1))
    np.testing.assert_array_equal(tensor.numpy(), layer.gather(x.reshape(2, -1)))


def test_build_puts_layers_together():
    network = build((8, 8, 3), 10, [Convolve(4, kernel=3, stride=2, padding=1), 16], "relu")
    assert [(a.n_out, a.n_in) for a in network.layers] == [(4, 27), (16, 64), (10, 16)]
    assert [a.activation for a in network.layers] == ["relu", "relu", "identity"]
    assert network.parameters == 4 * 28 + 16 * 65 + 10 * 17
    assert network.depth == 3
    adjacency = graph_of(6)
    assert all(isinstance(a, Graph) for a in build((4,), 2, [3], adjacency=adjacency).layers)


def test_build_hands_on_the_last_state_or_all_of_them():
    network = build((6, 5, 2), 3, [Recur(7, 6, 10, "all"), Recur(4, steps=6), 9])
    shapes = [(a.width_in, a.n_out, a.n_in, a.width_out) for a in network.layers]
    assert shapes == [(60, 7, 17, 42), (42, 4, 11, 4), (4, 9, 4, 9), (9, 3, 9, 3)]


def test_spread_carries_an_error_through_the_graph_alone():
    adjacency = graph_of(6)
    network = build((4,), 2, [3, 3], adjacency=adjacency)
    e = rng.normal(size=(6, 2))
    np.testing.assert_allclose(network.spread(e, 3), e)
    np.testing.assert_allclose(network.spread(e, 1), adjacency.T @ (adjacency.T @ e))
    assert build((4,), 2, [3]).spread(e, 1) is e


@pytest.mark.parametrize(
    ("shape", "hidden", "says"),
    [
        ((16,), [Convolve(4)], "layer 1 is a convolution and takes an image"),
        ((8, 8, 1), [5, Convolve(4)], "layer 2 is a convolution and takes an image"),
        ((2, 8, 1), [Convolve(4)], "a kernel of 3 does not fit an image of 2 x 8"),
        ((8, 8, 1), [Convolve(2, 3, pool=7)], "pooling by 7 leaves nothing of 6 x 6"),
        ((8, 8, 1), [Convolve(0)], "channels, kernel, stride and pool take whole numbers from 1"),
        ((8,), [0], "layer 1 takes a width from 1, got 0"),
        ((8,), [Connect(1, "layer")], 'layer 1: norm = "layer" takes 2 units or more, got 1'),
        (
            (8,),
            [Recur(4, steps=3)],
            "takes 3 steps of equal width, and 8 features do not divide by that",
        ),
        ((8, 8, 1), [Recur(4, 8, 7)], "takes 8 steps of 7; what comes to it is 64 features"),
        ((8,), [6, Recur(4, steps=1)], "layer 2: steps takes a whole number from 2, got 1"),
        ((8,), [Recur(0, steps=2)], "layer 1: recurrent takes a number of units from 1"),
        ((8, 8, 1), [Recur(4, 8), Convolve(4)], "layer 2 is a convolution and takes an image"),
    ],
)
def test_what_does_not_fit_is_named(shape, hidden, says):
    with pytest.raises(ValueError, match=says):
        build(shape, 10, hidden)


def test_layers_that_do_not_meet_are_named():
    with pytest.raises(ValueError, match="layer 1 leaves 4 units, layer 2 takes 5"):
        Network((Dense(inputs=3, outputs=4), Dense(inputs=5, outputs=2)))
    with pytest.raises(ValueError, match="at least one layer"):
        Network(())
    with pytest.raises(ValueError, match="the output takes a layer without states"):
        Network((Recurrent(steps=2, width=3, units=4),))
    with pytest.raises(ValueError, match="layer 2 is recurrent .* the data are a graph"):
        build((8,), 3, [4, Recur(5, 2)], adjacency=graph_of(6))
