"""From a recorded step and a floorplan to tasks: what moves over which link, and who works when.

Data wait at hosts between the operations of a step, as the hosts compute what lies between them.
An operation on a matrix sends each block its inputs, reads or writes all blocks side by side, and
brings the partial results of one output to one host, where they are added. The operations of a
stage follow one another, and stages run side by side unless one waits for the other.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..devices.host import NAME as HOST
from ..devices.ledger import Ledger, Op, Step
from ..devices.technology import Technology
from ..mappings.fabric import Fabric
from ..mappings.siting import Floorplan
from ..mappings.tiling import ANALOG, Block
from .carry import Carrier
from .spread import Spread, pieces, rows_of, share_lines
from .stretches import ADDS_ITSELF, stretches_of
from .tasks import Graph, Phase
from .timing import duration_s, in_order

READS = ("MULTIPLY", "TRANSPOSE", "INTENSITY")
"""Verbs that copies of a matrix share; all others are done to every copy."""


@dataclass(frozen=True)
class Expanded:
    """A step as tasks on a fabric."""

    step: Step
    graph: Graph
    plan: Floorplan
    moved_B: Mapping[str, float]
    """Bytes over each link in one step."""
    placed: tuple[str, ...]
    """Nodes that draw standing power in the step: all that hold something or work."""
    measured: tuple[bool, ...]
    """Whether an operation's time was measured, by operation."""
    unmetered: tuple[str, ...]
    """What spends energy that nobody has metered, as "byte of gpu>opu"."""


def expand(
    step: Step,
    work: Sequence[Sequence[float]],
    ledger: Ledger,
    chosen: Mapping[str, Technology],
    plan: Floorplan,
) -> Expanded:
    """Return the tasks of one step whose events are `work`, an entry an operation and event.

    Raises ValueError for stages that wait in a circle or for what is not there, for a stage in
    which nothing happens, and for an operation that its tile cannot do.
    """
    return _Expansion(step, work, ledger, chosen, plan).all()


