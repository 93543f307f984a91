"""How heat hastens the ageing of cells: for how long a time at one temperature counts at another.

With one activation energy E a time counts exp(E / k (1 / T0 - 1 / T)) times, by Arrhenius: charge
that leaves its traps. Amorphous matter relaxes over barriers of every height, each at the rate
exp(-E / k T) / tau, so that after a time t at T all below k T ln(t / tau) are done with [Ielmini,
Lavizzari, Sharma and Lacaita, "Temperature acceleration of structural relaxation in amorphous
Ge2Sb2Te5", Applied Physics Letters 92 (2008), doi 10.1063/1.2930680]. What has relaxed to the same
height is the same, and T ln(t / tau) says how far that is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .technology import Technology

BOLTZMANN_J_K = 1.380649e-23
BOLTZMANN_eV_K = 8.617333262e-5


@dataclass(frozen=True)
class Clock:
    """The law by which the cells of a technology age at another temperature than its own."""

    own_K: float
    """At which ageing was measured."""
    activation_eV: float | None
    """Of all cells alike; None: no such law."""
    attempt_s: float | None
    """Tau, between two attempts at a barrier, where there are barriers of every height; or None."""
    least_K: float
    most_K: float
    """Between which temperatures the law was measured."""

    @classmethod
    def of(cls, technology: Technology) -> Clock | None:
        """Return what a technology file states, None without the temperature of its ageing.

        Raises ValueError for two laws, and for numbers that make none.
        """
        given = {
            word: technology.parameter(f"ageing_{word}")
            for word in ("temperature", "activation_energy", "attempt_time", "least", "most")
            if f"ageing_{word}" in technology.parameters
        }
        if "temperature" not in given:
            return None
        if any(number <= 0 for number in given.values()):
            raise ValueError(
                f"technology {technology.stem}: the parameters ageing_... take numbers above 0"
            )
        energy, attempt = given.get("activation_energy"), given.get("attempt_time")
        if energy is not None and attempt is not None:
            raise ValueError(
                f"technology {technology.stem}: ageing_activation_energy and ageing_attempt_time "
                "are two laws, and cells age by one"
            )
        least, most = given.get("least", 0.0), given.get("most", math.inf)
        return cls(given["temperature"], energy, attempt, least, most)

    def check(self, name: str, stem: str, temperature_K: float) -> None:
        """Raise ValueError where the law says nothing about a temperature."""
        if temperature_K == self.own_K:
            return
        if self.activation_eV is None and self.attempt_s is None:
            raise ValueError(
                f"{name}: technology {stem} states no law by which heat hastens the ageing of its "
                f"cells, so temperature_K takes 0 or {self.own_K:g}, got {temperature_K:g}"
            )
        if not self.least_K <= temperature_K <= self.most_K:
            raise ValueError(
                f"{name}: temperature_K takes 0 or {self.least_K:g} to {self.most_K:g}, for which "
                f"the law of ageing of technology {stem} holds, got {temperature_K:g}"
            )

    def after(self, age_s: float, wait_s: float, temperature_K: float, written_s: float) -> float:
        """Return the age at the own temperature that is worth `age_s` there and a wait elsewhere.

        Ages count from `written_s` after the write. A temperature of 0 is the own one.
        """
        if not temperature_K or temperature_K == self.own_K:
            return age_s + wait_s
        if self.activation_eV is not None:
            colder = 1 / self.own_K - 1 / temperature_K
            return age_s + wait_s * math.exp(self.activation_eV / BOLTZMANN_eV_K * colder)
        assert self.attempt_s is not None  # `check` has seen to it
        warmer = temperature_K / self.own_K
        reached = math.log((age_s + written_s) / self.attempt_s) / warmer
        attempts = math.exp(reached) + wait_s / self.attempt_s
        return self.attempt_s * math.pow(attempts, warmer) - written_s
