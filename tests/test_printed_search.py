"""Searches for printed circuits: gradients, evolution, annealing; seeded, bounded, resumable."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from hwloop.algorithms.annealing import anneal
from hwloop.algorithms.genes import Genes, Task, first_population, mutate
from hwloop.algorithms.genetic import Evolution, Genetic, hypervolume, pareto
from hwloop.algorithms.printed_gradient import Gradient, train
from hwloop.devices import Seed
from hwloop.devices.printed_circuit import Circuit, Topology
from hwloop.sim.printed_data import words

PRICES = (2.88e-6, 4.0e-6, 0.97e-6)


@pytest.fixture(scope="module")
def iris():
    return words("iris")


@pytest.fixture(scope="module")
def genes():
    return Genes(Topology((4, 3, 3)))


@pytest.fixture(scope="module")
def start(iris, genes):
    return train(Gradient(epochs=30, batch=8), iris.x_train, iris.y_train, genes.topology, Seed(0))


@pytest.fixture(scope="module")
def task(iris, genes):
    return Task(genes, iris.x_train, iris.y_train, PRICES, 0.2)


# ---- genes ---------------------------------------------------------------------------


def test_chromosomes_and_circuits_are_two_ways_to_say_one_thing(genes):
    made = first_population(genes, 50, (), np.random.default_rng(0))
    weight, mask, bias = genes.decode(made)
    for k in range(50):
        circuit = genes.circuit(made[k])
        np.testing.assert_array_equal(circuit.weight, weight[k])
        again = genes.circuit(genes.encode(circuit))
        for name in ("weight", "mask", "bias"):
            np.testing.assert_array_equal(getattr(again, name), getattr(circuit, name))
    assert (np.bitwise_count(abs(weight[mask > 0])) == 1).all()
    assert (weight[mask == 0] == 0).all()
    assert (bias % (1 << genes.bias_shift) == 0).all()


def test_bias_stands_where_the_published_verilog_has_it():
    """Intercepts are moved up by 4 bits in the first layer (32 became 512)."""
    shift = Genes(Topology((21, 3, 3))).bias_shift
    assert shift.tolist() == [4] * 3 + [7] * 3


def test_mutation_stays_in_range_and_has_its_rate(genes):
    rng = np.random.default_rng(1)
    before = first_population(genes, 3000, (), rng)
    after = mutate(genes, before, rng, 0.1)
    assert (after >= genes.lowest).all()
    assert (after <= genes.highest).all()
    changed = (after != before).mean()
    # A reset of a sign hits the old value half of the time, a small step never.
    assert 0.07 < changed < 0.1
    assert (mutate(genes, before, rng, 0.0) == before).all()


def test_seeds_come_first_and_unchanged(genes, start):
    made = first_population(genes, 20, [start], np.random.default_rng(0))
    np.testing.assert_array_equal(made[0], genes.encode(start))
    masks = made[:, : genes.topology.weights]
    assert (np.bitwise_count(masks.astype(np.uint16)).sum(1)[1:] < 108).any()


def test_evaluation_is_the_circuit_s_accuracy(iris, genes, task, start):
    made = first_population(genes, 10, [start], np.random.default_rng(0))
    values = task.evaluate(made)
    for chromosome, (loss, area_m2) in zip(made, values, strict=True):
        accuracy = genes.circuit(chromosome).accuracy(iris.x_train, iris.y_train)
        assert loss == pytest.approx(1 - accuracy)
        assert area_m2 > 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda g, d: g.decode(np.zeros((2, 7))), "a chromosome of 4-3-3 takes 69 genes, got"),
        (lambda g, d: g.encode(Circuit(Topology((2, 2)), [1] * 4, [1] * 4, [0] * 2)), "no circuit"),
        (lambda g, d: Task(g, d.x_train, d.y_train[:3], PRICES), "a class for each row"),
        (lambda g, d: Task(g, d.x_train, d.y_train + 1, PRICES), "classes take 0 to 2, got 1, 3"),
        (lambda g, d: Task(g, d.x_train + 9, d.y_train, PRICES), "a whole number from 0 to 15"),
        (lambda g, d: Genes(g.topology, 13), "exponents takes a number from 1 to 12"),
        (lambda g, d: Genetic(population=3), "population takes a whole number from 4, got 3"),
        (lambda g, d: Genetic(generations=0), "generations takes"),
        (lambda g, d: Genetic(changes=0), "changes takes a number above 0"),
        (lambda g, d: Gradient(rule="bp"), 'rule takes "backprop" or "dfa"'),
        (lambda g, d: Gradient(weights="ternary"), "weights takes"),
        (lambda g, d: Gradient(epochs=-1), "epochs takes a whole number from 0, got -1"),
        (lambda g, d: Gradient(rate=0), "rate takes a number above 0"),
    ],
)
def test_what_does_not_fit_is_named(make, says, genes, iris):
    with pytest.raises(ValueError, match=says):
        make(genes, iris)


# ---- gradients -----------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["backprop", "dfa"])
@pytest.mark.parametrize("weights", ["power_of_two", "fixed"])
def test_gradients_learn_through_the_hardware(rule, weights, iris, genes):
    settings = Gradient(rule=rule, weights=weights, epochs=60, batch=8)
    circuit = train(settings, iris.x_train, iris.y_train, genes.topology, Seed(1))
    assert circuit.accuracy(iris.x_train, iris.y_train) > 0.9
    if weights == "power_of_two":
        assert set(abs(circuit.weight).tolist()) <= {0, *(2**e for e in range(8))}
    else:
        assert abs(circuit.weight).max() <= 127


def test_training_is_the_same_again(iris, genes, start):
    again = train(Gradient(epochs=30, batch=8), iris.x_train, iris.y_train, genes.topology, Seed(0))
    np.testing.assert_array_equal(again.weight, start.weight)
    np.testing.assert_array_equal(again.bias, start.bias)


def test_fine_tuning_knows_the_masks(iris, genes, start):
    """What losing the two lowest bits costs, training with the masks wins back."""
    full = (1 << genes.topology.word_bits()) - 1
    mask = full & ~3
    cut = Circuit(genes.topology, start.weight, mask & start.mask, start.bias)
    settings = Gradient(epochs=60, batch=8, rate=0.01)
    tuned = train(settings, iris.x_train, iris.y_train, genes.topology, Seed(2), start, mask)
    assert (tuned.mask & 3 == 0).all()
    better = tuned.accuracy(iris.x_train, iris.y_train)
    assert better >= cut.accuracy(iris.x_train, iris.y_train)
    assert better > 0.85


def test_a_pull_to_zero_leaves_fewer_wires(iris, genes):
    wires = []
    for pull in (0.0, 0.2):
        settings = Gradient(epochs=60, batch=8, sparsity=pull)
        circuit = train(settings, iris.x_train, iris.y_train, genes.topology, Seed(3))
        wires.append(np.count_nonzero(circuit.weight))
    assert wires[1] < wires[0]


# ---- evolution -----------------------------------------------------------------------


def run(task, seeds, generations=40, seed=0, **more):
    evolution = Evolution(Genetic(60, generations, **more), task, Seed(seed), seeds)
    while not evolution.done:
        evolution.step()
    return evolution


def test_evolution_finds_smaller_circuits_within_the_bound(task, start, genes):
    before = task.evaluate(genes.encode(start)[None])
    evolution = run(task, [start])
    chromosomes, values = evolution.front()
    assert (values[:, 0] <= task.worst_loss).all()
    np.testing.assert_allclose(task.evaluate(chromosomes), values)
    within = values[values[:, 0] <= before[0, 0] + 0.02]
    assert within[:, 1].min() < 0.6 * before[0, 1]
    assert evolution.evaluations == 60 * 40


def test_a_seeded_population_beats_a_random_one(iris, genes, start):
    free = Task(genes, iris.x_train, iris.y_train, PRICES, 1.0)
    area_m2 = float(free.evaluate(genes.encode(start)[None])[0, 1])
    seeded, random = (
        hypervolume(run(free, [start], 15, seeded=s).front()[1], 0.5, area_m2)
        for s in (True, False)
    )
    assert seeded > random


@pytest.mark.parametrize("after", [1, 9])
def test_evolution_resumes_bit_for_bit(after, iris, genes, start):
    task = Task(genes, iris.x_train, iris.y_train, PRICES, 0.05)  # at first few keep the bound
    whole = run(task, [start], 20)
    first = Evolution(Genetic(60, 20), task, Seed(0), [start])
    for _ in range(after):
        first.step()
    state = {k: v.copy() for k, v in first.state().items()}
    second = Evolution(Genetic(60, 20), task, Seed(0), [start])
    second.restore(state)
    while not second.done:
        second.step()
    for one, other in zip(whole.state().values(), second.state().values(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="these settings take"):
        Evolution(Genetic(50, 20), task, Seed(0), [start]).restore(state)


def test_other_seeds_find_other_circuits(task, start):
    one, other = (run(task, [start], 10, seed=s).population()[0] for s in (0, 1))
    assert (one != other).any()


def test_a_bound_that_nothing_keeps_is_named(iris, genes):
    strict = Task(genes, iris.x_train, iris.y_train, PRICES, 0.0)
    with pytest.raises(ValueError, match="no circuit loses at most 0.0% .* after 2 generations"):
        run(strict, [], 2).front()
    with pytest.raises(ValueError, match="by annealing"):
        anneal(strict, 100, Seed(0))


def test_pymoo_that_is_absent_is_named_with_its_extra(task, monkeypatch):
    monkeypatch.setitem(sys.modules, "pymoo.algorithms.moo.nsga2", None)
    with pytest.raises(ImportError, match=r'pip install "hwloop\[printed\]"'):
        Evolution(Genetic(), task, Seed(0))


def test_annealing_stays_within_the_bound_and_is_the_same_again(task, start):
    chromosomes, values = anneal(task, 4000, Seed(0), [start])
    assert (values[:, 0] <= task.worst_loss).all()
    np.testing.assert_allclose(task.evaluate(chromosomes), values)
    again, _ = anneal(task, 4000, Seed(0), [start])
    np.testing.assert_array_equal(chromosomes, again)
    began = task.evaluate(task.genes.encode(start)[None])[0, 1]
    assert values[:, 1].min() < 0.6 * began


def test_fronts_by_hand():
    values = np.array([[0.3, 1.0], [0.1, 3.0], [0.2, 2.0], [0.25, 2.5], [0.2, 2.0], [0.1, 4.0]])
    assert pareto(values).tolist() == [0, 2, 1]
    # Of the rectangle 0.4 x 4: 0.1 x 3 + 0.1 x 2 + 0.1 x 1 = 0.6 of 1.6.
    assert hypervolume(values, 0.4, 4.0) == pytest.approx(0.375)
    assert hypervolume(values, 0.1, 4.0) == 0.0


# ---- data ----------------------------------------------------------------------------


def test_words_are_those_of_the_literature(iris):
    from sklearn.datasets import load_iris
    from sklearn.model_selection import train_test_split

    x, y = load_iris(return_X_y=True)
    parts = train_test_split(x, y, test_size=0.3, stratify=y, random_state=42)
    low, high = parts[0].min(0), parts[0].max(0)
    for found, wanted in ((iris.x_train, parts[0]), (iris.x_test, parts[1])):
        word = np.rint(16 * 0.9 * (wanted.astype(np.float32) - low) / (high - low)).clip(0, 15)
        assert abs(found - word).max() <= 1  # the set is held in float32: halves may fall apart
        assert (found == word).mean() > 0.99
    np.testing.assert_array_equal(iris.y_test, parts[3])
    assert (iris.x_train.min(0) == 0).all()
    assert (iris.x_train.max(0) == 14).all()
    assert words("iris", 3).x_train.max() == 7


def test_a_set_that_cannot_be_split_is_named(tmp_path):
    rows = ["a,b,class", *(f"{k},{k % 3},{'x' if k else 'y'}" for k in range(30))]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    with pytest.raises(ValueError, match="class 'y' of csv has 1 row; a stratified split takes"):
        words("csv", path=tmp_path / "t.csv")
    with pytest.raises(ValueError, match="digits is no table of features"):
        words("digits")
    with pytest.raises(ValueError, match="did you mean 'seeds'"):
        words("seed")
