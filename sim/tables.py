"""The tables of an experiment file: their keys, what each takes, and a sentence where it does not.

Pydantic checks them; the sentences are made here, so that they name what is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, create_model
from pydantic.fields import FieldInfo

from ..algorithms import Loss, Optimizer
from ..devices import Device
from ..devices.base import SET_BY_MAPPING
from ..devices.host import Activation
from ..devices.words import unknown
from ..mappings.network import Convolve, Recur
from ..mappings.recurrent import States
from .places import Path, Source, shown

Positive = Annotated[int, Field(ge=1, le=10**9)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Table(BaseModel):
    """A section of the file: unknown keys, wrong types, NaN and infinity are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class DataTable(Table):
    """[data]: which set, how much of it, and how it is scaled."""

    set: str = "digits"
    limit_train: Positive | None = None
    limit_test: Positive | None = None
    validation: Share = 0.0
    scale: Literal["unit", "standard", "minmax", "none"] | None = None
    path: str | None = None
    column: str | None = None
    download: bool = False


class ConvolutionTable(Table):
    """One convolution in [network] hidden."""

    channels: Positive
    kernel: Positive = 3
    stride: Positive = 1
    padding: Annotated[int, Field(ge=0, le=10**6)] = 0
    pool: Positive = 1


class RecurrentTable(Table):
    """One recurrent layer in [network] hidden."""

    recurrent: Positive
    """How many units."""
    steps: Annotated[int, Field(ge=2, le=10**6)]
    """How long a sequence is: a sample is so many times `width` numbers."""
    width: Positive | None = None
    """Numbers that each step brings; all that come, shared among the steps, if not said."""
    states: States = "last"
    """last: the state after the last step goes on. all: those after every step."""


TABLES: dict[str, type[Table]] = {"convolution": ConvolutionTable, "recurrent": RecurrentTable}
"""What stands in [network] hidden beside widths, by the tag of its kind."""


def _kind(item: Any) -> str:
    if isinstance(item, dict):
        own = RecurrentTable.model_fields.keys() - ConvolutionTable.model_fields.keys()
        return "recurrent" if own & item.keys() else "convolution"
    return next((tag for tag, table in TABLES.items() if isinstance(item, table)), "units")


Hidden = Annotated[
    Annotated[Positive, Tag("units")]
    | Annotated[ConvolutionTable, Tag("convolution")]
    | Annotated[RecurrentTable, Tag("recurrent")],
    Discriminator(_kind),
]


class NetworkTable(Table):
    """[network]: hidden layers, a width for a dense one, a table for any other."""

    hidden: list[Hidden] = [128, 128]
    activation: Activation = "tanh"

    def layers(self) -> list[int | Convolve | Recur]:
        """Return the hidden layers as the mappings take them."""
        return [
            h
            if isinstance(h, int)
            else (Convolve if isinstance(h, ConvolutionTable) else Recur)(**h.model_dump())
            for h in self.hidden
        ]


class TrainTable(Table):
    """[train]: how long, in what batches, at what schedule."""

    epochs: Positive = 20
    batch: Positive = 32
    sampling: Literal["shuffle", "poisson"] = "shuffle"
    """shuffle: every sample once an epoch. poisson: each joins a step independently."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the rate falls from its start to zero over the run."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better validation accuracy before the run stops; 0: never."""
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    """Threads that share a matrix product, on BLAS and on torch's CPU. The last bits of a result
    depend on it, so it is no property of the machine."""
    energy_meter: Literal["auto", "nvml", "rapl", "none"] = "auto"
    """What measures real joules while it trains: NVML's counter of the GPUs it runs on (auto), or
    RAPL's of this processor; see sim/power.py."""


class PrivacyTable(Table):
    """[privacy]: the delta of every statement; clip and noise_multiplier make training private."""

    delta: Annotated[float, Field(gt=0, lt=1)] = 1e-5
    noise_multiplier: Annotated[float, Field(ge=0)] = 0.0
    """Std of the noise on each layer's summed gradient over that layer's sensitivity; 0: training
    is not private, nothing is clipped or noised."""
    clip_error: Annotated[float, Field(gt=0)] = 1.0
    """Bound of the L2 norm of a sample's error at a hidden layer, after the measurement."""
    clip_input: Annotated[float, Field(gt=0)] = 10.0
    """Bound of the L2 norm of a sample's input to a layer, its 1 for the bias included."""


class HostTable(Table):
    """[host]: what prices the elementwise work."""

    technology: str = "nvidia_a100_fp32"


