"""Random streams: fixed by names, apart from one another."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from hwloop.devices import Seed


def test_a_stream_does_not_depend_on_what_ran_before():
    a = Seed(7).child("opu").rng(3).integers(2**32, size=8)
    Seed(7).child("other").rng(3).random(1000)
    b = Seed(7).child("opu").rng(3).integers(2**32, size=8)
    np.testing.assert_array_equal(a, b)


def test_it_is_the_same_in_another_process():
    code = (
        "from hwloop.devices import Seed; s = Seed(7).child('opu');"
        "print(s.rng(3).integers(2**32), s.key(3))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    seed = Seed(7).child("opu")
    assert said == [str(seed.rng(3).integers(2**32)), str(seed.key(3))]


def test_names_steps_and_entropy_each_give_another_stream():
    streams = [
        Seed(entropy).child(name).rng(step).random(2000)
        for entropy in (0, 1)
        for name in ("a", "b")
        for step in (0, 1)
    ]
    correlation = np.corrcoef(streams) - np.eye(len(streams))
    # Independent streams of 2000 correlate by less than five times 1 / sqrt(2000).
    assert abs(correlation).max() < 5 / np.sqrt(2000)
    keys = {int(Seed(e).child(n).key(s)) for e in (0, 1) for n in ("a", "b") for s in range(50)}
    assert len(keys) == 200


def test_a_path_is_not_its_joined_names():
    assert Seed(0).child("a").child("b").key() != Seed(0).child("ab").key()
    assert Seed(0).child("a").child("b").key() != Seed(0).child("a/b").key()


def test_draws_are_the_seed_at_a_step():
    draw = Seed(5).child("x").at(9)
    assert draw.key() == Seed(5).child("x").key(9)
    assert draw.rng().random() == Seed(5).child("x").rng(9).random()
