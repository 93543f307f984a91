"""A ledger on a fabric: a floorplan, a timeline for every distinct step, and what it all costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..devices.host import NAME as HOST
from ..devices.ledger import Ledger, Step
from ..devices.technology import Technology
from ..devices.technology import load as load_technology
from ..devices.words import unknown
from ..mappings.fabric import Fabric, Link
from ..mappings.fabric_file import load as load_fabric
from ..mappings.siting import Floorplan, Work, duplicated, site
from ..mappings.tiling import Unfit, cuts
from .expand import READS, Expanded, expand
from .pricing import STANDING, Bill, bill
from .replay import Played, replay
from .stretches import ADDS_ITSELF
from .tables_fabric import FabricTable
from .timing import duration_s

LINKS = "links"
"""Stands for the device in a bill's rows of bytes that moved."""


@dataclass(frozen=True)
class StepTime:
    """One distinct step on a fabric."""

    expanded: Expanded
    played: Played
    """One step alone."""
    steady_s: float
    """Seconds a step where several are in flight; the makespan where it is one."""
    pipelined: Played | None = None

    @property
    def makespan_s(self) -> float:
        """From the start of the step to its end, alone."""
        return self.played.makespan_s


@dataclass(frozen=True)
class FabricTime:
    """All distinct steps of a ledger on one floorplan."""

    plan: Floorplan
    shown: Step
    """The step that the floorplan was made for, and that a report shows."""
    steps: Mapping[Step, StepTime]
    in_flight: int

    @property
    def seconds(self) -> dict[Step, float]:
        """Return what each kind of step takes in a run of many."""
        return {step: timed.steady_s for step, timed in self.steps.items()}


def usual(ledger: Ledger, kind: str = "train") -> Step | None:
    """Return the step of a kind that took place most often."""
    found = [(tally.times, step) for step, tally in ledger.steps.items() if step.kind == kind]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def once(ledger: Ledger, step: Step) -> list[list[float]]:
    """Return the work of one step: the mean over the times it took place."""
    tally = ledger.steps[step]
    return [[amount / tally.times for amount in op] for op in tally.work]


def work_of(step: Step, ledger: Ledger, chosen: Mapping[str, Technology]) -> dict[str, Work]:
    """Return what a step makes each matrix do."""
    found: dict[str, Work] = {}
    for op in step.ops:
        if op.device == HOST:
            continue
        seconds, _ = duration_s(op, ledger, chosen[op.device])
        had, read = found.get(op.device, Work()), op.verb in READS
        found[op.device] = Work(
            had.read_s + (seconds if read else 0.0),
            had.write_s + (0.0 if read else seconds),
            had.rows + op.batch,
        )
    return found


def timed(step: Step, table: FabricTable) -> bool:
    """Whether a table has this step timed on its fabric."""
    return bool(step.ops) and table.steps in ("all", step.kind)


def floorplan(
    ledger: Ledger, step: Step, chosen: Mapping[str, Technology], table: FabricTable
) -> Floorplan:
    """Return where a ledger's matrices lie on the fabric that a table names.

    Raises ValueError (`Unfit` where the network is what does not fit) in a sentence.
    """
    fabric = load_fabric(table.use)
    needed = {op.device for one in ledger.steps if timed(one, table) for op in one.ops}
    found = cuts({n: d for n, d in ledger.devices.items() if n in needed}, chosen, fabric, HOST)
    work = work_of(step, ledger, chosen)
    _check_memory(ledger, step, chosen, fabric)
    for name in table.copies:
        if name not in found:
            raise ValueError(f"copies: {unknown('matrix', name, found)}")
    copies: Mapping[str, int] = table.copies
    if table.duplicate == "auto":
        events = once(ledger, step)

        def seconds(plan: Floorplan) -> float:
            return time_step(step, events, ledger, chosen, plan, table.in_flight).steady_s

        copies = duplicated(fabric, found, work, seconds, table.sharing)
    if table.strategy == "searched":
        from .siting_search import search

        return search(ledger, step, chosen, fabric, found, work, copies, table)
    return site(
        fabric, found, table.strategy, table.sharing, work, copies, table.pin, table.packing
    )