@cache
def fields_of(cls: type[Any]) -> type[Table]:
    """Return a table whose keys are the fields of a dataclass that a file may set."""
    hints = get_type_hints(cls, include_extras=True)
    settable: dict[str, Any] = {}
    for f in fields(cls):
        kept = f.name in SET_BY_MAPPING and issubclass(cls, Device)
        if kept or hints[f.name] in (Loss, Optimizer) or f.name in ("private", "aware"):
            continue
        default: Any = ... if f.default is MISSING else f.default
        if f.default_factory is not MISSING:
            default = Field(default_factory=f.default_factory)
        settable[f.name] = (hints[f.name], default)
    made: type[Table] = create_model(cls.__name__, __base__=Table, **settable)
    return made


def table_at(at: Source, path: Path, given: Any) -> Mapping[str, Any]:
    """Return what is given, which must be a table. Raises BadInput."""
    if not isinstance(given, dict):
        raise at.bad(path, f"{path[-1]} takes a table of keys and values, got {shown(given)}")
    return given


def validated(
    at: Source,
    path: Path,
    table: type[Table],
    given: Any,
    also: Sequence[str] = (),
    whose: str = "",
) -> Any:
    """Return the table that the values make.

    `also` are keys beside those of the table; `whose` says for what they are, as 'rule "dfa"'.
    Raises BadInput for the first that is wrong.
    """
    values = table_at(at, path, given)
    for key in values:
        if key not in table.model_fields:
            known = sorted([*table.model_fields, *also])
            said = unknown("key", key, known)
            if whose:
                said = said.replace(f'"{key}"', f'"{key}" for {whose}', 1)
            if (*path, *also[:1]) in at.settings:
                said += f" (--set '{path[-1]}={{{whose.replace(' ', '=')}}}' replaces the table)"
            raise at.bad((*path, key), said)
    try:
        return table.model_validate(values)
    except ValidationError as wrong:
        error = wrong.errors(include_url=False)[0]
        loc = tuple(error["loc"])
        raise at.bad((*path, str(loc[0])), _sentence(table, loc, error)) from None


def _sentence(table: type[Table], loc: tuple[str | int, ...], error: Any) -> str:
    name, inner = str(loc[0]), loc[1:]
    for k in (part for part in inner if isinstance(part, int)):
        name += f", layer {k + 1}"
    info = table.model_fields[str(loc[0])]
    takes = (
        "widths (whole numbers from 1), convolutions and recurrent layers, as [64], "
        "[{ channels = 8 }, 64] or [{ recurrent = 64, steps = 8 }]"
    )
    if str(loc[0]) == "hidden" and len(inner) > 2:  # (number of the layer, its kind, key)
        layer, key = TABLES[str(inner[1])], str(inner[2])
        if error["type"] == "extra_forbidden":
            return f"{name}: {unknown('key', key, layer.model_fields)}"
        info, name = layer.model_fields[key], f"{name}, {key}"
        takes = _takes(info.annotation, info)
    elif str(loc[0]) != "hidden":
        takes = _takes(info.annotation, info)
    if error["type"] == "missing":
        return f"{name} is missing; it takes {takes}"
    choices = _choices(info.annotation)
    if choices and isinstance(error["input"], str):
        return unknown(name, error["input"], choices)
    return f"{name} takes {takes}, got {shown(error['input'])}"


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return the words that a type takes, none where it is not of words."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    for part in get_args(annotation):
        if found := _choices(part):
            return found
    return ()


_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _takes(annotation: Any, info: FieldInfo | None = None) -> str:
    """Return what a type takes, in words with its bounds."""
    if get_origin(annotation) in (Union, UnionType):
        [*parts] = (a for a in get_args(annotation) if a is not NoneType)
        return " or ".join(_takes(part, info) for part in parts)
    bounds: list[Any] = list(info.metadata) if info is not None else []
    if get_origin(annotation) is Annotated:
        annotation, *more = get_args(annotation)
        for one in more:
            bounds += one.metadata if isinstance(one, FieldInfo) else [one]
    if get_origin(annotation) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(annotation))
    if get_origin(annotation) in (dict, list):
        [*_, inside] = get_args(annotation)
        what = "a table of names, each with" if get_origin(annotation) is dict else "a list, each"
        return f"{what} {_takes(inside)}"
    words = _WORDS.get(annotation, str(annotation))
    low = high = ""
    for bound in bounds:
        if isinstance(bound, (Ge, Gt)):
            low = f" from {bound.ge}" if isinstance(bound, Ge) else f" above {bound.gt}"
        elif isinstance(bound, (Le, Lt)):
            high = f"to {bound.le:,}" if isinstance(bound, Le) else f"below {bound.lt}"
    if low and high:
        joint = "to" if low.startswith(" from") or high.startswith("to") else "and"
        return f"{words}{low} {high if high.startswith('to') else f'{joint} {high}'}"
    return f"{words}{low} {high}".rstrip()
