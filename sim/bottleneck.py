"""What sets the pace of a step on a fabric, in words."""

from __future__ import annotations

from dataclasses import dataclass

from .expand import Expanded
from .fabric_time import StepTime, group_of
from .replay import Played
from .units import listed, percent, si


@dataclass(frozen=True)
class Stretch:
    """A part of the chain of tasks that ends last: where it is spent, doing what."""

    group: str
    """Kind of resource."""
    what: str
    """Verb, "move", or "queue"."""
    seconds: float


def last_chain(expanded: Expanded, played: Played) -> list[Stretch]:
    """Return where the time goes on the chain that ends last; the seconds add up to the makespan.

    From the task that ends last back to the one it waited for longest; what lies between the two
    is a queue, or a clock.
    """
    graph, fabric = played.graph, expanded.plan.fabric
    starts, stops = played.start_s[0], played.stop_s[0]
    first, count = [], 0
    for task in graph.tasks:
        first.append(count)
        count += len(task.phases)
    ends = [0.0] * len(graph.tasks)
    cause = [-1] * len(graph.tasks)
    for number, task in enumerate(graph.tasks):
        for earlier in task.before:
            if ends[earlier] >= ends[number]:
                ends[number], cause[number] = ends[earlier], earlier
        if task.phases:
            ends[number] = stops[first[number] + len(task.phases) - 1]
    found: dict[tuple[str, str], float] = {}
    number = max(range(len(ends)), key=lambda n: ends[n], default=-1)
    while number >= 0:
        task = graph.tasks[number]
        ready_s = ends[cause[number]] if cause[number] >= 0 else 0.0
        group = ""
        for k, phase in enumerate(task.phases):
            at = first[number] + k
            if phase.shown:
                group = group_of(graph.resources[phase.shown[0][0]], fabric)
            for what, seconds in (
                ("queue", starts[at] - ready_s),
                (phase.what, stops[at] - starts[at]),
            ):
                if seconds > 0:
                    found[group, what] = found.get((group, what), 0.0) + seconds
            ready_s = stops[at]
        number = cause[number]
    return sorted(
        (Stretch(group, what, seconds) for (group, what), seconds in found.items()),
        key=lambda s: -s.seconds,
    )


def bottleneck(timed: StepTime) -> str:
    """Return a sentence on what sets the pace of a step, alone or with others in flight."""
    made, played = timed.expanded, timed.played
    span_s = played.makespan_s
    if not span_s:
        return "Nothing in the step takes time."
    chain = last_chain(made, played)
    parts = [
        f"{_words(s)} {percent(s.seconds / span_s)}" for s in chain if s.seconds > 0.1 * span_s
    ]
    queued_s = sum(s.seconds for s in chain if s.what == "queue")
    text = f"Of the {si(span_s, 's')} from start to end, {listed(parts[:3])}"
    path_s = made.graph.critical_path_s()
    if queued_s < 0.01 * span_s:
        text += "; nothing queues, so only a shorter chain of operations would be faster."
    else:
        text += f"; without any queue it would be {si(path_s, 's')}."
    if timed.pipelined is None:
        return text
    used = timed.pipelined.used()
    resource = max(used, key=lambda name: used[name])
    return (
        f"With steps in flight one ends every {si(timed.steady_s, 's')}; {resource} is taken "
        f"{percent(used[resource])} of that time. {text}"
    )


def _words(s: Stretch) -> str:
    if s.what == "queue":
        return f"waiting for {s.group} is"
    if s.what == "arrive":
        return f"the latency of {s.group} is"
    if s.what == "move":
        return f"moving data over {s.group} is"
    return f"{s.what} on {s.group} is"
