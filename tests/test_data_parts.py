"""Parts of a data set: disjoint, stratified, nested, and fixed by the names of streams."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwloop.devices.seeds import Seed
from hwloop.sim.data import Data, load
from hwloop.sim.data_parts import stratified_order

SEED = Seed(5)


@pytest.mark.parametrize("limit_train", [None, 10, 200])
@pytest.mark.parametrize("validation", [0.0, 0.2])
def test_parts_are_disjoint_and_depend_on_names_alone(
    limit_train: int | None, validation: float
) -> None:
    if limit_train == 10 and validation:
        limit_train = 20

    def again(seed: Seed) -> Data:
        return load(
            "digits", seed=seed, limit_train=limit_train, limit_test=50, validation=validation
        )

    data = again(SEED)
    together = np.concatenate([data.train, data.validation, data.test])
    assert len(np.unique(together)) == len(together)
    assert set(np.unique(data.y[data.train])) == set(range(10))
    assert len(data.test) == 50
    assert len(data.train) + len(data.validation) == (limit_train or 1347)
    assert len(data.validation) == round(validation * (limit_train or 1347))
    SEED.rng().integers(10, size=100)
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(again(SEED), part), getattr(data, part))
    assert again(Seed(6)).train.tolist() != data.train.tolist()
    assert again(SEED.child("other")).train.tolist() != data.train.tolist()


def test_smaller_limit_takes_a_subset_and_leaves_the_test_part_alone() -> None:
    sets = [load("digits", seed=SEED, limit_train=n) for n in (100, 400, 1347)]
    rows = [set(data.train.tolist()) for data in sets]
    assert rows[0] < rows[1] < rows[2]
    for data in sets:
        np.testing.assert_array_equal(data.test, sets[-1].test)
        counts = np.bincount(data.y[data.train])
        share = np.bincount(data.y) / len(data.y)
        assert np.abs(counts - share * len(data.train)).max() <= 1.5


@given(counts=st.lists(st.integers(1, 40), min_size=2, max_size=8), entropy=st.integers(0, 2**32))
def test_every_prefix_of_the_order_is_stratified(counts: list[int], entropy: int) -> None:
    y = Seed(entropy).child("y").rng().permutation(np.repeat(np.arange(len(counts)), counts))
    order = stratified_order(y, Seed(entropy).rng())
    assert sorted(order.tolist()) == list(range(len(y)))
    taken = np.cumsum(np.eye(len(counts))[y[order]], axis=0)
    n = np.arange(1, len(y) + 1)[:, None]
    assert (taken.astype(bool).sum(axis=1) >= np.minimum(n[:, 0], len(counts))).all()
    # Divisor methods with a seat for each may miss the quota by as much as the classes' seats.
    assert (np.abs(taken - n * np.array(counts) / len(y)) <= max(1, len(counts) - 1)).all()
    if len(set(counts)) == 1:
        assert (taken.max(axis=1) - taken.min(axis=1) <= 1).all()


def test_every_row_is_as_likely_to_be_taken() -> None:
    y = np.repeat([0, 1], [30, 10])
    hits = np.zeros(40)
    for k in range(2000):
        hits[stratified_order(y, Seed(k).rng())[:20]] += 1
    # A row enters with probability 15/30 or 5/10; five standard errors of 2000 draws.
    assert np.abs(hits / 2000 - 0.5).max() < 5 * np.sqrt(0.25 / 2000)


@pytest.mark.parametrize("scale", ["standard", "minmax"])
def test_scaling_never_looks_at_the_test_part(tmp_path: Path, scale: Any) -> None:
    x = SEED.rng().standard_normal((40, 3))
    y = np.arange(40) % 2
    np.savez(tmp_path / "one.npz", x=x, y=y)
    one = load("npz", seed=SEED, path=tmp_path / "one.npz", scale=scale, validation=0.2)
    others = np.concatenate([one.test, one.validation])
    x[others] *= 1000
    np.savez(tmp_path / "two.npz", x=x, y=y)
    two = load("npz", seed=SEED, path=tmp_path / "two.npz", scale=scale, validation=0.2)
    np.testing.assert_array_equal(one.x[one.train], two.x[two.train])
    assert not np.array_equal(one.x[others], two.x[others])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "minst"}, "there is no data set 'minst'; did you mean 'mnist'? Known: digits,"),
        ({"name": "Fashion-MNIST"}, "did you mean 'fashion_mnist'?"),
        ({"name": "qqq"}, "there is no data set 'qqq'; Known: digits,"),
        ({"limit_train": 0}, "limit_train is 0"),
        ({"limit_test": -3}, "limit_test is -3"),
        ({"limit_train": 113}, "limit_train is 113; iris has 112 rows in that part"),
        ({"limit_test": 39}, "limit_test is 39; iris has 38 rows in that part"),
        ({"limit_train": 2}, "has no row among the 2 of the training part"),
        ({"validation": 1.0}, "validation is 1.0"),
        ({"validation": float("nan")}, "validation is nan"),
        ({"validation": 0.999}, "has no row among the 0 of the training part"),
        ({"scale": "zscore"}, "scale is 'zscore'; it takes one of unit, standard, minmax, none"),
        ({"scale": "unit"}, "iris has none"),
        ({"path": "own.csv"}, "data set 'iris' takes no path"),
        ({"name": "csv"}, "data set 'csv' takes path"),
        ({"column": "kind"}, "data set 'iris' takes no column"),
    ],
)
def test_arguments_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load(**{"name": "iris", "seed": SEED, **options})
