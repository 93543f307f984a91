"""What a name in an experiment file stands for: its settings, what each takes, and its sources."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.markup import escape
from rich.padding import Padding
from rich.table import Table as Drawn

from ..algorithms import LOSSES, OPTIMIZERS, RULES
from ..devices import CATALOGUE
from ..devices.technology import Technology, load, names
from ..devices.words import unknown
from .catalogue import catalogue_table, first_paragraph, shown, verbs
from .datasets import KNOWN
from .deployment import WAYS, DeployTable
from .experiment import TABLES
from .places import BadInput
from .tables import HIDDEN_TAKES, LAYERS, Table, fields_of, takes
from .units import si

SECTIONS: Mapping[str, type[Table]] = {
    **TABLES,
    "deploy": DeployTable,
    **LAYERS,
}


def everything() -> Drawn:
    """Return a table of all names that `explained` takes."""
    table = catalogue_table("What can be explained", "kind", "names")
    for kind, known in _KINDS.items():
        table.add_row(kind, ", ".join(known()))
    table.caption = "hwloop explain NAME says what it is, and what each of its settings takes"
    table.caption_justify = "left"
    return table


def explained(name: str) -> Iterator[Any]:
    """Yield what is to be printed of every thing of that name. Raises BadInput where none is."""
    found = [kind for kind, known in _KINDS.items() if name in known()]
    for kind in found:
        yield from _TOLD[kind](name)
    if found:
        return
    owners = {whose: cls for whose, cls in _owners() if name in _fields(cls).model_fields}
    if not owners:
        known = {one for names_of in _KINDS.values() for one in names_of()}
        settings = {key for _, cls in _owners() for key in _fields(cls).model_fields}
        raise BadInput(unknown("name", name, known | settings))
    drawn = catalogue_table("", "of", "takes", "default", "what it is")
    drawn.title = None
    for whose, cls in owners.items():
        drawn.add_row(whose, *_row(cls, name, _fields(cls).model_fields[name]))
    yield f"[bold]{escape(name)}[/bold], a setting"
    yield drawn


def _owners() -> Iterator[tuple[str, type[Any]]]:
    """Yield whatever has settings, with its name."""
    for known in (SECTIONS, RULES, OPTIMIZERS, CATALOGUE):
        yield from known.items()


def _fields(cls: Any) -> type[Table]:
    made: type[Table] = cls if issubclass(cls, Table) else fields_of(cls)
    return made


def _told(title: str, words: str) -> Iterator[Any]:
    yield f"[bold]{escape(title)}[/bold]"
    yield Padding(escape(words.strip()), (0, 0, 1, 2))


def _section(name: str) -> Iterator[Any]:
    cls = SECTIONS[name]
    title = "{ } in [network] hidden" if name in LAYERS else f"[{name}]"
    said = first_paragraph(cls).removeprefix(f"[{name}]: ")
    yield from _told(title, said[0].upper() + said[1:])
    yield _settings(cls, cls)
    if name == "deploy":
        yield f"  Also: {escape(_DEPLOY)}"


def _choice(name: str) -> Iterator[Any]:
    yield from _told(f"[{name}]", _CHOICES[name])


def _rule(name: str) -> Iterator[Any]:
    cls = RULES[name]
    yield from _told(f'[algorithm] rule = "{name}"', _head(cls))
    yield _settings(cls, fields_of(cls))


def _optimizer(name: str) -> Iterator[Any]:
    cls = OPTIMIZERS[name]
    yield from _told(f'[optimizer] kind = "{name}"', f"{first_paragraph(cls)}\n\n{_head(cls)}")
    yield _settings(cls, fields_of(cls))


def _loss(name: str) -> Iterator[Any]:
    yield from _told(f'[algorithm] loss = "{name}"', inspect.getdoc(LOSSES[name]) or "")


def _device(name: str) -> Iterator[Any]:
    cls = CATALOGUE[name]
    yield from _told(
        f'device = "{name}"', f"{inspect.getdoc(cls) or ''}\n\nIt can: {', '.join(verbs(cls))}."
    )
    yield _settings(cls, fields_of(cls), {"technology": cls.usual_technology, "part": ""})


def _technology(stem: str) -> Iterator[Any]:
    t = load(stem)
    yield from _told(f'technology = "{stem}"', f"{t.name}. {t.description}")
    table = catalogue_table("", "what", "value", "source")
    table.title = None
    for what, value, source in _numbers(t):
        table.add_row(what, value, escape(source))
    yield table


def _numbers(t: Technology) -> Iterator[tuple[str, str, str]]:
    yield "standing power", _quantity(t.idle_W, "W"), t.idle_source
    if t.area_m2 is not None:
        yield "area", _quantity(t.area_m2, "m2"), t.area_source
    for name, rows in t.events.items():
        for row in rows:
            prices = [_quantity(row.energy_J, "J"), _quantity(row.latency_s, "s")]
            if row.area_m2 is not None:
                prices.append(_quantity(row.area_m2, "m2"))
            yield f"event {name}", "\n".join(prices), row.source
    for name, constant in t.parameters.items():
        yield f"parameter {name}", _united(f"{constant.value:g}", constant.unit), constant.source
    for name, values in t.tables.items():
        listed = " ".join(f"{value:g}" for value in values.values)
        yield f"table {name}", _united(listed, values.unit), values.source
    if t.pulsing is not None:
        up, down = len(t.pulsing.up_S) - 1, len(t.pulsing.down_S) - 1
        yield "pulses", f"{up} up, {down} down", t.pulsing.source


def _data(name: str) -> Iterator[Any]:
    known = KNOWN[name]
    scale = f'Scaled as "{known.scale}" unless [data] scale says otherwise.'
    files = f"\nFiles: {', '.join(known.files)}" if known.files else ""
    yield from _told(
        f'[data] set = "{name}"',
        f"{known.source}\nLicence: {known.licence}\n{scale}{files}",
    )


def _settings(
    cls: type[Any], table: type[Table], usual: Mapping[str, str] | None = None
) -> Drawn | str:
    """Return a table of the settings: what each takes, its default, and what it is."""
    if not table.model_fields:
        return "  It has no settings."
    drawn = catalogue_table("", "setting", "takes", "default", "what it is")
    drawn.title = None
    for name, info in table.model_fields.items():
        drawn.add_row(name, *_row(cls, name, info, usual))
    return drawn


def _row(
    cls: type[Any], name: str, info: Any, usual: Mapping[str, str] | None = None
) -> tuple[str, str, str]:
    """Return what a setting takes, its default, and what it is."""
    default = "must be said"
    if not info.is_required():
        value = (usual or {}).get(name, info.get_default(call_default_factory=True))
        default = "not set" if value is None else shown(value)
    words = HIDDEN_TAKES if name == "hidden" else takes(info.annotation, info)
    return escape(words), escape(default), escape(meanings(cls)[name])


def meanings(cls: type[Any]) -> Mapping[str, str]:
    """Return what the text below each field of a class says of it, as one line."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith(__name__.partition(".")[0]):
            continue
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)
        for one, below in zip(tree.body, tree.body[1:], strict=False):
            if not isinstance(one, ast.AnnAssign) or not isinstance(one.target, ast.Name):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found[one.target.id] = " ".join(str(below.value.value).split())
    return found


