"""Pulsed updates: the statistics of coincidences, the responses of cells, wear, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices.pulses import (
    Constant,
    Curve,
    Exponential,
    Linear,
    Pulsed,
    SoftBounds,
    make_cells,
    pulse,
    pulsed_update,
    symmetry_point,
)
from hwloop.devices.seeds import Seed

X = np.array([[1.0, -0.6, 0.3, 0.05]], np.float32)
Y = np.array([[0.75, -0.4, 0.1]], np.float32)
RATE, STEP, DRAWS = 0.01, 0.001, 20_000


def _updates(description: Pulsed, draws: int, rate: float = RATE) -> tuple[np.ndarray, ...]:
    """Return the changes (draws, 3, 4) of fresh cells by one sample, the slots and the wear."""
    cells = make_cells(description, 3, 4, Seed(1).at(0))
    changes = np.zeros((draws, 3, 4), np.float32)
    slots = 0
    for k in range(draws):
        slots = pulsed_update(changes[k], Y, X, rate, cells, description, Seed(2).at(k)).slots
    return changes, slots, cells.wear


def test_mean_variance_and_correlation_of_the_update_are_those_of_shared_bits() -> None:
    """Let n = sum over BL slots of b_x b_y: cells of a line share bits, others do not.

    Mean BL p_x p_y; variance BL p_x p_y (1 - p_x p_y); covariance within a row i
    BL p_j p_j' p_i (1 - p_i), within a column likewise, else 0. The noise of a pulse adds its
    variance to each. All within five standard errors, taken from the sample.
    """
    noise = 0.3
    description = Pulsed(response=Constant(), step=STEP, cycle_noise=noise)
    changes, slots, wear = _updates(description, DRAWS)
    assert slots == 8 == np.ceil(RATE * 1.0 * 0.75 / STEP)
    ratio = np.sqrt(0.75)
    p_x = np.abs(X[0]) * ratio * np.sqrt(RATE / STEP / slots)
    p_y = np.abs(Y[0]) / ratio * np.sqrt(RATE / STEP / slots)
    np.testing.assert_allclose([p_x.max(), p_y.max()], np.sqrt(7.5 / 8), rtol=1e-6)
    p = np.outer(p_y, p_x)
    sign = np.sign(Y.T @ X)
    n = (changes / STEP / sign).reshape(DRAWS, -1).astype(float)

    error = n.std(axis=0) / np.sqrt(DRAWS)
    assert (np.abs(n.mean(axis=0) - slots * p.ravel()) <= 5 * error + 1e-6).all()
    np.testing.assert_allclose(slots * p * STEP * sign, RATE * Y.T @ X, rtol=1e-5)

    same_row = np.kron(np.eye(3), np.ones((4, 4))).astype(bool)
    same_column = np.kron(np.ones((3, 3)), np.eye(4)).astype(bool)
    products = np.outer(p.ravel(), p.ravel())
    row, column = np.repeat(p_y, 4), np.tile(p_x, 3)
    theory = np.zeros((12, 12))
    theory[same_row] = (slots * products * (1 / row[:, None] - 1))[same_row]
    theory[same_column] = (slots * products * (1 / column[:, None] - 1))[same_column]
    np.fill_diagonal(theory, slots * (p * (1 - p) + noise**2 * p))
    centred = n - n.mean(axis=0)
    for a in range(12):
        samples = centred[:, a, None] * centred
        error = samples.std(axis=0) / np.sqrt(DRAWS)
        assert (np.abs(samples.mean(axis=0) - theory[a]) <= 5 * error + 1e-6).all()
    mean_wear = wear.ravel() / DRAWS
    error = np.sqrt(slots * p * (1 - p) / DRAWS).ravel()
    assert (np.abs(mean_wear - slots * p.ravel()) <= 5 * error + 1e-3).all()


def test_moments_of_soft_bounds_are_those_of_shared_bits() -> None:
    """A soft-bounds cell at w keeps q = 1 - step / b of its way to the bound b at every pulse.

    After n pulses it is at b - (b - w) q^n, so with bits shared in a row the moments are powers:
    E q^n = (1 - p_x p_y (1 - q))^BL, and E q^(n + n') = (1 - p_y + p_y r r')^BL of two cells in a
    row, r = 1 - p_x (1 - q). Mean, variance and covariance within five standard errors.
    """
    rate, step, w = 0.08, 0.01, 0.4
    description = Pulsed(response=SoftBounds(), step=step)
    cells = make_cells(description, 3, 4, Seed(1).at(0))
    got = np.full((DRAWS, 3, 4), w, np.float32)
    for k in range(DRAWS):
        slots = pulsed_update(got[k], Y, X, rate, cells, description, Seed(5).at(k)).slots
    share = np.sqrt(rate / step / slots)
    p_x, p_y = (np.abs(v[0]) * share * r for v, r in ((X, np.sqrt(0.75)), (Y, 1 / np.sqrt(0.75))))
    bound = np.sign(Y.T @ X)
    left = (bound - got.astype(float)) / (bound - w)
    q = 1 - step
    mean = (1 - np.outer(p_y, p_x) * (1 - q)) ** slots
    error = left.std(axis=0) / np.sqrt(DRAWS)
    assert (np.abs(left.mean(axis=0) - mean) <= 5 * error + 1e-6).all()
    square = (1 - np.outer(p_y, p_x) * (1 - q * q)) ** slots
    centred = left - left.mean(axis=0)
    error = (centred**2).std(axis=0) / np.sqrt(DRAWS)
    assert (np.abs(left.var(axis=0) - (square - mean**2)) <= 5 * error + 1e-8).all()
    r = 1 - p_x * (1 - q)
    for a, b in ((0, 1), (1, 2), (0, 2)):
        both = (1 - p_y + p_y * r[a] * r[b]) ** slots - mean[:, a] * mean[:, b]
        samples = centred[:, :, a] * centred[:, :, b]
        error = samples.std(axis=0) / np.sqrt(DRAWS)
        assert both[1] > 3 * error[1]  # what is asked for is there to be seen
        assert (np.abs(samples.mean(axis=0) - both) <= 5 * error + 1e-8).all()


def test_a_negative_rate_turns_the_update() -> None:
    description = Pulsed(response=Constant(), step=STEP)
    ups, downs = (_updates(description, 50, rate)[0] for rate in (RATE, -RATE))
    np.testing.assert_allclose(ups, -downs, atol=1e-7)


def test_without_management_trains_have_full_length_and_plain_amplitudes() -> None:
    description = Pulsed(
        response=Constant(), step=STEP, length=25, manage_length=False, manage_scale=False
    )
    changes, slots, _ = _updates(description, 4000)
    assert slots == 25
    p_x, p_y = (np.abs(v[0]) * np.sqrt(RATE / STEP / 25) for v in (X, Y))
    p = np.outer(p_y, p_x)
    n = np.abs(changes) / STEP
    error = np.sqrt(25 * p * (1 - p) / 4000)
    assert (np.abs(n.mean(axis=0) - 25 * p) <= 5 * error + 1e-3).all()


def test_deterministic_trains_round_the_update_to_pulses() -> None:
    """Columns send m = round(BL p_x) pulses without a gap; of these a row meets round(m p_y)."""
    description = Pulsed(response=Constant(), step=STEP, train="deterministic")
    changes, slots, _ = _updates(description, 2, 0.03)
    np.testing.assert_array_equal(changes[0], changes[1])
    assert slots == 23
    scale = np.sqrt(0.03 / STEP / slots)
    m = np.floor(slots * np.abs(X[0]) * np.sqrt(0.75) * scale + 0.5)
    n = np.floor(np.outer(np.abs(Y[0]) / np.sqrt(0.75) * scale, m) + 0.5)
    np.testing.assert_allclose(np.abs(changes[0]) / STEP, n, atol=1e-3)
    assert (np.abs(changes[0] - 0.03 * Y.T @ X) < 1.01 * STEP).all()


def test_updates_above_the_longest_train_are_cut_and_zeros_send_nothing() -> None:
    description = Pulsed(response=Constant(), step=STEP)
    w = np.zeros((3, 4), np.float32)
    cells = make_cells(description, 3, 4, Seed().at(0))
    sent = pulsed_update(w, Y, X, 10.0, cells, description, Seed().at(1))
    assert sent.slots == 31
    assert cells.wear.max() == 31
    for y, x in ((Y, 0 * X), (0 * Y, X)):
        assert pulsed_update(w, y, x, 1.0, cells, description, Seed().at(1)) == (0, 0)
    assert pulsed_update(w, Y[:0], X[:0], 1.0, cells, description, Seed().at(1)) == (0, 0)


def test_large_batches_are_cut_without_a_change_of_the_statistics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    description = Pulsed(response=Constant(), step=1e-5, cycle_noise=0.3)
    rate, batch = 1e-4, 4000
    whole = np.repeat(Y, batch, axis=0), np.repeat(X, batch, axis=0)
    for module_limit in (1 << 20, 1 << 13):
        monkeypatch.setattr("hwloop.devices.pulses._WORDS", module_limit)
        monkeypatch.setattr("hwloop.devices.pulses._NORMALS", module_limit // 16)
        w, cells = np.zeros((3, 4), np.float32), make_cells(description, 3, 4, Seed().at(0))
        pulsed_update(w, *whole, rate, cells, description, Seed(3).at(1))
        expected = batch * rate * (Y.T @ X)
        bound = 5 * np.sqrt(1e-5 * 1.09 * np.abs(expected)) + 1e-5
        assert (np.abs(w - expected) <= bound).all()


def test_soft_bounds_saturate_geometrically_and_constant_steps_stop_at_the_bound() -> None:
    soft = Pulsed(response=SoftBounds(), step=0.01, w_min=-0.5, w_max=0.8)
    hard = Pulsed(response=Constant(), step=0.01, w_min=-0.5, w_max=0.8)
    for counts, bound in ((90, 0.8), (-90, -0.5)):
        w = {}
        for description in (soft, hard):
            w[description] = np.zeros((2, 3), np.float32)
            cells = make_cells(description, 2, 3, Seed().at(0))
            n = np.full((2, 1), counts)
            assert pulse(w[description], [1], n, cells, description, Seed().at(1)) == 180
            assert cells.wear.sum() == 180
            assert (w[description][:, [0, 2]] == 0).all()
        np.testing.assert_allclose(
            w[soft][:, 1], bound * (1 - (1 - 0.01 / abs(bound)) ** 90), rtol=1e-5
        )
        np.testing.assert_array_equal(w[hard][:, 1], np.float32(bound))


def test_a_cell_whose_step_is_0_is_stuck_but_wears() -> None:
    description = Pulsed(response=Constant(), step=STEP, cycle_noise=0.5)
    cells = make_cells(description, 3, 4, Seed().at(0))
    cells.step[0, 0] = 0
    w = np.full((3, 4), 0.25, np.float32)
    pulsed_update(w, Y, X, 0.03, cells, description, Seed().at(1))
    assert w[0, 0] == 0.25 != w[0, 1]
    assert cells.wear[0, 0] > 0


def test_a_straight_curve_is_soft_bounds() -> None:
    common = {"step": 0.02, "cycle_noise": 0.2, "step_spread": 0.2, "asymmetry": 0.1}
    w = []
    for response in (SoftBounds(), Curve((2.0, 1.0, 0.0), (0.0, 1.0, 2.0))):
        description = Pulsed(response=response, **common)
        cells = make_cells(description, 3, 4, Seed(4).at(0))
        w.append(np.zeros((3, 4), np.float32))
        pulsed_update(w[-1], np.repeat(Y, 9, 0), np.repeat(X, 9, 0), 0.1, cells, description,
                      Seed(4).at(1))  # fmt: skip
    np.testing.assert_allclose(w[0], w[1], atol=1e-5)


@pytest.mark.parametrize(
    "response",
    [SoftBounds(), Linear(0.5, 0.9), Exponential(0.5, 0.0, 0.1, 8.0, 0.2, 8.0)],
    ids=lambda r: type(r).__name__,
)
def test_alternating_pulses_drive_cells_to_the_symmetry_point(response: object) -> None:
    description = Pulsed(response=response, step=0.004, asymmetry=0.1, bound_spread=0.1)
    cells = make_cells(description, 4, 5, Seed(8).at(0))
    w = np.random.default_rng(0).uniform(-0.7, 0.7, (4, 5)).astype(np.float32)
    ones = np.ones((4, 5), int)
    for _ in range(3000):
        for counts in (ones, -ones):
            pulse(w, range(5), counts, cells, description, Seed().at(0))
    np.testing.assert_allclose(w, symmetry_point(cells, description), atol=0.005)


def test_symmetry_point_of_soft_bounds_has_a_closed_form() -> None:
    description = Pulsed(asymmetry=0.2, asymmetry_spread=0.1, step_spread=0.1, bound_spread=0.2)
    cells = make_cells(description, 20, 30, Seed(5).at(0))
    (up, down), (high, low) = np.moveaxis(cells.step, 2, 0), np.moveaxis(cells.bound, 2, 0)
    expected = (up - down) / (up / high - down / low)
    np.testing.assert_allclose(symmetry_point(cells, description), expected, atol=1e-5)


def test_spread_from_cell_to_cell_is_what_the_description_says() -> None:
    description = Pulsed(
        step=0.01, step_spread=0.1, asymmetry=0.2, asymmetry_spread=0.05, bound_spread=0.1, w_min=-2
    )
    cells = make_cells(description, 200, 300, Seed(6).at(0))
    n = 200 * 300
    up, down = cells.step[..., 0] / 0.01, cells.step[..., 1] / 0.01
    high, low = cells.bound[..., 0], cells.bound[..., 1] / -2
    for value, mean, std in (
        ((up + down) / 2, 1, 0.1),
        ((up - down) / 2, 0.2, 0.05),
        (high, 1, 0.1),
        (low, 1, 0.1),
    ):
        assert abs(value.mean() - mean) < 5 * std / np.sqrt(n)
        assert abs(value.std() - std) < 5 * std / np.sqrt(2 * n)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"w_min": 0.5}, "w_min < 0 < w_max"),
        ({"step": 0.0}, "step takes above 0"),
        ({"asymmetry": 1.0}, "asymmetry takes"),
        ({"cycle_noise": -1.0}, "cycle_noise takes 0 or more"),
        ({"bound_spread": float("nan")}, "bound_spread takes"),
        ({"length": 32}, "length takes 1 to 31"),
        ({"train": "random"}, 'train takes "stochastic"'),
    ],
)
def test_descriptions_of_no_cell_are_refused(bad: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Pulsed(**bad)


def test_bad_responses_are_refused() -> None:
    with pytest.raises(ValueError, match="slope_up takes 0 to 1"):
        Linear(1.5, 0.5)
    with pytest.raises(ValueError, match="got 3 up and 2 down"):
        Curve((1, 1, 1), (1, 1))
    with pytest.raises(ValueError, match="at least 0"):
        Curve((1, -1), (1, 1))


def test_bad_arrays_are_refused_before_the_weights_change() -> None:
    description = Pulsed()
    cells = make_cells(description, 3, 4, Seed().at(0))
    w, draw = np.zeros((3, 4), np.float32), Seed().at(0)
    bad = X.copy()
    bad[0, 1] = np.nan
    for y, x, rate, says in (
        (Y, bad, 1.0, "finite x and y"),
        (Y, X, np.inf, "finite rate"),
        (Y[:, :2], X, 1.0, r"y takes \(batch, 3\)"),
        (Y, np.repeat(X, 2, 0), 1.0, "1 and 2 rows"),
    ):
        with pytest.raises(ValueError, match=says):
            pulsed_update(w, y, x, rate, cells, description, draw)
    with pytest.raises(ValueError, match="contiguous float32"):
        pulsed_update(w.astype(float), Y, X, 1.0, cells, description, draw)
    with pytest.raises(ValueError, match="columns take 0 to 3"):
        pulse(w, [4], np.ones((3, 1)), cells, description, draw)
    with pytest.raises(ValueError, match="counts take"):
        pulse(w, [1], np.ones((3, 2)), cells, description, draw)
    assert not w.any()
    assert not cells.wear.any()