@dataclass
class _Expansion:
    step: Step
    work: Sequence[Sequence[float]]
    ledger: Ledger
    chosen: Mapping[str, Technology]
    plan: Floorplan
    graph: Graph = field(default_factory=Graph)
    measured: list[bool] = field(default_factory=list)
    where: dict[str, Spread] = field(default_factory=dict)
    """Where the last operation of a stage left its numbers."""
    left: dict[str, float] = field(default_factory=dict)
    """How many numbers the last operation of a stage left, where it was on a matrix."""
    given: dict[str, float] = field(default_factory=dict)
    """Which share of them the stages that wait for it have taken so far."""
    took: dict[tuple[str, str], Spread] = field(default_factory=dict)
    """Where an operation on a device had its input from."""
    _by_node: dict[str, list[int]] = field(default_factory=dict)

    @functools.cached_property
    def carrier(self) -> Carrier:
        return Carrier(self.graph, self.fabric)

    @property
    def fabric(self) -> Fabric:
        return self.plan.fabric

    @property
    def host_stem(self) -> str:
        return self.chosen[HOST].stem if HOST in self.chosen else ""

    def all(self) -> Expanded:
        after = dict(self.step.after)
        programme: dict[str, list[int]] = {stage: [] for stage in after}
        for number, op in enumerate(self.step.ops):
            programme[op.stage].append(number)
        self.measured = [False] * len(self.step.ops)
        last: dict[str, int] = {}
        for stage in in_order(after):
            if not programme[stage]:
                raise ValueError(
                    f'in stage "{stage}" nothing happens: a device that counts nothing has no '
                    "place in a timeline"
                )
            last[stage] = self._stage(
                stage, programme[stage], [last[name] for name in after[stage]], after[stage]
            )
        placed = set(self.plan.nodes)
        placed |= {n for n in self.graph.resources if self._is_host(n)}
        return Expanded(
            self.step,
            self.graph,
            self.plan,
            self.carrier.moved_B,
            tuple(sorted(placed)),
            tuple(self.measured),
            tuple(self.carrier.unmetered),
        )

    def _is_host(self, resource: str) -> bool:
        try:
            return self.fabric.kind_of(resource) in self.fabric.hosts
        except KeyError:
            return False

    def _worker(self, node: str) -> str:
        """Return the host that computes with what waits at a node: itself where it is one."""
        return node if self._is_host(node) else self.fabric.nearest_host(node, self.host_stem)

    # ---- one stage after another -----------------------------------------------------

    def _stage(
        self, stage: str, numbers: Sequence[int], gate: list[int], after: Sequence[str]
    ) -> int:
        """Add the tasks of a stage behind `gate`; return the one that ends it."""
        ops = self.step.ops
        matrices = [n for n in numbers if ops[n].device != HOST]
        first = ops[matrices[0]] if matrices else None
        here = self.where[after[-1]] if after else self._start(first)
        own = False
        left = self.left.get(after[-1], 0.0) if after else 0.0
        for number in numbers:
            op = ops[number]
            if op.device == HOST:
                coming = next((ops[n] for n in matrices if n > number), None)
                if coming is not None and coming.verb in ("UPDATE", "PROGRAM"):
                    target = self._homes(coming.device, True)
                    gate = self._move(here, target, op, coming, gate, number, after)
                    here = target
                if any(not self._is_host(node) for node, _, _ in here):
                    hosts = tuple((self._worker(node), a, b) for node, a, b in here)
                    gate = self.carrier.bring(here, hosts, (0.0, 1.0), left, gate, number)
                    here = hosts
                gate = self._host(op, number, here, gate)
            else:
                left = float(op.batch * self.plan.cuts[op.device].n_out)
                gate, here = self._matrix(op, number, here, own, gate)
            own = True
        self.where[stage] = here
        end = ops[numbers[-1]]
        if end.device != HOST and end.verb == "MULTIPLY":
            self.left[stage] = float(end.batch * self.plan.cuts[end.device].n_out)
        return gate[0] if len(gate) == 1 else self.graph.add(gate, name=stage)

    def _start(self, first: Op | None) -> Spread:
        """Return where the data of a first stage wait: beside what takes them."""
        if first is not None:
            return self._homes(first.device, False)
        return ((self.fabric.nodes(next(iter(self.fabric.hosts)))[0], 0.0, 1.0),)

    def _homes(self, device: str, outputs: bool) -> Spread:
        """Return the hosts that keep a matrix's outputs, or its inputs, beside their blocks."""
        cut = self.plan.cuts[device]
        first: dict[int, str] = {}
        for k in self.plan.of(device):
            b = self.plan.blocks[k]
            at = b.outputs[0] if outputs else b.inputs[0]
            if b.copy == 0 and at not in first:
                first[at] = self.fabric.keeper(self.plan.nodes[k], self.host_stem)
        size = cut.n_out if outputs else cut.n_in
        edges = [*sorted(first), size]
        spread: list[tuple[str, float, float]] = []
        for at, end in zip(edges, edges[1:], strict=False):
            node = first[at]
            if spread and spread[-1][0] == node:
                spread[-1] = (node, spread[-1][1], end / size)
            else:
                spread.append((node, at / size, end / size))
        return tuple(spread)

    # ---- what moves ------------------------------------------------------------------

    def _move(
        self,
        here: Spread,
        target: Spread,
        op: Op,
        coming: Op,
        gate: list[int],
        number: int,
        after: Sequence[str],
    ) -> list[int]:
        """Add what brings errors to the hosts beside the matrix that is updated by them next.

        Stages that wait for one projection take its outputs in turn, as DFA stacks them.
        """
        numbers = self.plan.cuts[coming.device].n_out * op.batch
        first, part = 0.0, 1.0
        whole = self.left.get(after[-1], 0.0) if after else 0.0
        if whole > numbers:
            first, part = self.given.get(after[-1], 0.0), numbers / whole
            self.given[after[-1]] = first + part
            if first + part > 1.0 + 1e-9:
                first, part = 0.0, 1.0
        return self.carrier.bring(here, target, (first, part), numbers / part, gate, number)

    # ---- who works -------------------------------------------------------------------

    def _host(self, op: Op, number: int, here: Spread, gate: list[int]) -> list[int]:
        seconds, self.measured[number] = duration_s(op, self.ledger, self.chosen[HOST])
        energy_J = self._energy(op, number)
        found = []
        for node, low, high in here:
            r = self.graph.resource(node, self._places(node))
            share = high - low
            phase = Phase(seconds * share, (r,), (r,), op.verb.lower(), ((r, energy_J * share),))
            found.append(self.graph.add(gate, (phase,), number, name=op.stage))
        return found if len(found) == 1 else [self.graph.add(found)]

    def _places(self, node: str) -> int:
        kind = self.fabric.kind_of(node)
        return self.fabric.tiles[kind].at_once if kind in self.fabric.tiles else 1

    def _energy(self, op: Op, number: int, only: Sequence[str] | None = None) -> float:
        """Return the joules of an operation's events, of those named where `only` is given."""
        device, technology = self.ledger.devices[op.device], self.chosen[op.device]
        total = 0.0
        for (name, _), amount in zip(op.depths, self.work[number], strict=True):
            if amount and (only is None or name in only):
                price = technology.event(name, device.n_out, device.n_in, device.settings).energy_J
                if price is None:
                    self.carrier.unmetered[f"{name} of {technology.stem}"] = None
                total += amount * (price or 0.0)
        return total

    def _matrix(
        self, op: Op, number: int, here: Spread, own: bool, gate: list[int]
    ) -> tuple[list[int], Spread]:
        """Add an operation on a matrix; return what ends it, and where its numbers are then."""
        plan, cut = self.plan, self.plan.cuts[op.device]
        verbs = self.fabric.tiles[cut.kind].verbs.split()
        if verbs and op.verb not in verbs and op.verb in ("TRANSPOSE", "PROGRAM", "UPDATE"):
            raise ValueError(
                f"stage {op.stage} does {op.verb} on {op.device}, and tile {cut.kind} of fabric "
                f"{self.fabric.stem} can {', '.join(verbs)}"
            )
        forward = op.verb in ("MULTIPLY", "INTENSITY")
        copies = plan.copies[op.device]
        y_from = x_from = here
        if op.verb == "MULTIPLY":
            self.took[op.device, "x"] = here
        elif op.verb == "TRANSPOSE":
            self.took[op.device, "y"] = here
        elif op.verb == "UPDATE":
            x_from = self.took.get((op.device, "x"), here)
            y_from = here if own else self.took.get((op.device, "y"), here)
        homes = self._homes(op.device, forward) if op.verb in READS else here
        arrived: dict[tuple[int, int], list[int]] = {}
        ends = []
        for k in plan.of(op.device):
            block = plan.blocks[k]
            rows = rows_of(op.batch, copies, block.copy) if op.verb in READS else op.batch
            if not rows and op.batch:
                continue
            task = self._block(op, number, k, rows, x_from, y_from, gate)
            ends.append(task)
            if op.verb not in READS:
                continue
            span, size = (block.outputs, cut.n_out) if forward else (block.inputs, cut.n_in)
            phases: list[Phase] = []
            for node, share in pieces(homes, span[0] / size, span[1] / size):
                if node != plan.nodes[k]:
                    size_B = share * size * rows * self.fabric.bytes_per_number
                    phases += self.carrier.hop(plan.nodes[k], node, size_B)
            done = self.graph.add([task], phases, number) if phases else task
            arrived.setdefault(span, []).append(done)
        sums = cut.down if forward else cut.across
        if op.verb in READS and sums > 1:
            ends = [self._add_sums(op, number, span, sums, cut.n_out if forward else cut.n_in,
                                   homes, tasks) for span, tasks in arrived.items()]  # fmt: skip
        elif op.verb in READS:
            ends = [t for tasks in arrived.values() for t in tasks]
        return (ends if len(ends) == 1 else [self.graph.add(ends)]), homes

    def _add_sums(
        self,
        op: Op,
        number: int,
        span: tuple[int, int],
        sums: int,
        size: int,
        homes: Spread,
        tasks: Sequence[int],
    ) -> int:
        """Add the addition of the partial sums of some outputs, at the host that keeps them."""
        technology = self.chosen[HOST]
        event = "add" if "add" in technology.events else "element"
        price = technology.event(event, 1, 1)
        found = []
        for kept, share in pieces(homes, span[0] / size, span[1] / size):
            node = self._worker(kept)
            numbers = (sums - 1) * share * size * op.batch
            joules = numbers * (price.energy_J or 0.0)
            if any(name == ADDS_ITSELF for name, _ in op.depths):
                joules = 0.0
            r = self.graph.resource(node, self._places(node))
            phase = Phase(
                numbers * (price.latency_s or 0.0), (r,), (r,), "add sums", ((r, joules),)
            )
            found.append(self.graph.add(tasks, (phase,), number, name=op.stage))
        return found[0] if len(found) == 1 else self.graph.add(found)

    def _block(
        self,
        op: Op,
        number: int,
        k: int,
        rows: float,
        x_from: Spread,
        y_from: Spread,
        gate: list[int],
    ) -> int:
        """Add what one block does: its inputs arrive, then its tile works."""
        plan, cut = self.plan, self.plan.cuts[op.device]
        block, node = plan.blocks[k], plan.nodes[k]
        kind = self.fabric.tiles[cut.kind]
        buffer: tuple[int, ...] = ()
        if kind.name not in self.fabric.hosts:
            buffer = (self.graph.resource(f"{node} buffer", kind.buffers),)
        number_B = self.fabric.bytes_per_number
        wanted: dict[str, float] = {}
        x = op.verb in ("MULTIPLY", "INTENSITY", "UPDATE")
        y = op.verb in ("TRANSPOSE", "UPDATE")
        for needed, source, span, size in (
            (x, x_from, block.inputs, cut.n_in),
            (y, y_from, block.outputs, cut.n_out),
        ):
            for host, share in pieces(source, span[0] / size, span[1] / size) if needed else ():
                wanted[host] = wanted.get(host, 0.0) + share * size * rows * number_B
        if op.verb == "PROGRAM":
            wanted[self.fabric.nearest_host(node, self.host_stem)] = block.cells * number_B
        phases: list[Phase] = []
        for host, size_B in wanted.items():
            if host != node:
                phases += self.carrier.hop(host, node, size_B, buffer if not phases else ())
        tile = self.graph.resource(node, kind.at_once)
        taken = buffer if not phases else ()
        phases += self._verb(
            op, number, block, rows, self.fabric.copy_of(node), tile, self._locks(k), taken, buffer
        )
        return self.graph.add(gate, phases, number, name=op.stage)

    def _locks(self, k: int) -> tuple[int, ...]:
        """Return what a block must hold so that no other block on its lines is read meanwhile."""
        plan, block = self.plan, self.plan.blocks[k]
        kind = self.fabric.tiles[plan.cuts[block.device].kind]
        if kind.at_once == 1 or kind.rows is None or plan.sharing != "lines":
            return ()
        found = []
        for other in self._on(plan.nodes[k]):
            if other != k and share_lines(plan, k, other):
                low, high = min(k, other), max(k, other)
                found.append(self.graph.resource(f"lines of blocks {low} and {high}"))
        return tuple(sorted(found))

    def _on(self, node: str) -> list[int]:
        if not self._by_node:
            for k, name in enumerate(self.plan.nodes):
                self._by_node.setdefault(name, []).append(k)
        return self._by_node[node]

    def _verb(
        self,
        op: Op,
        number: int,
        block: Block,
        rows: float,
        copy: str,
        tile: int,
        locks: tuple[int, ...],
        buffer: tuple[int, ...],
        held: tuple[int, ...],
    ) -> list[Phase]:
        """Return the phases of a verb on one tile: before a clock's ticks, reading, converting."""
        technology, device = self.chosen[op.device], self.ledger.devices[op.device]
        cut = self.plan.cuts[op.device]
        kind = self.fabric.tiles[cut.kind]
        share = rows / op.batch if op.batch else 1.0
        part = block.cells / (cut.n_out * cut.n_in)
        spent = part * (share if op.verb in READS else 1.0)
        time = share if device.kind in ANALOG else share * part
        clock = self.fabric.clock_of(kind.name)
        stretches, self.measured[number] = stretches_of(op, self.ledger, technology, kind, clock)
        phases: list[Phase] = []
        take: tuple[int, ...] = (*buffer, tile, *locks)
        for what, some, lasts_s, period_s in stretches:
            more: tuple[int, ...] = ()
            if what == "convert":
                name = f"{copy}{kind.name} converters"
                more = (self.graph.resource(name, kind.converters),)
            energy_J = self._energy(op, number, some) * spent
            shown = ((more or (tile,))[0], energy_J)
            phases.append(Phase(lasts_s * time, take + more, (), what, (shown,), period_s))
            take = ()
        free = [r for p in phases for r in p.take] + [r for r in held if r not in buffer]
        phases[-1] = phases[-1]._replace(free=tuple(free))
        return phases
