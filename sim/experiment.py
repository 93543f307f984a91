"""An experiment: a TOML file read, checked whole, and turned into what it describes."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from ..algorithms import LOSSES, OPTIMIZERS, RULES, Algorithm, Loss, NoiseAware
from ..algorithms.target_codes import check_rule
from ..devices import CATALOGUE
from ..devices.technology import load as load_technology
from ..devices.words import unknown
from .deployment import Deployment, NoiseTable, aware_of, read_deploy
from .places import BadInput, Source, shown
from .settings import anchored, apply, inherited
from .tables import (
    DataTable,
    HostTable,
    NetworkTable,
    PrivacyTable,
    Table,
    TargetTable,
    TrainTable,
    fields_of,
    table_at,
    validated,
)
from .tables_fabric import FabricTable, check_fabric

__all__ = ["BadInput", "Experiment", "default_text", "parse", "read"]

ROLES = ("weight", "feedback", "head", "direction", "projection")
MAIN = "main"
"""What the arm is called that the file itself describes."""
TABLES: dict[str, type[Table]] = {
    "data": DataTable,
    "network": NetworkTable,
    "target": TargetTable,
    "train": TrainTable,
    "privacy": PrivacyTable,
    "noise": NoiseTable,
    "host": HostTable,
    "fabric": FabricTable,
}
_KEYS = ("name", "seed", *TABLES, "algorithm", "optimizer", "deploy", "compare")


@dataclass(frozen=True)
class Experiment:
    """A checked description of a run; everything that follows from the file and nothing else."""

    name: str
    seed: int
    data: DataTable
    network: NetworkTable
    algorithm: Algorithm
    target: TargetTable
    train: TrainTable
    privacy: PrivacyTable
    noise: NoiseTable
    host: HostTable
    fabric: FabricTable
    places: Mapping[str, Mapping[str, Any]]
    """Demand name or role -> {"device": ..., and the fields of that device}."""
    compare: Mapping[str, Experiment]
    deploy: Deployment | None
    """The chip that the trained network is put on; None: none."""
    raw: Mapping[str, Any]
    """The file as it was read, with what was set on the command line."""
    at: Source = field(default_factory=Source, repr=False, compare=False)
    """Where it was read, for sentences about what does not go together in it."""

    @property
    def digest(self) -> str:
        """A hash of everything that the run depends on."""
        text = json.dumps(self.raw, sort_keys=True)
        return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()


def default_text() -> str:
    """Return the experiment that `hwloop run` runs without a file."""
    return resources.files("hwloop.sim").joinpath("default.toml").read_text("utf-8")


def read(path: Path | None, settings: Sequence[str] = ()) -> Experiment:
    """Return the experiment of a TOML file, or the embedded one, with `key=value` settings.

    Paths in the file are relative to its folder, those in settings to the current one. Raises
    BadInput, with the place in the file, for whatever is wrong in it.
    """
    return parse(*read_tables(path, settings))


def read_tables(path: Path | None, settings: Sequence[str]) -> tuple[dict[str, Any], Source]:
    """Return the tables that `read` checks, and where they stand. Raises BadInput as it does."""
    if path is None:
        where, text = "the embedded experiment", default_text()
    else:
        where = str(path)
        try:
            text = path.read_text("utf-8-sig")
        except (OSError, ValueError) as wrong:
            reason = wrong.strerror if isinstance(wrong, OSError) else "it is not text in UTF-8"
            raise BadInput(f"{where} cannot be read: {reason}") from wrong
    try:
        raw = tomllib.loads(text)
    except ValueError as wrong:
        raise BadInput(f"{where} is not TOML: {wrong}") from wrong
    except RecursionError as wrong:
        raise BadInput(f"{where} is not TOML of a sane depth") from wrong
    if path is not None:
        raw.setdefault("name", path.stem)
    raw = anchored(raw, Path.cwd() if path is None else path.parent)
    settled = apply(raw, settings)
    if raw.get("compare") == {}:
        del raw["compare"]
    return raw, Source(where, text, settled)


def parse(raw: Mapping[str, Any], at: Source | None = None) -> Experiment:
    """Return the experiment that plain data describe. Raises BadInput as `read` does."""
    at = at or Source()
    arm = bool(at.above)
    raw = {"name": "run", **raw}  # kept with the run, whatever its file is called there
    known = [key for key in _KEYS if not (arm and key in ("name", "compare"))]
    places = {}
    for key, value in raw.items():
        role, numbered, _ = key.partition("/")
        if role in ROLES:
            if numbered and not key.removeprefix(f"{role}/").isdigit():
                raise at.bad((key,), f"{shown(key)} is no place; there is {role}, {role}/1, ...")
            places[key] = _place(at, (key,), value)
        elif key in ("sweep", "search") and not arm:
            raise at.bad((key,), f"[{key}] is what hwloop sweep does, not hwloop run")
        elif key not in known and not (arm and key == "name"):
            raise at.bad((key,), unknown("key", key, [*known, *ROLES]))
    name, seed = raw["name"], raw.get("seed", 0)
    if not isinstance(name, str) or not name.strip():
        raise at.bad(("name",), f"name takes a text, got {shown(name)}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise at.bad(("seed",), f"seed takes a whole number from 0 to 2^63 - 1, got {shown(seed)}")
    made: dict[str, Any] = {
        key: validated(at, (key,), table, raw.get(key, {})) for key, table in TABLES.items()
    }
    _check_technology(at, ("host",), made["host"].technology)
    check_fabric(at, made["fabric"])
    deploy = read_deploy(at, raw.get("deploy"), _place)
    aware = aware_of(at, made["noise"], deploy, places)
    return Experiment(
        name=name,
        seed=seed,
        algorithm=_algorithm(at, raw, made["privacy"], aware, made["target"]),
        places=places,
        deploy=deploy,
        compare={} if arm else _compare(at, raw),
        raw=raw,
        at=at,
        **made,
    )


def _compare(at: Source, raw: Mapping[str, Any]) -> dict[str, Experiment]:
    arms = {}
    for name, changes in table_at(at, ("compare",), raw.get("compare", {})).items():
        path = ("compare", name)
        plain = name.replace("_", "").replace("-", "")
        if not plain.isalnum() or not plain.isascii() or len(name) > 60 or name == MAIN:
            raise at.bad(
                path,
                f"{shown(name)} names no arm: it takes up to 60 letters, digits, - and _, and "
                f'not "{MAIN}", which is the file itself',
            )
        arm = at.under(*path)
        for key in table_at(at, path, changes):
            if key in ("name", "compare"):
                keys = [k for k in (*_KEYS, *ROLES) if k not in ("name", "compare")]
                raise arm.bad((key,), unknown("key", key, keys))
        arms[name] = parse(inherited(raw, changes, ROLES), arm)
    return arms


def _algorithm(
    at: Source,
    raw: Mapping[str, Any],
    privacy: PrivacyTable,
    aware: NoiseAware | None,
    target: TargetTable,
) -> Algorithm:
    coded = target.codes != "one_hot"
    if coded != (target.dimensions is not None):
        said = (
            f'dimensions is missing: codes "{target.codes}" take a whole number of them from 1'
            if coded
            else 'dimensions are those of codes "random" or "eigen": say which, or leave them out'
        )
        raise at.bad(("target", "codes" if coded else "dimensions"), said)
    optimizer = _built(at, "optimizer", raw.get("optimizer", {}), "kind", OPTIMIZERS, "sgd")
    given = dict(table_at(at, ("algorithm",), raw.get("algorithm", {})))
    loss_name = given.pop("loss", "mean_square" if coded else "cross_entropy")
    if not isinstance(loss_name, str) or loss_name not in LOSSES:
        said = unknown("loss", str(loss_name), LOSSES)
        raise at.bad(("algorithm", "loss"), said)
    loss: Loss = LOSSES[loss_name]()
    more: dict[str, Any] = {"loss": loss, "optimizer": optimizer, "aware": aware}
    if privacy.noise_multiplier > 0:
        from ..algorithms.private import Private

        more["private"] = Private(privacy.noise_multiplier, privacy.clip_error, privacy.clip_input)
    made: Algorithm = _built(
        at, "algorithm", given, "rule", RULES, "ternary_dfa", more, also=("loss",)
    )
    if coded:
        try:
            check_rule(made)
        except ValueError as wrong:
            raise at.bad(("algorithm", str(wrong).split()[0]), str(wrong)) from wrong
    return made


def _place(at: Source, path: tuple[str, ...], given: Any) -> dict[str, Any]:
    values = dict(table_at(at, path, given))
    device = values.pop("device", None)
    if device is None:
        whose = f"[{path[0]}]" if len(path) == 1 else f"{path[-1]}:"
        said = f"{whose} device is missing; there is: {', '.join(CATALOGUE)}"
        raise at.bad(path, said)
    if not isinstance(device, str) or device not in CATALOGUE:
        raise at.bad((*path, "device"), unknown("device", str(device), CATALOGUE))
    checked = validated(
        at, path, fields_of(CATALOGUE[device]), values, ("device",), f'device "{device}"'
    )
    result = checked.model_dump(exclude_unset=True)
    if isinstance(inside := result.get("of"), Mapping):
        result["of"] = _place(at, (*path, "of"), inside)
    if "technology" in result:
        _check_technology(at, path, result["technology"])
    return {"device": device, **result}


def _check_technology(at: Source, path: tuple[str, ...], name: str) -> None:
    try:
        load_technology(name)
    except (ValueError, OSError) as wrong:
        raise at.bad((*path, "technology"), str(wrong)) from wrong


def _built(
    at: Source,
    table: str,
    given: Any,
    choice: str,
    catalogue: Mapping[str, type[Any]],
    usual: str,
    more: Mapping[str, Any] | None = None,
    also: Sequence[str] = (),
) -> Any:
    """Return the object of a catalogue that a table names by its key `choice`."""
    values = dict(table_at(at, (table,), given))
    name = values.pop(choice, usual)
    if not isinstance(name, str) or name not in catalogue:
        raise at.bad((table, choice), unknown(choice, str(name), catalogue))
    cls: Any = catalogue[name]
    checked = validated(at, (table,), fields_of(cls), values, (choice, *also), f'{choice} "{name}"')
    inside = values.get("of")
    inside = inside if isinstance(inside, dict) else {}
    if inside and isinstance(kind := inside.get(choice, usual), str) and kind in catalogue:
        inner: Any = catalogue[kind]
        own, whose = {k: v for k, v in inside.items() if k != choice}, f'{choice} "{kind}"'
        validated(at, (table, "of"), fields_of(inner), own, (choice,), whose)
    try:
        return cls(**checked.model_dump(exclude_unset=True), **(more or {}))
    except ValueError as wrong:
        key = str(wrong).split()[0]
        path = (table, key) if key in values else (table, choice)
        raise at.bad(path, str(wrong)) from wrong
