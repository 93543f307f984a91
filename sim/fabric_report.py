"""A step on a fabric as plain data for a report: floorplan, use, slices, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..devices.ledger import Ledger, Step
from .bottleneck import bottleneck
from .fabric_time import FabricTime, StepTime, group_of, links_of, nodes_by_kind, standing_by_kind
from .pricing import Bill

MOST_TILES = 256
"""Tiles that a report draws."""
MOST_SLICES = 50_000
"""Phases that a report keeps for its trace."""
MOST_ROWS = 24
"""Rows of a chart; where there are more resources, those of a kind share one."""


def fabric_part(timed: FabricTime, rows: list[Bill]) -> dict[str, Any]:
    """Return what a report says of an arm's usual step on its fabric."""
    plan, step, one = timed.plan, timed.shown, timed.steps[timed.shown]
    fabric = plan.fabric
    used = one.pipelined or one.played
    shares = used.used()
    steady_s = one.steady_s
    events_J = one.expanded.graph.energy_J
    standing_J = sum(standing_by_kind(one.expanded).values()) * steady_s
    total_J = events_J + standing_J
    return {
        "stem": fabric.stem,
        "name": fabric.name,
        "description": fabric.description,
        "strategy": plan.strategy,
        "sharing": plan.sharing,
        "notes": list(plan.notes),
        "step": step.kind,
        "samples": step.samples,
        "makespan_s": one.makespan_s,
        "critical_path_s": one.expanded.graph.critical_path_s(),
        "in_flight": timed.in_flight if one.pipelined else 1,
        "steady_s": steady_s,
        "samples_per_s": step.samples / steady_s if steady_s else None,
        "bottleneck": bottleneck(one),
        "placement": _placement(timed),
        "tiles": _tiles(timed),
        "nodes": nodes_by_kind(one.expanded),
        "standing_W": standing_by_kind(one.expanded),
        "used": [
            {
                "resource": name,
                "group": group_of(name, fabric),
                "share": share,
                "wait_s": used.wait_s[k],
                "asked": used.asked[k],
            }
            for k, (name, share) in enumerate(shares.items())
            if used.asked[k]
            and not name.startswith("lines of")
            and (used.wait_s[k] or not name.endswith(" buffer"))
        ],
        "energy": {
            "events_J": events_J,
            "standing_J": standing_J,
            "total_J": total_J,
            "edp_Js": total_J * steady_s,
            "unmetered": list(one.expanded.unmetered),
        },
        "moved_B": _moved(one),
        "rows": [asdict(r) for r in rows if r.kind == step.kind],
        "links": [
            {
                "link": f"{link.a}>{link.b}",
                "shape": link.shape,
                "bandwidth_Bps": link.bandwidth_Bps,
                "latency_s": link.latency_s,
                "energy_J_per_B": link.energy_J_per_B,
                "source": link.source,
            }
            for link in dict.fromkeys(links_of(fabric).values())
        ],
        "slices": _slices(one),
    }


def _placement(timed: FabricTime) -> list[dict[str, Any]]:
    plan = timed.plan
    found = []
    for name, cut in plan.cuts.items():
        mine = plan.of(name)
        nodes = list(dict.fromkeys(plan.nodes[k] for k in mine))
        found.append(
            {
                "device": name,
                "n_out": cut.n_out,
                "n_in": cut.n_in,
                "kind": cut.kind,
                "down": cut.down,
                "across": cut.across,
                "copies": plan.copies[name],
                "blocks": len(mine),
                "nodes": nodes,
            }
        )
    return found


def _tiles(timed: FabricTime) -> list[dict[str, Any]]:
    """Return the tiles that are in use, each with its blocks, and the empty ones beside them."""
    plan = timed.plan
    found = []
    for kind in plan.fabric.tiles.values():
        on: dict[str, list[int]] = {}
        for k, node in enumerate(plan.nodes):
            if plan.cuts[plan.blocks[k].device].kind == kind.name:
                on.setdefault(node, []).append(k)
        for node in plan.fabric.nodes(kind.name)[:MOST_TILES]:
            found.append(
                {
                    "node": node,
                    "kind": kind.name,
                    "rows": kind.rows,
                    "columns": kind.columns,
                    "blocks": [
                        {
                            "device": plan.blocks[k].device,
                            "name": plan.blocks[k].name,
                            "row": plan.at[k][0],
                            "column": plan.at[k][1],
                            "height": plan.blocks[k].height,
                            "width": plan.blocks[k].width,
                        }
                        for k in on.get(node, [])
                    ],
                }
            )
    return found