def _check_memory(
    ledger: Ledger, step: Step, chosen: Mapping[str, Technology], fabric: Fabric
) -> None:
    """Raise Unfit where the outputs that a step keeps, and matrices, exceed the hosts' memory."""
    stem = chosen[HOST].stem
    able = [h for h in fabric.hosts.values() if h.technology == stem]
    kept_B = fabric.bytes_per_number * sum(
        op.batch * ledger.devices[op.device].n_out for op in step.ops if op.verb == "MULTIPLY"
    )
    there_B = fabric.copies * sum(h.count * h.memory_B for h in able)
    for h in able:
        if h.name in fabric.tiles and fabric.tiles[h.name].rows is None:
            kept_B += fabric.bytes_per_number * sum(
                d.n_out * d.n_in
                for name, d in ledger.devices.items()
                if chosen[name].stem == fabric.tiles[h.name].technology and name != HOST
            )
    if able and kept_B > there_B:
        raise Unfit(
            f"a step keeps {kept_B:,.0f} B of activations and weights, and the hosts of fabric "
            f"{fabric.stem} have {there_B:,.0f} B: a smaller [train] batch or network would fit"
        )


def time_fabric(ledger: Ledger, chosen: Mapping[str, Technology], table: FabricTable) -> FabricTime:
    """Return the floorplan of a ledger's usual step, and the time of every distinct step on it.

    Raises ValueError in a sentence for what does not fit.
    """
    steps = [s for s in ledger.steps if timed(s, table)]
    if not steps:
        raise ValueError("no step took place that could be timed")
    first = usual(ledger) if table.steps == "all" else None
    first = first or max(steps, key=lambda s: ledger.steps[s].times)
    plan = floorplan(ledger, first, chosen, table)
    times = {
        step: time_step(step, once(ledger, step), ledger, chosen, plan, table.in_flight)
        for step in steps
    }
    return FabricTime(plan, first, times, table.in_flight)


def time_step(
    step: Step,
    work: Sequence[Sequence[float]],
    ledger: Ledger,
    chosen: Mapping[str, Technology],
    plan: Floorplan,
    in_flight: int = 1,
) -> StepTime:
    """Return one step on a floorplan, alone and, where more are in flight, in a row of many."""
    made = expand(step, work, ledger, chosen, plan)
    alone = replay(made.graph)
    if in_flight == 1 or step.kind == "program":
        return StepTime(made, alone, alone.makespan_s)
    many = replay(made.graph, 4 * in_flight + 8, in_flight)
    return StepTime(made, alone, many.steady_s, many)


# ---- what it costs --------------------------------------------------------------------


