"""Known data sets: what they hold, how they are cut into parts, scaled and normalised."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices.seeds import Seed
from hwloop.sim.data import NAMES, Data, load, normalised_adjacency
from hwloop.sim.datasets import KNOWN, SHA256, data_directory

SEED = Seed(5)

# name: (rows, features), rows of train, validation and test, rows of each class
KNOWN_SHAPES = {
    "digits": ((1797, 64), (1347, 0, 450), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]),
    "iris": ((150, 4), (112, 0, 38), [50, 50, 50]),
    "wine": ((178, 13), (133, 0, 45), [59, 71, 48]),
    "breast_cancer": ((569, 30), (426, 0, 143), [212, 357]),
    "mnist": (
        (70000, 784),
        (60000, 0, 10000),
        [6903, 7877, 6990, 7141, 6824, 6313, 6876, 7293, 6825, 6958],
    ),
    "fashion_mnist": ((70000, 784), (60000, 0, 10000), [7000] * 10),
    "cifar10": ((20000, 3072), (10000, 0, 10000), None),
    "cora": ((2708, 1433), (140, 500, 1000), [351, 217, 418, 818, 426, 298, 180]),
    "pendigits": ((10992, 16), (7494, 0, 3498), None),
    "breast_cancer_wisconsin": ((683, 9), (512, 0, 171), [444, 239]),
    "cardiotocography": ((2126, 21), (1594, 0, 532), [1655, 295, 176]),
    "winequality_red": ((1599, 11), (1199, 0, 400), [10, 53, 681, 638, 199, 18]),
    "winequality_white": ((4898, 11), (3673, 0, 1225), [20, 163, 1457, 2198, 880, 175, 5]),
    "seeds": ((210, 7), (157, 0, 53), [70, 70, 70]),
    "vertebral_2c": ((310, 6), (232, 0, 78), [210, 100]),
    "vertebral_3c": ((310, 6), (232, 0, 78), [60, 100, 150]),
}
IMAGES = {
    "digits": (1, 8, 8),
    "mnist": (1, 28, 28),
    "fashion_mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
}


@pytest.fixture(params=sorted(KNOWN_SHAPES))
def name(request: pytest.FixtureRequest) -> str:
    """Give each known set whose files are here."""
    need(request.param)
    return str(request.param)


def need(name: str) -> None:
    for file in KNOWN[name].files:
        if not (data_directory() / file).is_file():
            pytest.skip(f"{file} is not in {data_directory()}; set HWLOOP_DATA_DIR")


def assert_sound(data: Data) -> None:
    """Check what holds for every set and every choice of parts."""
    assert data.x.dtype == np.float32
    assert data.x.flags.c_contiguous
    assert np.isfinite(data.x).all()
    assert data.x.shape == (len(data.y), int(np.prod(data.shape)))
    assert data.y.dtype == np.int64
    assert set(np.unique(data.y)) == set(range(data.n_classes))
    assert len(data.classes) == data.n_classes
    parts = (data.train, data.validation, data.test)
    for rows in parts:
        assert rows.dtype == np.int64
        assert (np.diff(rows) > 0).all()
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together)
    assert set(np.unique(data.y[data.train])) == set(range(data.n_classes))


def check_mnist(data: Data) -> None:
    mean, mean_test = (data.x[p].mean(dtype=float) * 255 for p in (data.train, data.test))
    assert mean == pytest.approx(33.3184, abs=1e-4)
    assert mean_test == pytest.approx(33.7912, abs=1e-4)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.y[data.train]).tolist() == counts
    np.testing.assert_array_equal(data.test, np.arange(60000, 70000))


def check_cifar(data: Data) -> None:
    images = data.x.reshape(-1, *data.shape)[:2000]
    across = np.abs(np.diff(images, axis=3)).mean()
    assert across < 0.5 * np.abs(images[1:] - images[:-1]).mean()
    assert np.bincount(data.y[data.test]).tolist() == [1000] * 10
    assert data.notes == ("training part is 1 of the 5 batches",)


def check_wisconsin(data: Data) -> None:
    assert data.notes == ("16 rows with an empty cell left out",)


def check_cora(data: Data) -> None:
    assert set(np.unique(data.x)) == {0, 1}
    assert np.count_nonzero(data.x) == 49216
    assert np.bincount(data.y[data.train]).tolist() == [20] * 7


CHECKS = {
    "mnist": check_mnist,
    "cifar10": check_cifar,
    "breast_cancer_wisconsin": check_wisconsin,
    "cora": check_cora,
}


def test_every_known_name_is_tested() -> None:
    assert set(KNOWN_SHAPES) == set(KNOWN)
    assert set(NAMES) == {*KNOWN, "csv", "npz"}
    assert {file for known in KNOWN.values() for file in known.files} == set(SHA256)
    assert all(len(digest) == 64 for digest in SHA256.values())


def test_known_set_is_what_its_authors_published(name: str) -> None:
    shape, parts, counts = KNOWN_SHAPES[name]
    data = load(name, seed=SEED)
    assert_sound(data)
    assert data.x.shape == shape
    assert (len(data.train), len(data.validation), len(data.test)) == parts
    assert data.shape == IMAGES.get(name, shape[1:])
    if counts is not None:
        assert np.bincount(data.y).tolist() == counts
    assert data.licence
    assert data.source
    assert data.sha256.startswith("scikit-learn ") or data.sha256.split()[0] in SHA256.values()
    if name in IMAGES:
        assert data.x.min() == 0
        assert data.x.max() == 1
    elif name != "cora":
        x = data.x[data.train].astype(np.float64)
        assert np.abs(x.mean(axis=0)).max() < 1e-5
        varies = np.ptp(x, axis=0) > 0
        assert np.abs(x.std(axis=0)[varies] - 1).max() < 1e-5
    if name in CHECKS:
        CHECKS[name](data)


@pytest.mark.parametrize("scale", ["unit", "standard", "minmax", "none"])
def test_scales(scale: str) -> None:
    raw = load("digits", seed=SEED, scale="none")
    x = raw.x.astype(np.float64)
    train = x[raw.train]
    low, varies = train.min(axis=0), np.ptp(train, axis=0) > 0
    divide = np.where(varies, 1, np.inf)
    want = {
        "none": x,
        "unit": x / 16,
        "minmax": (x - low) / (np.ptp(train, axis=0) + ~varies) / divide,
        "standard": (x - train.mean(axis=0)) / (train.std(axis=0) + ~varies) / divide,
    }[scale]
    got = load("digits", seed=SEED, scale=scale)  # type: ignore[arg-type]
    np.testing.assert_allclose(got.x, want, rtol=1e-6, atol=1e-6)


def test_part_gives_the_rows_of_a_part() -> None:
    data = load("iris", seed=SEED, validation=0.1)
    x, y = data.part("validation")
    np.testing.assert_array_equal(x, data.x[data.validation])
    np.testing.assert_array_equal(y, data.y[data.validation])


def test_adjacency_of_a_path_of_three() -> None:
    got = normalised_adjacency(np.array([[0, 1, 1, 2], [1, 0, 2, 1]]), 3).toarray()
    a, b, c = 1 / 2, 1 / np.sqrt(6), 1 / 3
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[a, b, 0], [b, c, b], [0, b, a]], rtol=1e-6)


def test_cora_adjacency_is_symmetric_with_largest_eigenvalue_one() -> None:
    need("cora")
    from scipy.sparse.linalg import eigsh

    data = load("cora", seed=SEED)
    graph = data.graph
    assert graph is not None
    assert graph.dtype == np.float32
    assert graph.nnz == 10556 + 2708
    assert abs(graph - graph.T).max() == 0
    v0 = SEED.rng().standard_normal(2708)
    # One eigenvalue 1 for each of the 78 connected parts, so the tolerance is not zero.
    largest = eigsh(graph.astype(np.float64), k=1, which="LM", v0=v0, tol=1e-7)[0][0]
    assert largest == pytest.approx(1, abs=1e-5)
    root = np.sqrt(np.diff(graph.indptr))
    np.testing.assert_allclose(graph @ root, root, rtol=1e-5)


def ridge(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, penalty: float) -> np.ndarray:
    """Return the labels that ridge regression on one-hot targets gives x_test."""
    a, b = (np.hstack([part, np.ones((len(part), 1))]).astype(float) for part in (x, x_test))
    dual = np.linalg.solve(a @ a.T + penalty * np.eye(len(a)), np.eye(y.max() + 1)[y] - 0.1)
    return np.argmax(b @ (a.T @ dual), axis=1)


@pytest.mark.parametrize(
    ("name", "penalty", "floor"),
    [
        ("digits", 1, 0.9),
        ("wine", 1, 0.9),
        ("seeds", 1, 0.85),
        ("pendigits", 1, 0.78),
        ("mnist", 50, 0.8),
    ],
)
def test_linear_baseline(name: str, penalty: float, floor: float) -> None:
    need(name)
    limit = 1000 if name in ("mnist", "pendigits") else None
    data = load(name, seed=SEED, limit_train=limit)
    x_test, y_test = data.part("test")
    assert np.mean(ridge(*data.part("train"), x_test, penalty) == y_test) > floor


def test_two_propagations_and_ridge_on_cora_reach_the_published_accuracy() -> None:
    need("cora")
    data = load("cora", seed=SEED)
    assert data.graph is not None
    x = data.graph @ (data.graph @ data.x)
    labels = ridge(x[data.train], data.y[data.train], x[data.test], 1.0)
    # SGC with K=2 (Wu et al., arXiv:1902.07153) reaches 0.81 of these 1000 nodes.
    assert np.mean(labels == data.y[data.test]) > 0.77
