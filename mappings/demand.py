"""What an algorithm asks of the hardware."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from ..devices import Can


@dataclass(frozen=True)
class Demand:
    """One matrix (n_out, n_in) and what must be done with it."""

    name: str
    """Role and number, as in "weight/2"; the role alone where there is but one."""
    n_out: int
    n_in: int
    needs: Can
    spread: float
    """Std of the Gaussian entries that a programmable device starts from."""
    like: str = ""
    """The role whose device serves where none is named for this one."""

    @property
    def role(self) -> str:
        """The first word of the name."""
        return self.name.split("/")[0]

    def served_by(self, places: Container[str]) -> str | None:
        """Return which of `places` says what device serves: by name, by role, or by likeness."""
        return next((key for key in (self.name, self.role, self.like) if key in places), None)
