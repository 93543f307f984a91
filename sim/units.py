"""Numbers as people read them: joules, seconds, square metres, counts, shares and epsilons."""

from __future__ import annotations

import math
from collections.abc import Sequence

UNKNOWN = "unknown"
"""What stands for a number that nobody has."""

_PREFIXES = {
    -18: "a",
    -15: "f",
    -12: "p",
    -9: "n",
    -6: "µ",
    -3: "m",
    0: "",
    3: "k",
    6: "M",
    9: "G",
    12: "T",
}
_AREAS = (("m²", 1.0, 0.1), ("cm²", 1e-4, 1e-4), ("mm²", 1e-6, 1e-8), ("µm²", 1e-12, 0.0))
"""Unit, its size in m², and the least area that is written in it."""
_SPANS = (("min", 60.0, 7200.0), ("h", 3600.0, 172800.0), ("d", 86400.0, 730 * 86400.0))
"""Unit, its length in seconds, and the time from which on the next one is used."""
_YEAR_S = 365.25 * 86400.0


def number(value: float | str | None) -> float | None:
    """Return a number of a report as a float: JSON has no infinity, there it is "inf"."""
    if value is None:
        return None
    found = float(value)
    return None if math.isnan(found) else found


def si(value: float | str | None, unit: str) -> str:
    """Return a value with its unit, three digits and an SI prefix from a to T.

    Seconds become minutes, hours, days and years from two minutes on; "m2" is written in m², cm²,
    mm² or µm²; a unit of "" counts things.

    >>> si(17231.8, "J"), si(0.000125, "s"), si(191.46, "s"), si(None, "J")
    ('17.2 kJ', '125 µs', '3.19 min', 'unknown')
    >>> si(3.2e-5, "m2"), si(26940, "")
    ('32 mm²', '26.9 k')
    """
    found = number(value)
    if found is None:
        return UNKNOWN
    if math.isinf(found):
        return "infinite" if found > 0 else "-infinite"
    if unit == "s" and abs(found) >= 119.5:
        return _span(found)
    if unit == "m2":
        return _area(found)
    return _prefixed(found, unit)


def count(value: float | str | None) -> str:
    """Return how many: to the last one below 100,000, then with a prefix.

    >>> count(26940), count(1_234_567), count(0.5)
    ('26,940', '1.23 M', '0.5')
    """
    found = number(value)
    if found is None or math.isinf(found):
        return si(value, "")
    if abs(found) >= 1e5:
        return si(found, "")
    return f"{found:,.0f}" if found == round(found) else _digits(found)


def percent(share: float | None) -> str:
    """Return a share as per cent; what is not all is never rounded to all, nor to nothing.

    >>> percent(0.96), percent(0.99993), percent(0.0000851), percent(1e-9)
    ('96.0 %', '99.99 %', '0.009 %', 'under 0.001 %')
    """
    found = number(share)
    if found is None:
        return UNKNOWN
    shown = 100.0 * found
    if shown in (0.0, 100.0):
        return f"{shown:.0f} %"
    if 0.0 < shown < 0.0005:
        return "under 0.001 %"
    if 99.995 <= shown < 100.0:
        return "over 99.99 %"
    if 99.9 <= shown < 100.0 or 0.1 <= abs(shown) < 1.0:
        return f"{shown:.2f} %"
    return f"{shown:.3f} %" if abs(shown) < 0.1 else f"{shown:.1f} %"


def points(difference: float) -> str:
    """Return a difference of two shares in points of a hundred, without its sign.

    >>> points(-0.01333), points(0.01), points(0.0)
    ('1.3 points', '1.0 point', '0.0 points')
    """
    shown = f"{abs(100.0 * difference):.1f}"
    return f"{shown} point" if shown == "1.0" else f"{shown} points"


def epsilon(value: float | str | None) -> str:
    """Return an epsilon, "infinite" where nothing is promised.

    >>> epsilon(5.94), epsilon("inf"), epsilon(2e7), epsilon(0.0123)
    ('5.94', 'infinite', '2.0e7', '0.0123')
    """
    found = number(value)
    if found is None:
        return UNKNOWN
    if math.isinf(found):
        return "infinite"
    if found >= 1e5:
        digits, power = f"{found:.1e}".split("e")
        return f"{digits}e{int(power)}"
    return f"{found:,.0f}" if found >= 1000 else f"{found:.3g}"


def ratio(value: float, other: float) -> str:
    """Return how many times `other` fits into `value`.

    >>> ratio(17231.8, 1.5326), ratio(3.0, 2.0), ratio(1.0, 0.0)
    ('11,200 x', '1.5 x', 'unknown')
    """
    if not other or not math.isfinite(value) or not math.isfinite(other):
        return UNKNOWN
    times = value / other
    if not math.isfinite(times):
        return UNKNOWN
    if abs(times) >= 1e7 or 0 < abs(times) < 1e-3:
        digits, power = f"{times:.1e}".split("e")
        return f"{digits}e{int(power)} x"
    return f"{_digits(times)} x"


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _digits(value: float) -> str:
    """Return three digits without empty decimals, as 11,200 or 1.5 or 0.0312."""
    if not value:
        return "0"
    rounded = float(f"{value:.2e}")
    places = max(0, 2 - math.floor(math.log10(abs(rounded))))
    text = f"{rounded:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _prefixed(value: float, unit: str) -> str:
    if not value:
        return f"0 {unit}".strip()
    power = math.floor(math.log10(abs(float(f"{value:.2e}"))) / 3) * 3
    if power not in _PREFIXES:
        digits, exponent = f"{value:.2e}".split("e")
        return f"{digits}e{int(exponent)} {unit}".strip()
    return f"{_digits(value / 10.0**power)} {_PREFIXES[power]}{unit}".strip()


def _span(value: float) -> str:
    for unit, in_s, up_to_s in _SPANS:
        if abs(value) < up_to_s:
            return f"{_digits(value / in_s)} {unit}"
    years = value / _YEAR_S
    return f"{_digits(years)} years" if abs(years) < 1e6 else f"{years:.1e} years"


def _area(value: float) -> str:
    if not value:
        return "0 m²"
    unit, in_m2 = next((u, size) for u, size, least in _AREAS if abs(value) >= least)
    return f"{_digits(value / in_m2)} {unit}"
