"""What a printed classifier costs as a whole: circuit, converters, sensors; and its battery."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from .arrays import Array
from .printed_netlist import Netlist
from .technology import Technology
from .words import unknown

Converter = Literal["flash", "binary_search", "none"]
_KINDS: tuple[str, ...] = get_args(Converter)


@dataclass(frozen=True)
class Bill:
    """Area in m2 and power in W of a classifier on its sensors, and whether a battery feeds it."""

    area_m2: float
    """The mapped cells of the circuit."""
    static_W: float
    dynamic_W: float
    critical_path_s: float | None
    """None where the technology knows no delay."""
    fits_clock: bool | None
    inputs: int
    """Inputs of which a gate sees at least one bit: the others need no sensor and no converter."""
    converters_m2: float
    converters_W: float
    sensors_W: float
    total_W: float
    battery_W: float
    fits_battery: bool

    def to_json(self) -> dict[str, Any]:
        """Return the bill as plain data."""
        return asdict(self)


def converter(technology: Technology, mask: int, kind: Converter) -> tuple[float, float]:
    """Return area in m2 and power in W of the converter that gives the bits of `mask`.

    flash: a comparator for every level at which a wired bit changes, and OR gates that code them:
    for each bit one less than there are runs of levels in which it is set (the cost model of
    Afentaki et al., arXiv:2411.08674, with levels left out where no wired bit changes).
    binary_search: its area by the published gain over flash; of its comparators one a bit is on.
    Raises ValueError for another kind.
    """
    if kind not in _KINDS:
        raise ValueError(unknown("converter", str(kind), _KINDS))
    if kind == "none" or not mask:
        return 0.0, 0.0
    codes = [0]
    for level in range(1, 1 << mask.bit_length()):
        if level & mask != codes[-1]:
            codes.append(level & mask)
    comparators = len(codes) - 1
    ors = sum(
        max(sum(code >> bit & 1 for code in codes) - 1, 0)
        for bit in range(mask.bit_length())
        if mask >> bit & 1
    )
    area_m2 = comparators * technology.parameter("adc_comparator_area")
    area_m2 += ors * technology.parameter("area_OR2X1")
    each_W = technology.parameter("adc_comparator_power")
    if kind == "binary_search":
        return area_m2 / technology.parameter("adc_binary_search_gain"), mask.bit_count() * each_W
    return area_m2, comparators * each_W + ors * technology.parameter("leakage_OR2X1")


def bill(
    netlist: Netlist,
    x: Array,
    technology: Technology,
    kind: Converter = "flash",
    sensor_W: float = 0.0,
    battery_W: float | None = None,
) -> Bill:
    """Return what a mapped circuit costs; x (samples, features) are rows that make it switch.

    `sensor_W` is drawn by each sensor that is wired; `battery_W` is what the battery gives, by
    default that of the technology's file.
    """
    masks = [m for m in netlist.wired() if m]
    adcs = [converter(technology, m, kind) for m in masks]
    limit_W = technology.parameter("battery") if battery_W is None else battery_W
    static_W, dynamic_W = netlist.static_W(technology), netlist.dynamic_W(technology, x)
    path_s = netlist.critical_path_s(technology)
    converters_W, sensors_W = sum(w for _, w in adcs), sensor_W * len(masks)
    total_W = static_W + dynamic_W + converters_W + sensors_W
    return Bill(
        area_m2=netlist.area_m2(technology),
        static_W=static_W,
        dynamic_W=dynamic_W,
        critical_path_s=path_s,
        fits_clock=None if path_s is None else path_s <= technology.parameter("clock"),
        inputs=len(masks),
        converters_m2=sum(a for a, _ in adcs),
        converters_W=converters_W,
        sensors_W=sensors_W,
        total_W=total_W,
        battery_W=limit_W,
        fits_battery=total_W <= limit_W,
    )
