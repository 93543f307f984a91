"""The critical path of a graph of tasks: when each would end if no task ever had to queue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Doubles = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

TICK = 1e-9
"""Share of a period by which a task may miss a clock's tick and still take it: rounding."""


@njit(cache=True, error_model="numpy")
def critical_path(
    before_at: Indices,
    before: Indices,
    release_s: Doubles,
    phase_at: Indices,
    seconds: Doubles,
    period_s: Doubles,
    finish_s: Doubles,
) -> float:
    """Write the end of every task into finish_s (tasks,), in s, and return the largest.

    Tasks stand in topological order. Task t waits for before[before_at[t]:before_at[t + 1]] and
    for release_s[t], then goes through its phases phase_at[t]:phase_at[t + 1] one after another;
    a phase whose period_s is above 0 starts at the next multiple of it.
    """
    last = 0.0
    for t in range(len(release_s)):
        now = 0.0
        for k in range(before_at[t], before_at[t + 1]):
            now = max(now, finish_s[before[k]])
        if release_s[t] > now:
            now = now + (release_s[t] - now)
        for p in range(phase_at[t], phase_at[t + 1]):
            if period_s[p] > 0.0:
                tick = np.ceil(now / period_s[p] - TICK) * period_s[p]
                if tick > now:
                    now = now + (tick - now)
            now = now + seconds[p]
        finish_s[t] = now
        last = max(last, now)
    return last


def critical_path_reference(
    before_at: Indices,
    before: Indices,
    release_s: Doubles,
    phase_at: Indices,
    seconds: Doubles,
    period_s: Doubles,
    finish_s: Doubles,
) -> float:
    """Do what `critical_path` does, in numpy."""
    for t, release in enumerate(release_s):
        now = np.max(finish_s[before[before_at[t] : before_at[t + 1]]], initial=0.0)
        now = now + (release - now) if release > now else now
        for p in range(phase_at[t], phase_at[t + 1]):
            if period_s[p] > 0.0:
                tick = np.ceil(now / period_s[p] - TICK) * period_s[p]
                now = now + (tick - now) if tick > now else now
            now = now + seconds[p]
        finish_s[t] = now
    return float(np.max(finish_s, initial=0.0))
