"""Sentences for wrong names: what was given, what there is, and the nearest right one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONG = 240
"""Characters beyond which a list is left out where a nearest name is known."""


def unknown(what: str, got: str, options: Iterable[str]) -> str:
    """Return 'unknown WHAT "got"; did you mean "..."? There is: ...', a long list left out.

    >>> unknown("device", "opus", ["ideal", "opu"])
    'unknown device "opus"; did you mean "opu"? There is: ideal, opu'
    """
    names = sorted(options)
    near = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f'; did you mean "{near[0]}"?' if near else ";"
    listed = ", ".join(names) if names else "none"
    if near and len(listed) > LONG:
        return f'unknown {what} "{got}"{hint}'
    return f'unknown {what} "{got}"{hint} There is: {listed}'.replace("; There", "; there")