def _head(cls: type[Any]) -> str:
    """Return what the file of a class says at its head."""
    return inspect.cleandoc(sys.modules[cls.__module__].__doc__ or "")


def _quantity(value: float | None, unit: str) -> str:
    return f"{unit}: unknown" if value is None else si(value, unit)


def _united(value: str, unit: str) -> str:
    return value if unit == "1" else f"{value} {unit}"


_DEPLOY = (
    "[deploy.weight] the chip's device and settings, times_s a list of seconds since the write, "
    f"compensation a list of {', '.join(WAYS)}, host the technology beside the chip."
)
_ROLE = "The device of %s: `device` and its settings; [%s/1] is that of layer 1 alone."
_CHOICES: Mapping[str, str] = {
    "algorithm": "`rule`, `loss`, and the settings of the rule; `hwloop algorithms` lists rules.",
    "optimizer": f"`kind` ({', '.join(OPTIMIZERS)}) and its settings.",
    "compare": "[compare.NAME] is an arm: what it changes of the file, trained beside it.",
    "weight": _ROLE % ("every layer's matrix", "weight"),
    "feedback": _ROLE % ("the random matrices that carry errors", "feedback"),
    "head": _ROLE % ("the small outputs that layers learn by", "head"),
    "direction": _ROLE % ("the random directions of forward gradients", "direction"),
    "projection": _ROLE % ("what an optimizer or [target] projects by", "projection"),
}

_KINDS: Mapping[str, Callable[[], list[str]]] = {
    "section of the file": lambda: list(SECTIONS),
    "section with a choice": lambda: list(_CHOICES),
    "rule": lambda: list(RULES),
    "loss": lambda: list(LOSSES),
    "optimizer": lambda: list(OPTIMIZERS),
    "device": lambda: list(CATALOGUE),
    "technology": lambda: list(names()),
    "data set": lambda: list(KNOWN),
}
_TOLD: Mapping[str, Callable[[str], Iterator[Any]]] = {
    "section of the file": _section,
    "section with a choice": _choice,
    "rule": _rule,
    "loss": _loss,
    "optimizer": _optimizer,
    "device": _device,
    "technology": _technology,
    "data set": _data,
}
