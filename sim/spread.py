"""Where the numbers of a row lie: shares of them at hosts, and what lies on the same lines."""

from __future__ import annotations

from ..mappings.siting import Floorplan

Spread = tuple[tuple[str, float, float], ...]
"""Where data lie: (host, from, to), as shares of one row's numbers."""


def pieces(spread: Spread, low: float, high: float) -> list[tuple[str, float]]:
    """Return (host, share of the whole) for what lies from `low` to `high`."""
    if len(spread) == 1:
        return [(spread[0][0], high - low)]
    found: dict[str, float] = {}
    for node, a, b in spread:
        both = min(b, high) - max(a, low)
        if both > 1e-12:
            found[node] = found.get(node, 0.0) + both
    return list(found.items())


def rows_of(rows: int, copies: int, copy: int) -> int:
    """Return how many of the rows one of the copies takes."""
    return rows // copies + (copy < rows % copies)


def share_lines(plan: Floorplan, k: int, other: int) -> bool:
    """Whether two blocks of one tile have rows or columns in common."""
    (r1, c1), (r2, c2) = plan.at[k], plan.at[other]
    a, b = plan.blocks[k], plan.blocks[other]
    rows = r1 < r2 + b.height and r2 < r1 + a.height
    columns = c1 < c2 + b.width and c2 < c1 + a.width
    return rows or columns