def fabric_bill(timed: FabricTime, ledger: Ledger, chosen: Mapping[str, Technology]) -> list[Bill]:
    """Return the joules of a run on a fabric, row by row, computed from the ledger and the plan.

    Events as the ledger has them, what copies are written once more, bytes over links, partial
    sums, and the standing power of every node that holds something or works, over all the time.
    """
    counted = [step.kind for step in timed.steps]
    rows = [
        r
        for r in bill(ledger, chosen, {s: timed.seconds.get(s, 0.0) for s in ledger.steps}, counted)
        if r.event != STANDING
    ]
    more: dict[tuple[str, str, str, str, str], list[float | None]] = {}

    def add(kind: str, part: str, device: str, event: str, work: float, each: float | None,
            stem: str) -> None:  # fmt: skip
        had = more.setdefault((kind, part, device, event, stem), [0.0, 0.0])
        had[0] = (had[0] or 0.0) + work
        had[1] = None if each is None or had[1] is None else had[1] + work * each

    fabric, plan = timed.plan.fabric, timed.plan
    prices = links_of(fabric)
    host = chosen.get(HOST)
    for step, one in timed.steps.items():
        times = ledger.steps[step].times
        for name, size_B in one.expanded.moved_B.items():
            link = prices[name]
            group = group_of(name, fabric)
            each_J = link.energy_J_per_B
            add(step.kind, group, LINKS, "byte", times * size_B, each_J, fabric.stem)
        for op, work in zip(step.ops, ledger.steps[step].work, strict=True):
            if op.device == HOST:
                continue
            technology, device = chosen[op.device], ledger.devices[op.device]
            cut = plan.cuts[op.device]
            again = plan.copies[op.device] - 1 if op.verb not in READS else 0
            for (event, _), amount in zip(op.depths, work, strict=True):
                if again and amount:
                    price = technology.event(event, device.n_out, device.n_in, device.settings)
                    add(step.kind, cut.kind, op.device, f"{event} of copies", again * amount,
                        price.energy_J, technology.stem)  # fmt: skip
            forward = op.verb in ("MULTIPLY", "INTENSITY")
            sums = (cut.down if forward else cut.across) - 1
            own = any(event == ADDS_ITSELF for event, _ in op.depths)
            if op.verb in READS and sums and host is not None and not own:
                event = "add" if "add" in host.events else "element"
                numbers = times * sums * (cut.n_out if forward else cut.n_in) * op.batch
                add(step.kind, next(iter(fabric.hosts)), HOST, f"{event} of partial sums", numbers,
                    host.event(event, 1, 1).energy_J, host.stem)  # fmt: skip
        on_s = times * one.steady_s
        for kind, count in nodes_by_kind(one.expanded).items():
            stem = technology_of(kind, fabric)
            idle_W = load_technology(stem).idle_W
            if idle_W is None or idle_W > 0:
                add(step.kind, kind, kind, STANDING, count * on_s, idle_W, stem)
    rows += [
        Bill(kind, part, device, event, float(work or 0.0), joules, stem)
        for (kind, part, device, event, stem), (work, joules) in more.items()
    ]
    return rows


def technology_of(kind: str, fabric: Fabric) -> str:
    """Return the technology of a kind of node."""
    known = fabric.tiles.get(kind) or fabric.hosts[kind]
    return known.technology


def nodes_by_kind(expanded: Expanded) -> dict[str, int]:
    """Return how many nodes of each kind draw standing power."""
    found: dict[str, int] = {}
    for node in expanded.placed:
        kind = expanded.plan.fabric.kind_of(node)
        found[kind] = found.get(kind, 0) + 1
    return found


def standing_by_kind(expanded: Expanded) -> dict[str, float]:
    """Return what the placed nodes of each kind draw, busy or not, in W; 0 where unknown."""
    fabric = expanded.plan.fabric
    return {
        kind: count * (load_technology(technology_of(kind, fabric)).idle_W or 0.0)
        for kind, count in nodes_by_kind(expanded).items()
    }


def group_of(resource: str, fabric: Fabric) -> str:
    """Return the kind of a resource: a node's kind, "core>digital" for a link between kinds."""

    def kind(node: str) -> str:
        if node == "network":
            return node
        try:
            return fabric.kind_of(node)
        except KeyError:
            return node

    words = resource.split(" ")
    if ">" in resource:
        return ">".join(kind(end) for end in resource.split(">"))
    return " ".join([kind(words[0]), *words[1:2]])


def links_of(fabric: Fabric) -> dict[str, Link]:
    """Return the link behind the name of every link resource."""
    found: dict[str, Link] = {}
    copies = [""] if fabric.copies == 1 else [f"copy{c}/" for c in range(fabric.copies)]
    for _, _, edge in fabric.graph.edges(data=True):
        for copy in copies:
            found[copy + edge["resource"]] = edge["link"]
    if fabric.network is not None:
        ends = [copy + fabric.gate for copy in copies]
        for end in (*ends, *(t.name for t in fabric.tiles.values() if t.once)):
            found[f"{end}>network"] = fabric.network
            found[f"network>{end}"] = fabric.network
    return found
