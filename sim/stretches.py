"""The stretches of one operation on a tile: before a clock's ticks, reading, converting."""

from __future__ import annotations

from ..devices.ledger import Ledger, Op
from ..devices.technology import Technology
from ..mappings.fabric import Clock, TileKind
from .pricing import op_latency_s
from .timing import duration_s

ADDS_ITSELF = "shift_add"
"""Where a device counts this event, the energy of adding partial sums is in its ledger."""

Stretch = tuple[str, list[str], float, float]
"""What is done, its events, how long it lasts in s, and the period whose ticks it waits for."""


def stretches_of(
    op: Op, ledger: Ledger, technology: Technology, kind: TileKind, clock: Clock | None
) -> tuple[list[Stretch], bool]:
    """Return the stretches of a whole operation, and whether its time was measured.

    A camera's frames wait for a tick after the call; where tiles share converters, reading and
    converting follow one another; all else is one stretch.
    """
    device = ledger.devices[op.device]
    seconds, measured = duration_s(op, ledger, technology)
    events = [name for name, _ in op.depths]
    groups: list[tuple[str, list[str]]] = [(op.verb.lower(), events)]
    if clock is not None and clock.event in events:
        others = [e for e in events if e != clock.event]
        groups = [("call", others), (clock.event, [clock.event])]
    elif kind.converters and not measured:
        late = [e for e in events if e in ("adc", ADDS_ITSELF)]
        if late:
            groups = [("read", [e for e in events if e not in late]), ("convert", late)]
    found: list[Stretch] = []
    for what, some in groups:
        period_s, lasts_s = 0.0, seconds
        if len(groups) > 1:
            depths = tuple(d for d in op.depths if d[0] in some)
            lasts_s = op_latency_s(op._replace(depths=depths), device, technology) or 0.0
        if clock is not None and clock.period_s:
            period_s, lasts_s = clock.period_s, op.batch * clock.period_s
        elif clock is not None and what == clock.event:
            period_s = technology.event(what, device.n_out, device.n_in).latency_s or 0.0
        found.append((what, some, lasts_s, period_s))
    return found, measured
