"""What a design found, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .print_literature import published
from .print_run import area_of, cm2, power_of
from .units import percent, points, ratio, si

Report = Mapping[str, Any]


def sentences(report: Report) -> list[str]:
    """Return the sentences that the page and the terminal begin with."""
    exact, front = report["exact"], report["front"]
    whole = power_of(exact)
    found = [
        f"The exact bespoke circuit {report['topology']['text']} classifies "
        f"{percent(exact['test'])} of the test rows right and takes {cm2(area_of(exact))}"
        + (f" and {si(whole, 'W')}." if whole is not None else " by the count of its adders.")
    ]
    told: set[int] = set()
    for gain in report["gains"]:
        if gain["circuit"] in told:
            continue
        told.add(gain["circuit"])
        one = front[gain["circuit"]]
        power_W = power_of(one)
        sentence = (
            f"Within {points(gain['loss'])} of its training accuracy a printed circuit of "
            f"{cm2(area_of(one))} does it, {ratio(gain['area'], 1)} smaller"
        )
        if power_W is not None:
            sentence += f", on {si(power_W, 'W')}, {ratio(gain['power'], 1)} less"
        lost = gain["test_loss"]
        found.append(
            f"{sentence}; on the test rows it is right for {percent(one['test'])}, "
            f"{points(lost)} {'less' if lost > 0 else 'more'} than the exact one."
        )
    if report["gains"]:
        one = front[report["gains"][-1]["circuit"]]
        if one["mapped"] is not None:
            found.append(_battery(one["mapped"]))
    checked = [r for r in [exact, *front] if r["mismatches"] is not None]
    if checked:
        rows, wrong = len(checked) * report["data"]["test"], sum(r["mismatches"] for r in checked)
        found.append(
            f"Icarus Verilog ran the {len(checked)} circuits on every test row: {wrong} of "
            f"{rows:,} rows differ from the kernel."
        )
    else:
        found.append("The Verilog was not simulated: [cost] simulate is false.")
    if any(r["mapped"] is None for r in [exact]):
        found.append("Areas are estimates, and powers unknown: [cost] map is false.")
    if report["constant"]:
        found.append(
            f"{report['constant']} of the circuits that were looked at say one class whatever they "
            "see, and were thrown out."
        )
    found += _beside(report)
    return found


def _battery(bill: Mapping[str, Any]) -> str:
    fits = "fits" if bill["fits_battery"] else "does not fit"
    parts = [f"{si(bill['static_W'] + bill['dynamic_W'], 'W')} in the circuit"]
    if bill["converters_W"]:
        parts.append(f"{si(bill['converters_W'], 'W')} in {bill['inputs']} converters")
    if bill["sensors_W"]:
        parts.append(f"{si(bill['sensors_W'], 'W')} in sensors")
    said = f"It {fits} a {si(bill['battery_W'], 'W')} battery: {', '.join(parts)}"
    if bill["critical_path_s"] is not None:
        clock = "within" if bill["fits_clock"] else "more than"
        said += f"; its slowest path takes {si(bill['critical_path_s'], 's')}, {clock} a clock"
    return f"{said}."


def _beside(report: Report) -> list[str]:
    """Return how the front stands to each published point whose accuracy is known."""
    found = []
    for point in published(report["data"]["set"]):
        if point.accuracy is None:
            continue
        fits = [r for r in report["front"] if r["test"] >= point.accuracy - 5e-4]
        if not fits:
            best = max((r["test"] for r in report["front"]), default=0.0)
            found.append(
                f"{point.name}: {percent(point.accuracy)} at {point.area_cm2:g} cm²; nothing on "
                f"this front is as accurate, the best is {percent(best)}."
            )
            continue
        one = min(fits, key=area_of)
        area = 1e4 * area_of(one)
        found.append(
            f"{point.name}: {percent(point.accuracy)} at {point.area_cm2:g} cm²; this front has "
            f"{percent(one['test'])} at {area:.3g} cm², "
            f"{'at most' if area <= point.area_cm2 else 'more than'} that area."
        )
    return found
