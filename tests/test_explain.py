"""`hwloop explain`: every name, every setting, and the sources of every number."""

import pytest
from typer.testing import CliRunner

from hwloop.algorithms import LOSSES, OPTIMIZERS, RULES
from hwloop.devices import CATALOGUE
from hwloop.devices.technology import load, names
from hwloop.sim.cli import app
from hwloop.sim.datasets import KNOWN
from hwloop.sim.explain import SECTIONS, explained, meanings
from hwloop.sim.places import BadInput
from hwloop.sim.tables import fields_of

SETTABLE = {**RULES, **OPTIMIZERS, **CATALOGUE}


def printed(*names: str) -> str:
    result = CliRunner().invoke(app, ["explain", *names])
    assert result.exit_code == 0
    return " ".join(result.output.split())


@pytest.mark.parametrize("name", [*SETTABLE, *SECTIONS])
def test_every_setting_says_what_it_is_and_what_it_takes(name):
    """A setting without a text below it fails here."""
    cls = SETTABLE.get(name)
    table = SECTIONS[name] if cls is None else fields_of(cls)
    said = meanings(table if cls is None else cls)
    assert not [key for key in table.model_fields if not said.get(key)]
    text = printed(name)
    assert all(key in text for key in table.model_fields)
    for raw in ("typing.", "FieldInfo", "<class", "annotation="):
        assert raw not in text


@pytest.mark.parametrize("stem", names())
def test_every_number_of_a_technology_has_its_source(stem):
    text, technology = printed(stem), load(stem)
    for known in (*technology.events, *technology.parameters, *technology.tables):
        assert known in text
    assert technology.idle_source.split()[0] in text


def test_the_overview_names_everything_once():
    text = printed()
    for name in (*SETTABLE, *LOSSES, *SECTIONS, *names(), *KNOWN):
        assert name in text
    assert "NeurIPS 2016" in printed("dfa")
    assert "CC BY-SA" in printed("mnist")


def test_a_name_of_two_things_explains_both():
    text = printed("ideal")
    assert 'device = "ideal"' in text
    assert 'technology = "ideal"' in text


def test_a_setting_is_found_by_its_own_name():
    text = printed("temperature_K")
    assert "crossbar" in text
    assert "kelvin" in text or "Temperature" in text
    assert "feedback" not in text
    for choice in ("weight", "feedback", "algorithm", "optimizer"):
        assert f"[{choice}]" in printed(choice)


def test_an_unknown_name_is_one_sentence_with_the_nearest():
    with pytest.raises(BadInput, match='unknown name "crossbr"; did you mean "crossbar"'):
        list(explained("crossbr"))
