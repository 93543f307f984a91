"""What a run promises about its data: the releases in its ledger, as statements for the report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..devices.release import Release
from .accounting import (
    Epsilon,
    Method,
    Sampled,
    calibrate,
    composed_epsilon,
    gaussian_epsilon,
    joint_multiplier,
    squared_mu,
)

__all__ = ["Statement", "calibrate", "odds", "statements"]

_NOTHING = 10.0
"""Above this epsilon even odds may become 99.995 %: the words say that it buys nothing."""

_NONE = Epsilon(math.inf, "none")

_BATCHES = {"poisson": "Poisson", "shuffle": "shuffled"}

_SECRET = {"label": "the label of a sample", "sample": "whether a sample took part"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One promise: nobody who sees all of `covers` learns more about `adjacency` than epsilon."""

    name: str
    adjacency: str
    """`sample`: one sample adds nothing instead of its part. `label`: one label is another one,
    while all inputs are public."""
    covers: tuple[str, ...]
    """The released parts that the promise is about, those of every step."""
    mechanism: str
    epsilon: float
    """Infinite where nothing is promised."""
    delta: float
    method: str
    """How epsilon was bounded: analytic, zCDP, PLD, RDP or none."""
    explanation: str
    """The same for people, in a few sentences."""


def odds(epsilon: float, delta: float) -> float:
    """Return how often an observer with even odds beforehand is right at most, from 1/2 to 1.

    (e^epsilon + delta) / (1 + e^epsilon) [Kairouz, Oh and Viswanath, 2015].
    """
    return (1.0 + delta * math.exp(-epsilon)) / (1.0 + math.exp(-epsilon))


def statements(
    releases: Mapping[tuple[Release, ...], int], delta: float = 1e-5, method: Method = "pld"
) -> list[Statement]:
    """Return what training steps promise together.

    `releases` gives for each set of things released together how many steps did so; an empty set
    stands for steps whose gradients went out without any noise on record, and voids the rest.
    An empty mapping says nothing at all: no step, no statement.

    Steps that protect samples give one statement. Steps that protect labels give one for the
    whole gradient, before it one for the noised parts alone where others went out bare, and
    after it one for samples, about which they promise nothing.

    Raises ValueError where delta is not in (0, 1), or where what was released in one step does
    not agree on what it protects and how the batch was drawn.
    """
    if not 0 < delta < 1:
        raise ValueError(f"delta takes a number in (0, 1), got {delta}")
    steps: dict[Release, int] = {}
    bare = 0
    for together, count in releases.items():
        if count and together:
            joined = _join(together)
            steps[joined] = steps.get(joined, 0) + count
        elif count:
            bare += count
    if not steps and not bare:
        return []
    if bare or len({release.protects for release in steps}) > 1:
        return [_void(steps, bare, delta)]
    if next(iter(steps)).protects == "sample":
        return [_sample(steps, delta, method)]
    return list(_label(steps, delta, method))


def _join(together: Sequence[Release]) -> Release:
    """Return one release for all that one step let out: its parts share the batch."""
    first = together[0]
    drawn = {(release.protects, release.sampling, release.rate) for release in together}
    if len(drawn) > 1:
        raise ValueError(
            f"releases of one step take one protects, sampling and rate, got {sorted(drawn)}"
        )
    noise = tuple(pair for release in together for pair in release.noise)
    notes = dict.fromkeys(release.note for release in together if release.note)
    return Release(first.protects, noise, first.sampling, first.rate, " ".join(notes))


def _sample(steps: Mapping[Release, int], delta: float, method: Method) -> Statement:
    covers, bare = _parts(steps), _bare(steps)
    epsilon = _epsilon(steps, covers, delta, method)
    if bare:
        text = _bareness(bare)
    else:
        text = (
            f"{_words('sample', epsilon.value, delta)} Every sample's part was clipped after the "
            "measurement and then noised; the noise of devices is not counted. Losses and "
            "accuracies on training data are not covered."
        )
    return _statement("sample, whole gradient", "sample", covers, steps, epsilon, delta, text)


def _label(steps: Mapping[Release, int], delta: float, method: Method) -> Iterator[Statement]:
    covers, bare = _parts(steps), _bare(steps)
    noised = tuple(name for name in covers if name not in bare)
    floor = "Only noise that does not depend on what is projected is counted."
    if bare and noised:
        epsilon = _epsilon(steps, noised, delta, method)
        text = f"Of {_listed(noised)} alone: {_words('label', epsilon.value, delta)} {floor}"
        name = f"label, {_listed(noised)} alone"
        yield _statement(name, "label", noised, steps, epsilon, delta, text)
    epsilon = _epsilon(steps, covers, delta, method)
    if bare:
        text = _bareness(bare)
        if "output" in bare:
            text += " The output layer's gradient never passes the feedback device."
    else:
        text = f"{_words('label', epsilon.value, delta)} {floor}"
    yield _statement("label, whole gradient", "label", covers, steps, epsilon, delta, text)
    text = (
        "No promise about inputs: noise on projected errors reaches the weights only along the "
        "inputs of the batch, and a new sample sticks out of their span. To protect whole "
        "samples, clip after the measurement and add noise in every direction."
    )
    yield _statement("sample, whole gradient", "sample", covers, steps, _NONE, delta, text)


