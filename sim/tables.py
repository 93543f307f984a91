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
from ..devices.norms import Norm
from ..devices.words import unknown
from ..mappings.layers import Pooling
from ..mappings.network import Connect, Convolve, Recur
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
    """A known set, or csv or npz for files of your own."""
    limit_train: Positive | None = None
    """Most training samples, as many of each class as its share; None: all."""
    limit_test: Positive | None = None
    """Most test samples, as many of each class as its share; None: all."""
    validation: Share = 0.0
    """Share of the training samples kept apart, for patience and for choosing."""
    scale: Literal["unit", "standard", "minmax", "none"] | None = None
    """unit: over the largest number there can be. standard: mean 0, std 1. minmax: from 0 to 1.
    None: what suits the set."""
    path: str | None = None
    """Where the files are; None: HWLOOP_DATA_DIR, or what was downloaded."""
    column: str | None = None
    """Column of a CSV file that holds the class; None: the last."""
    download: bool = False
    """Whether a known set that is not there is fetched, and checked against its hash."""


class ConnectionTable(Table):
    """One dense layer in [network] hidden, or graph layer, that has a norm of its own."""

    width: Positive
    """Units of the layer."""
    norm: Norm | None = None
    """Of each unit over the batch, or of each sample over the units; None: that of [network]."""

    def made(self) -> Connect:
        """Return the layer as the mappings take it."""
        return Connect(**self.model_dump())


class ConvolutionTable(Table):
    """One convolution in [network] hidden."""

    channels: Positive
    """Channels of the image that it makes."""
    kernel: Positive = 3
    """Side of the window, in pixels."""
    stride: Positive = 1
    """Pixels from one window to the next."""
    padding: Annotated[int, Field(ge=0, le=10**6)] = 0
    """Zeros around the image, on each side."""
    pool: Positive = 1
    """Side of the windows that the image is pooled over; 1: every pixel goes on."""
    pooling: Pooling = "average"
    """What a window leaves: the mean of its pixels, or the largest."""
    norm: Norm | None = None
    """Of each channel, over the batch or over the image; None: that of [network]."""

    def made(self) -> Convolve:
        """Return the layer as the mappings take it."""
        return Convolve(**self.model_dump())


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

    def made(self) -> Recur:
        """Return the layer as the mappings take it."""
        return Recur(**self.model_dump())


LAYERS: dict[str, type[Table]] = {
    "connection": ConnectionTable,
    "convolution": ConvolutionTable,
    "recurrent": RecurrentTable,
}
"""What stands in [network] hidden beside widths, by the tag of its kind."""


def _kind(item: Any) -> str:
    if isinstance(item, dict):
        if item.keys() & (RecurrentTable.model_fields.keys() - {"width"}):
            return "recurrent"
        return "connection" if "width" in item else "convolution"
    return next((tag for tag, table in LAYERS.items() if isinstance(item, table)), "number")


Hidden = Annotated[
    Annotated[Positive, Tag("number")]
    | Annotated[ConnectionTable, Tag("connection")]
    | Annotated[ConvolutionTable, Tag("convolution")]
    | Annotated[RecurrentTable, Tag("recurrent")],
    Discriminator(_kind),
]


class NetworkTable(Table):
    """[network]: hidden layers, a width for a dense one, a table for any other."""

    hidden: list[Hidden] = [128, 128]
    """Dense layers by their width, others by tables: `hwloop explain connection`, ..."""
    activation: Activation = "tanh"
    """Of every hidden unit; the output has none."""
    norm: Norm = "none"
    """That of every hidden layer which names none and is not recurrent."""

    def layers(self) -> list[int | Connect | Convolve | Recur]:
        """Return the hidden layers as the mappings take them."""
        return [h if isinstance(h, int) else h.made() for h in self.hidden]


class TargetTable(Table):
    """[target]: what stands for a class at the output; see algorithms/target_codes.py."""

    codes: Literal["one_hot", "random", "eigen"] = "one_hot"
    """random: one-hot labels projected at random. eigen: by the similarity of the classes."""
    dimensions: Positive | None = None
    """Numbers in a code: the width of the output, and of its error."""


class TrainTable(Table):
    """[train]: how long, in what batches, at what schedule."""

    epochs: Positive = 20
    """Passes over the training samples."""
    batch: Positive = 32
    """Samples of a step."""
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
    """The delta at which every epsilon is said."""
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
    """One of `hwloop devices`, or the path of a TOML file."""


HIDDEN_TAKES = (
    "widths (whole numbers from 1) and tables, as [64], [{ channels = 8 }, { width = 64 }] or "
    "[{ recurrent = 64, steps = 8 }]"
)


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
    wanted = HIDDEN_TAKES
    if str(loc[0]) == "hidden" and len(inner) > 2:  # (number of the layer, its kind, key)
        layer, key = LAYERS[str(inner[1])], str(inner[2])
        if error["type"] == "extra_forbidden":
            return f"{name}: {unknown('key', key, layer.model_fields)}"
        info, name = layer.model_fields[key], f"{name}, {key}"
        wanted = takes(info.annotation, info)
    elif str(loc[0]) != "hidden":
        wanted = takes(info.annotation, info)
    if error["type"] == "missing":
        return f"{name} is missing; it takes {wanted}"
    choices = _choices(info.annotation)
    if choices and isinstance(error["input"], str):
        return unknown(name, error["input"], choices)
    return f"{name} takes {wanted}, got {shown(error['input'])}"


def _choices(annotation: Any) -> tuple[str, ...]:
    """Return the words that a type takes, none where it is not of words."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    for part in get_args(annotation):
        if found := _choices(part):
            return found
    return ()


_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def takes(annotation: Any, info: FieldInfo | None = None) -> str:
    """Return what a type takes, in words with its bounds."""
    if get_origin(annotation) in (Union, UnionType):
        [*parts] = (a for a in get_args(annotation) if a is not NoneType)
        return " or ".join(takes(part, info) for part in parts)
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
        return f"{what} {takes(inside)}"
    if (get_origin(annotation) or annotation) is Mapping:
        return "a table"
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