def _moved(one: StepTime) -> dict[str, float]:
    fabric = one.expanded.plan.fabric
    found: dict[str, float] = {}
    for name, size_B in one.expanded.moved_B.items():
        group = group_of(name, fabric)
        found[group] = found.get(group, 0.0) + size_B
    return found


def _slices(one: StepTime) -> list[dict[str, Any]]:
    """Return every phase of the step where it shows, with its joules and bytes."""
    graph, played, ops = one.played.graph, one.played, one.expanded.step.ops
    found: list[dict[str, Any]] = []
    at = 0
    for number, task in enumerate(graph.tasks):
        for phase in task.phases:
            start_s, stop_s = played.start_s[0][at], played.stop_s[0][at]
            at += 1
            for resource, joules in phase.shown:
                if len(found) == MOST_SLICES:
                    return found
                op = ops[task.op]
                found.append(
                    {
                        "resource": graph.resources[resource],
                        "task": number,
                        "device": op.device,
                        "verb": op.verb,
                        "stage": op.stage,
                        "what": phase.what,
                        "start_s": start_s,
                        "stop_s": stop_s,
                        "energy_J": joules,
                        "size_B": phase.size_B,
                        "measured": one.expanded.measured[task.op],
                    }
                )
    return found


def chart(fabric: Mapping[str, Any], step: Step, times: int) -> dict[str, Any]:
    """Return an arm's timeline, as a report draws and judges it, from its slices on a fabric.

    A row is a resource, or where these are many a kind of resource, and a slice then reaches from
    the first start to the last stop of what a stage does there.
    """
    slices = fabric["slices"]
    groups = {u["resource"]: u["group"] for u in fabric["used"]}
    order = list(dict.fromkeys(s["resource"] for s in slices))
    kinds: dict[str, list[str]] = {}
    for name in order:
        kinds.setdefault(groups.get(name, name), []).append(name)
    rows = {name: name for name in order}
    for kind, names in sorted(kinds.items(), key=lambda p: (">" not in p[0], -len(p[1]))):
        if len(set(rows.values())) <= MOST_ROWS:
            break
        for name in names if len(names) > 1 else ():
            rows[name] = f"{kind} ({len(names)})"
    merged: dict[tuple[str, ...], dict[str, Any]] = {}
    for s in slices:
        row = rows[s["resource"]]
        verb = s["verb"] if s["what"] not in ("move", "add sums") else s["what"]
        key = (row, s["device"], verb, s["stage"], "" if row != s["resource"] else str(s["task"]))
        had = merged.setdefault(
            key,
            {
                "part": row,
                "device": s["device"],
                "verb": verb,
                "stage": s["stage"],
                "start_s": s["start_s"],
                "stop_s": s["stop_s"],
                "measured": s["measured"],
            },
        )
        had["start_s"] = min(had["start_s"], s["start_s"])
        had["stop_s"] = max(had["stop_s"], s["stop_s"])
    busiest = max(fabric["used"], key=lambda u: u["share"], default=None)
    return {
        "samples": step.samples,
        "times": times,
        "makespan_s": fabric["makespan_s"],
        "bottleneck": "" if busiest is None else rows.get(busiest["resource"], ""),
        "slices": list(merged.values()),
        "after": {stage: list(earlier) for stage, earlier in step.after},
    }


def busy_s(timed: FabricTime, ledger: Ledger, kind: str = "train") -> dict[str, float]:
    """Return how long each kind of node works in all steps of a kind, by node and summed over it.

    A part's standing power is drawn for as long as the steps take, so this is over its nodes.
    """
    found: dict[str, float] = {}
    for step, one in timed.steps.items():
        if step.kind != kind:
            continue
        nodes = nodes_by_kind(one.expanded)
        for name, share in one.played.used().items():
            group = group_of(name, timed.plan.fabric)
            if group in nodes:
                spent_s = ledger.steps[step].times * share * one.makespan_s / nodes[group]
                found[group] = found.get(group, 0.0) + spent_s
    return found