def _void(steps: Mapping[Release, int], bare: int, delta: float) -> Statement:
    text = "No promise: some steps protect labels and some samples, and none protects both."
    if bare:
        text = f"No promise: {bare:,} training steps let gradients out with no noise on record."
    name = "sample, whole gradient"
    return _statement(name, "sample", _parts(steps), steps, _NONE, delta, text)


def _statement(
    name: str,
    adjacency: str,
    covers: tuple[str, ...],
    steps: Mapping[Release, int],
    epsilon: Epsilon,
    delta: float,
    text: str,
) -> Statement:
    notes = dict.fromkeys(r.note for r in steps if r.note and r.protects == adjacency)
    mechanism = "none"
    if epsilon.value < math.inf:
        drawn = _listed(sorted({_BATCHES[release.sampling] for release in steps}))
        mechanism = f"Gaussian noise on {_listed(covers)}; {drawn} batches"
    text = " ".join([text[0].upper() + text[1:], *notes])
    return Statement(name, adjacency, covers, mechanism, epsilon.value, delta, epsilon.method, text)


def _epsilon(
    steps: Mapping[Release, int], covers: tuple[str, ...], delta: float, method: Method
) -> Epsilon:
    """Compose the steps, of the parts that are named.

    Poisson batches amplify where samples are protected. Where labels are, the inputs are public
    and the rows of a gradient show who was in the batch: then nothing is amplified, and a sample
    counts as often as it can have been drawn, but for delta / 2.
    """
    passes: dict[float, list[tuple[float, int]]] = {}
    sampled: list[Sampled] = []
    drawn: list[Sampled] = []
    for release, count in steps.items():
        z = joint_multiplier(z for name, z in release.noise if name in covers)
        if release.sampling == "shuffle":
            passes.setdefault(release.rate, []).append((z, count))
        elif release.protects == "sample":
            sampled.append(Sampled(z, release.rate, count))
        else:
            drawn.append(Sampled(z, release.rate, count))
    squared = sum(_squared_mu_of_passes(rate, same) for rate, same in passes.items())
    chance = sum(g.rate < 1 for g in drawn)
    if chance:
        from scipy.stats import binom

        tail, delta = 0.5 * delta / chance, 0.5 * delta
        drawn = [g._replace(steps=int(binom.isf(tail, g.steps, g.rate))) for g in drawn]
    squared += sum(g.steps * squared_mu(g.multiplier) for g in drawn if g.steps)
    if not sampled:
        return gaussian_epsilon(math.sqrt(squared), delta)
    return composed_epsilon(sampled, delta, math.sqrt(squared), method)


def _squared_mu_of_passes(rate: float, groups: Iterable[tuple[float, int]]) -> float:
    """Return mu^2 of shuffled steps: a sample is in one step of each pass.

    The ledger keeps no order, so where steps differ in noise the least noised count first.
    """
    ordered = sorted(groups)
    uses = math.ceil(sum(count for _, count in ordered) * rate * (1 - 1e-9))
    squared = 0.0
    for z, count in ordered:
        taken = min(count, uses)
        squared += taken * squared_mu(z) if taken else 0.0
        uses -= taken
    return squared


def _parts(steps: Iterable[Release]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for release in steps for name in release.parts))


def _bare(steps: Iterable[Release]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for release in steps for name, z in release.noise if z == 0))


def _bareness(names: tuple[str, ...]) -> str:
    verb = "carries" if len(names) == 1 else "carry"
    return f"No promise: {_listed(names)} {verb} no noise that counts, so epsilon is infinite."


def _words(adjacency: str, epsilon: float, delta: float) -> str:
    secret = _SECRET[adjacency]
    if epsilon > _NOTHING:
        whose = "the noise of the device" if adjacency == "label" else "noise this small"
        return f"{whose} buys nothing: epsilon = {epsilon:.2g}, and {secret} is as good as known."
    right = 100.0 * odds(epsilon, delta)
    return (
        f"an observer of every step who gave even odds on {secret} is right at most "
        f"{right:.{1 if right < 99.9 else 3}f} % of the time (epsilon = {epsilon:.3g})."
    )


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
