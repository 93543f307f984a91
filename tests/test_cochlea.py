"""The silicon cochlea against the published filters of the ear."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices.cochlea import Cochlea, erb_Hz, erb_number, sigma_delta

RATE = 8000.0
BANK = Cochlea()


def responses(frequencies: np.ndarray) -> np.ndarray:
    """Return |H| (channels, frequencies) of the cascades."""
    z = np.exp(-2j * np.pi * frequencies / RATE)
    poles = BANK.poles(RATE)[:, None]
    return abs(((1 - abs(poles)) / (1 - poles * z)) ** 4)


def test_bandwidths_are_those_of_glasberg_and_moore():
    """At 1 kHz 132.6 Hz, the 15.6th bandwidth from below; the scale's slope is 1 / ERB."""
    assert erb_Hz(1000) == pytest.approx(132.64, abs=0.01)
    assert erb_Hz(0) == pytest.approx(24.7)
    assert erb_number(1000) == pytest.approx(15.62, abs=0.005)
    f = np.array([100.0, 500.0, 3000.0])
    slope = (erb_number(f + 0.5) - erb_number(f - 0.5)) * erb_Hz(f)
    np.testing.assert_allclose(slope, 1, rtol=5e-3)


def test_every_filter_is_as_wide_as_the_ear_s_and_peaks_at_its_centre():
    f = np.linspace(0, RATE, 80_001)[:-1]
    for channel in (0, 20, 40, 63):
        h = responses(f)[channel]
        width = (h**2).sum() * (f[1] - f[0]) / h.max() ** 2
        assert width == pytest.approx(erb_Hz(BANK.centres_Hz[channel]), rel=0.01)
        assert f[h.argmax()] == pytest.approx(BANK.centres_Hz[channel], abs=0.1)
        assert h.max() == pytest.approx(1, rel=1e-4)


def test_centres_are_evenly_spread_over_the_scale():
    steps = np.diff(erb_number(BANK.centres_Hz))
    np.testing.assert_allclose(steps, steps[0])
    assert BANK.centres_Hz[[0, -1]] == pytest.approx([100, 3400])


@pytest.mark.parametrize("channel", [5, 30, 60])
def test_a_tone_is_loudest_in_its_own_channel(channel):
    t = np.arange(4000) / RATE
    level = BANK.levels(np.sin(2 * np.pi * BANK.centres_Hz[channel] * t), RATE, 20)
    assert level[-1].argmax() == channel
    assert level.max() == pytest.approx(1)


def test_a_tone_at_the_centre_passes_with_its_mean_rectified_amplitude():
    """A sine of amplitude 1 has a rectified mean of 1 / pi; the compression is undone here."""
    bank = Cochlea(channels=2, low_Hz=500, high_Hz=2000, floor=1e6)
    t = np.arange(16_000) / RATE
    raw = bank.levels(np.sin(2 * np.pi * 500 * t), RATE, 4)
    assert raw[-1, 0] == pytest.approx(1, rel=1e-3)
    assert raw[-1, 1] < 1e-2


def test_spikes_and_what_is_held_are_what_went_in():
    level = np.random.default_rng(0).random((200, 7)) ** 2
    spikes = sigma_delta(level)
    held = level.cumsum(axis=0) - spikes.cumsum(axis=0, dtype=np.int64)
    assert set(np.unique(spikes)) == {0, 1}
    assert (held > -1e-9).all()
    assert (held < 1 + 1e-9).all()


def test_silence_sends_no_spikes():
    assert BANK.spikes(np.zeros(500), RATE, 10).sum() == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Cochlea(channels=1), "2 channels or more"),
        (lambda: Cochlea(low_Hz=500, high_Hz=400), "0 < low_Hz < high_Hz"),
        (lambda: Cochlea(floor=0), "takes a floor above 0"),
        (lambda: Cochlea(high_Hz=5000).poles(RATE), "frequencies below 4000 Hz alone"),
        (lambda: BANK.levels(np.zeros(5), RATE, 10), "10 steps take as many samples"),
        (lambda: BANK.levels(np.full(50, np.nan), RATE, 10), "finite samples"),
    ],
)
def test_what_no_cochlea_can_do_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
