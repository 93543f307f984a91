"""The real engine through PyTorch, in every number format, on the processor."""

from __future__ import annotations

import numpy as np
import pytest

from hwloop.devices import Can, Seed, TorchMatrix
from hwloop.devices.rounding import quantise
from hwloop.devices.torch_matrix import CudaClock

torch = pytest.importorskip("torch")

DTYPES = {"float32": 1e-6, "bfloat16": 2.0**-7, "float16": 2.0**-10, "float8_e4m3fn": 2.0**-3}
"""Number formats, and the relative error of a number in them."""
rng = np.random.default_rng(0)
W = rng.standard_normal((48, 32)).astype(np.float32)
X = rng.standard_normal((64, 32)).astype(np.float32)
Y = rng.standard_normal((64, 48)).astype(np.float32)


def make(dtype: str, place: str = "cpu", n_out: int = 48, n_in: int = 32) -> TorchMatrix:
    device = TorchMatrix(n_out=n_out, n_in=n_in, name="d", seed=Seed(0), dtype=dtype, place=place)
    device.program(W[:n_out, :n_in])
    return device


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_verb_does_what_it_says_to_the_precision_of_its_format(dtype):
    conforms(dtype, "cpu")


def conforms(dtype: str, place: str) -> None:
    """Check the four verbs against numpy; an error is that of two operands over 32 to 64 terms."""
    device, unit = make(dtype, place), DTYPES[dtype]
    assert (abs(device.matrix() - W) <= unit * np.maximum(abs(W), 0.02)).all()
    for got, true in ((device.multiply(X), X @ W.T), (device.transpose(Y), Y @ W)):
        assert got.dtype == np.float32
        assert np.sqrt(((got - true) ** 2).mean()) <= 2 * unit * true.std()
    device.update(Y, X, 0.1)
    step = 0.1 * Y.T @ X
    moved = device.state()["w"] - (W if dtype == "float8_e4m3fn" else make(dtype).state()["w"])
    assert np.sqrt(((moved - step) ** 2).mean()) <= 2 * unit * (step.std() + W.std())
    x = torch.as_tensor(X, device=place)
    assert device.multiply(x).device == x.device
    other = make(dtype, place)
    other.restore(device.state())
    np.testing.assert_array_equal(other.multiply(X), device.multiply(X))


def test_float8_is_the_format_that_the_engine_emulates():
    device = make("float8_e4m3fn")
    top = np.abs(W).max() / np.float32(448)
    np.testing.assert_array_equal(device.matrix(), quantise(W / top, "e4m3") * top)


def test_bytes_follow_the_format():
    work = {d: make(d).cost(Can.MULTIPLY, 8)["byte"].work for d in DTYPES}
    assert work["float32"] == 2 * work["bfloat16"] == 2 * work["float16"]
    assert work["float32"] == 4 * work["float8_e4m3fn"]


def test_a_place_that_is_absent_is_refused_unless_told_where_to_go():
    with pytest.raises(ValueError, match='^d: torch cannot work on place "cuda:99"'):
        TorchMatrix(n_out=2, n_in=2, name="d", place="cuda:99")
    device = TorchMatrix(n_out=2, n_in=2, name="d", place="cuda:99", fallback="cpu")
    assert device.place == "cpu"
    assert dict(device.ledger.devices["d"].settings)["place"] == "cpu"
    with pytest.raises(ValueError, match='unknown dtype "float64"'):
        TorchMatrix(n_out=2, n_in=2, dtype="float64")


class Cuda:
    """Events of a GPU whose time goes on by what the test says; float32 milliseconds, as CUDA's."""

    def __init__(self) -> None:
        self.ms = 12_345_678.0
        self.cuda = self

    def current_stream(self, place: object) -> str:
        return "stream"

    def Event(self, enable_timing: bool) -> CudaEvent:  # noqa: N802
        assert enable_timing
        return CudaEvent(self)


class CudaEvent:
    """One mark on that time line."""

    def __init__(self, world: Cuda) -> None:
        self.world, self.at, self.waited = world, -1.0, False

    def record(self, stream: str) -> None:
        self.at = self.world.ms

    def synchronize(self) -> None:
        self.waited = True

    def elapsed_time(self, other: CudaEvent) -> float:
        assert self.waited
        assert other.waited
        return float(np.float32(other.at - self.at))


def test_seconds_by_cuda_events_stay_sharp_however_long_a_run_is():
    world = Cuda()
    clock = CudaClock(world, "cuda:0")
    first = clock.read_s()
    for _ in range(5000):
        world.ms += 997.0  # more than a second between two of them, now and then
        before = clock.read_s()
        world.ms += 0.0123
        assert clock.read_s() - before == pytest.approx(12.3e-6, abs=70e-9)
    assert clock.read_s() - first == pytest.approx(5000 * 0.9970123, rel=1e-6)
