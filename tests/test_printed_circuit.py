"""Printed arithmetic: cases worked out by hand, kernel and reference, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices.kernels.adders import count_adders, count_adders_reference
from hwloop.devices.kernels.printed import (
    classify,
    classify_reference,
    count_correct,
    count_correct_reference,
)
from hwloop.devices.printed_circuit import Circuit, Topology, circuit_from_json, exact_circuit

TOPOLOGIES = [(4, 3, 3), (16, 5, 10), (5, 2), (6, 4, 3, 4)]


def population(sizes: tuple[int, ...], n: int = 40, powers: bool = True):
    """Return a topology with the arrays of random circuits, a third of the masks empty."""
    rng = np.random.default_rng(sum(sizes))
    t = Topology(sizes)
    shape = (n, t.weights)
    sign = rng.choice([-1, 0, 1], shape, p=[0.45, 0.1, 0.45])
    size = 2 ** rng.integers(0, 8, shape) if powers else rng.integers(0, 128, shape)
    mask = rng.integers(0, 1 << t.word_bits(), shape) * (rng.random(shape) < 0.67)
    bias = rng.integers(-1500, 1500, (n, t.units))
    return t, *((a.astype(np.int32)) for a in (sign * size, mask, bias))


def packed(t: Topology):
    return np.array(t.sizes, np.int32), np.array(t.shifts, np.int32)


# ---- worked out by hand: 2 inputs of 4 bits, one hidden unit, two classes, shift 4 -----------

HAND = [
    # w,             masks,              bias,            x,        outputs,    class
    # P = 13*8 + 0, N = (7&5)*4 = 20: 84 >> 4 = 5; o0 = 5*1 = 5, o1 = 0
    (([8, -4], [1, 0]), ([15, 5], [255, 255]), ([0], [0, 0]), (13, 7), (5, 0), 0),
    # bias +160: (84 + 160) >> 4 = 15; o1 = 15*2 - 31 = -1 -> 0 by the output's ReLU; tie at 0
    (([8, -4], [-1, 2]), ([15, 5], [255, 255]), ([160], [0, -31]), (13, 7), (0, 0), 0),
    # P - N = 4 - 60 = -56: shut; what is left are the biases, and the larger class wins
    (([1, -4], [16, 16]), ([4, 15], [255, 255]), ([0], [3, 9]), (12, 15), (3, 9), 1),
    # 15*128 + 15*128 = 3840; + 512 = 4352 >> 4 = 272, saturates at 255; the mask 0x0f leaves 15
    (([128, 128], [1, -1]), ([15, 15], [15, 255]), ([512], [0, 300]), (15, 15), (15, 45), 1),
    # arithmetic shift below zero: (7 - 8) >> 4 = -1, clipped to 0, not 15 of a wrapped word
    (([1, -1], [1, 1]), ([7, 8], [255, 255]), ([0], [1, 0]), (7, 8), (1, 0), 0),
    # a mask cuts bits before the shift: (11 & 6) << 5 = 64 >> 4 = 4; a tie goes to class 0
    (([32, 0], [2, 2]), ([6, 15], [255, 255]), ([0], [0, 0]), (11, 9), (8, 8), 0),
    # 1 is lost in the cut: (17 - 2) >> 4 = 0
    (([1, -1], [1, 4]), ([15, 2], [255, 255]), ([3], [0, 0]), (14, 2), (0, 0), 0),
    # and 16 is not: (14 + 4 - 2) >> 4 = 1
    (([1, -1], [1, 4]), ([15, 2], [255, 255]), ([4], [0, 0]), (14, 2), (1, 4), 1),
]


@pytest.mark.parametrize("case", HAND, ids=range(len(HAND)))
def test_the_arithmetic_is_what_a_hand_finds(case):
    (w0, w1), (m0, m1), (b0, b1), x, outputs, label = case
    circuit = Circuit(
        Topology((2, 1, 2)), np.array([*w0, *w1]), np.array([*m0, *m1]), np.array([*b0, *b1])
    )
    assert circuit.scores(np.array([x]))[0].tolist() == list(outputs)
    assert circuit.predict(np.array([x]))[0] == label


def test_ties_go_to_the_lower_class_wherever_they_stand():
    t = Topology((1, 4))
    for top in ([5, 5, 1, 5], [1, 5, 5, 0], [0, 0, 0, 0], [-3, -1, -2, -9]):
        circuit = Circuit(t, np.zeros(4), np.zeros(4), np.array(top))
        said = circuit.predict(np.array([[3]]))[0]
        assert said == int(np.argmax(np.maximum(top, 0)))


@pytest.mark.parametrize("powers", [True, False])
@pytest.mark.parametrize("sizes", TOPOLOGIES, ids=str)
def test_kernels_are_their_references(sizes, powers):
    t, weight, mask, bias = population(sizes, powers=powers)
    rng = np.random.default_rng(1)
    x = rng.integers(0, 16, (sizes[0], 1500)).astype(np.int32)  # more than one block
    y = rng.integers(0, sizes[-1], 1500).astype(np.int32)
    size, shift = packed(t)
    one, other = np.empty(len(weight), np.int64), np.empty(len(weight), np.int64)
    count_correct(x, y, size, weight, mask, bias, shift, t.top, one)
    count_correct_reference(x, y, size, weight, mask, bias, shift, t.top, other)
    np.testing.assert_array_equal(one, other)
    assert len(set(one.tolist())) > 3
    best, index, best_too, index_too = (np.empty(1500, np.int32) for _ in range(4))
    for k in range(5):
        classify(x, size, weight[k], mask[k], bias[k], shift, t.top, best, index)
        classify_reference(x, size, weight[k], mask[k], bias[k], shift, t.top, best_too, index_too)
        np.testing.assert_array_equal(best, best_too)
        np.testing.assert_array_equal(index, index_too)


@pytest.mark.parametrize("powers", [True, False])
@pytest.mark.parametrize("sizes", TOPOLOGIES, ids=str)
def test_the_count_of_adders_is_its_reference(sizes, powers):
    t, weight, mask, bias = population(sizes, powers=powers)
    size, shift = packed(t)
    one, other = (np.empty((len(weight), 4), np.int32) for _ in range(2))
    count_adders(size, weight, mask, bias, shift, t.top, 15, one)
    count_adders_reference(size, weight, mask, bias, shift, t.top, 15, other)
    np.testing.assert_array_equal(one, other)


def test_adders_counted_by_hand():
    """Four words of four bits at one place, no bias: columns 4 4 4 4.

    Column 0: one adder leaves two, carries one: 5 in column 1, one adder leaves three, another
    leaves one, two carries: 6 in column 2, two adders, two left; 6 in column 3, the same; 2 in
    column 4. Full adders: 1 + 2 + 2 + 2; columns of two: 0, 2, 3, 4.
    """
    count = np.empty((1, 4), np.int32)
    weight, mask = np.zeros((1, 8), np.int32), np.full((1, 8), 15, np.int32)
    weight[0, :4] = 1
    args = (np.array([4, 2], np.int32), weight, mask, np.zeros((1, 2), np.int32))
    count_adders(*args, np.empty(0, np.int32), 255, 15, count)
    assert count[0].tolist() == [7, 4, 0, 16]


def test_what_nothing_depends_on_costs_nothing():
    t = Topology((4, 2, 2))
    weight, mask = np.full(12, 4), (1 << t.word_bits()) - 1
    both = exact_circuit(t, [weight[:8].reshape(2, 4), weight[8:].reshape(2, 2)], [[0] * 2] * 2)
    from hwloop.algorithms.genes import adders

    cut = Circuit(t, weight, np.where(np.arange(12) % 2 == 1, np.where(np.arange(12) > 7, 0, mask),
                                      mask), np.zeros(4))  # fmt: skip
    assert adders(cut)[0] < adders(both)[0]
    shut = Circuit(t, -weight, mask, np.zeros(4))
    assert adders(shut).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("sizes", TOPOLOGIES, ids=str)
def test_a_pruned_circuit_says_the_same_with_fewer_wires(sizes):
    from hwloop.algorithms.genes import adders

    t, weight, mask, bias = population(sizes)
    x = np.random.default_rng(2).integers(0, 16, (300, sizes[0]))
    fewer = 0
    for k in range(len(weight)):
        circuit = Circuit(t, weight[k], mask[k], bias[k])
        pruned = circuit.pruned()
        np.testing.assert_array_equal(circuit.scores(x), pruned.scores(x))
        np.testing.assert_array_equal(adders(pruned), adders(circuit))
        fewer += np.count_nonzero(circuit.weight) - np.count_nonzero(pruned.weight)
    assert fewer > 0


def test_a_circuit_survives_json():
    t, weight, mask, bias = population((4, 3, 3))
    circuit = Circuit(t, weight[0], mask[0], bias[0])
    again = circuit_from_json(circuit.to_json())
    assert again.topology == t
    x = np.random.default_rng(0).integers(0, 16, (50, 4))
    np.testing.assert_array_equal(circuit.predict(x), again.predict(x))
    for broken in ({}, {**circuit.to_json(), "sizes": None}, {**circuit.to_json(), "mask": [1e30]}):
        with pytest.raises(ValueError, match="circuit"):
            circuit_from_json(broken)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Topology((4,)), "a topology takes inputs, hidden units and classes"),
        (lambda: Topology((4, 0, 2)), r"each a whole number from 1, got \[4, 0, 2\]"),
        (lambda: Topology((4, 1)), "two classes or more, got 1"),
        (lambda: Topology((4, 2), 9), "input_bits takes a whole number from 1 to 8, got 9"),
        (lambda: Topology((4, 2), True), "input_bits takes"),
        (lambda: Topology((4, 3, 2), shifts=(4, 4)), "one whole number from 0 to 20 for each of"),
        (lambda: Circuit(Topology((2, 2)), [1] * 3, [1] * 4, [0] * 2), "weight .* takes 4 numbers"),
        (lambda: Circuit(Topology((2, 2)), [1] * 4, [16] * 4, [0] * 2), "mask 0 .* from 0 to 15"),
        (lambda: Circuit(Topology((2, 2)), [2**29] * 4, [15] * 4, [0] * 2), "exceed 30 bits"),
    ],
)
def test_what_is_no_circuit_is_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("value", [-1, 16, 0.5, np.nan, np.inf])
def test_an_input_that_no_word_says_is_named(value):
    circuit = Circuit(Topology((2, 2)), [1] * 4, [15] * 4, [0] * 2)
    x = np.zeros((3, 2))
    x[1, 1] = value
    with pytest.raises(ValueError, match="input 1 of sample 1 takes a whole number from 0 to 15"):
        circuit.predict(x)
    with pytest.raises(ValueError, match=r"takes inputs \(samples, 2\), got \(3, 4\)"):
        circuit.predict(np.zeros((3, 4)))
