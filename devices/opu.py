"""An optical random projection: light through a scattering medium multiplies by a fixed matrix.

Saade et al., "Random projections through multiple optical scattering", ICASSP 2016, for the
principle; `lateration.py` for linear outputs from intensities and references.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from .arrays import Array, like
from .base import Can, Device
from .camera import Camera
from .ledger import Count
from .medium_base import Floats
from .seeds import Draw
from .technology import load

if TYPE_CHECKING:
    from .lateration import Lateration
    from .medium import Medium

BLOCK = 1 << 17
"""Readings whose noise is drawn at once: half a megabyte, which the second-level cache holds."""


@dataclass(kw_only=True, eq=False)
class OPU(Device):
    """A micromirror device, a medium with a transmission matrix R, and an 8-bit camera.

    Mirrors are on or off and the camera sees |R x|^2, so the linear `multiply` shows every
    binary mask five times: alone, and beside each of four reference fields, as bright as all
    inputs together and known from the calibration at power-up. The least-squares solution of a
    pixel's five readings gives W x = std * (Re + Im) R x, and W has Gaussian entries. A ternary
    input is two masks, a real one of p bits 2 p; half of that without signs. The references take
    no mirrors from the inputs. (That linear outputs take five frames is LightOn's; how theirs are
    formed is not published.)

    Where four random references lie badly at a pixel its fit is noisy, so the errors have heavy
    tails: a few outputs in a thousand are off by more than five times the typical error.

    The gain wanders from one power-up to the next, so the whole of W is off by one factor, which
    `matrix()` knows and the user does not.
    """

    scale: float | None = None
    """Std of the entries of W, dimensionless; None: 1 / sqrt(n_in)."""
    input_bits: int = 1
    """1: inputs are -1, 0 or 1, all else is refused. p > 1: inputs are real, every row is shown
    as p bit planes of its magnitude over its own largest, rounded."""
    signed: bool = True
    """False: inputs below 0 are refused, and what would show them costs no frames: half of all."""
    exposure_counts: float | None = None
    """Counts that the mean pixel reads: in `intensities`, of half the inputs; in `multiply`, of a
    reference alone or of all inputs alone, so half as many of half the inputs. Too many, and bright
    pixels stop at the top of the converter. None: the mean exposure of the technology file."""
    black_level_counts: float = 4.0
    """Counts added before conversion, so that noise about zero is not cut off."""
    noise: float = 1.0
    """Factor on the std of the camera's noise, dimensionless; 0 for a noiseless camera."""
    medium: Literal["auto", "dense", "lazy", "stream", "structured"] = "auto"
    """How the transmission matrix is emulated; see `medium.py`."""

    usual_technology = "opu_gen3"

    def __post_init__(self) -> None:
        super().__post_init__()
        technology = load(self.technology)
        of = technology.parameter
        mirrors = int(of("mirror_rows") * of("mirror_columns"))
        pixels = int(of("camera_rows") * of("camera_columns"))
        if self.n_in > mirrors or self.n_out > pixels:
            raise ValueError(
                f"{self.name}: {technology.name} has {mirrors:,} mirrors and {pixels:,} pixels; "
                f"the matrix takes {self.n_in:,} inputs and {self.n_out:,} outputs"
            )
        exposure = of("mean_exposure") if self.exposure_counts is None else self.exposure_counts
        _check(self, "scale", self.scale, 1e-30, 1e30)
        _check(self, "input_bits", self.input_bits, 1, 16, whole=True)
        _check(self, "exposure_counts", exposure, 1e-6, 1e6)
        _check(self, "noise", self.noise, 0.0, 1e6)
        top = 2.0 ** of("camera_bits") - 1.0
        _check(self, "black_level_counts", self.black_level_counts, 0.0, top / 2)
        self._camera = Camera.of(technology, self.black_level_counts, self.noise)
        self._std = self.n_in**-0.5 if self.scale is None else self.scale
        # The file states the r.m.s. change between two power-ups, each of which wanders.
        wander = of("gain_drift") / math.sqrt(2.0)
        self._drift = float(np.exp(wander * self._stream.child("power-up").rng().normal()))
        self._linear_gain = self._drift * exposure / self.n_in
        self._intensity_gain = 2.0 * self._linear_gain
        self._frames = int(of("linear_frames"))
        self._vectors_per_pass = int(of("vectors_per_pass"))
        self._medium: Medium | None = None
        self._lateration: Lateration | None = None
        self._least: float | None = None

    def transmission(self) -> Medium:
        """Return the medium R (n_out, n_in): circular complex Gaussian entries of variance 1."""
        if self._medium is None:
            from .medium import make_medium

            key = self._stream.child("medium").key()
            self._medium = make_medium(self.n_out, self.n_in, key, self.medium, rank_hint=self.n_in)
        return self._medium

    def matrix(self) -> Array:
        re, im = self.transmission().matrix()
        w: Array = (re + im) * np.float32(self._scale)
        return w

    @property
    def _scale(self) -> float:
        """Outputs for a field Re + Im = 1: the user's std times the unknown factor of W."""
        return self._std * math.sqrt(self._drift)

    def intensity_gain(self) -> float:
        """Return the counts that `intensities` reads above the black level for |R x|^2 = 1.

        The user of a real OPU has to estimate it: see `OpticalFeatures.calibrate_gain`.
        """
        return self._intensity_gain

    def noise_std(self) -> float | None:
        """Return a floor of the std of every output, for whatever ternary input, in output units.

        It counts what rounding leaves of the noise of a dark pixel, and nothing of a frame that
        some input could drive to the top of the converter; less exposure_counts, more of it.
        What it does not say: the noise is a rounded Gaussian and grows with the light, and the
        five readings of a pixel tell more of the input than its output does.

        None where nothing is promised: for real inputs (a dim row is read with less noise),
        without noise, where so many inputs can be on that any pixel may reach the top (lower
        exposure_counts), and for a lazy medium, of which only what was shown is known.
        """
        if self._least is None:
            self._least = self._floor()
        return self._least if self._least > 0 else None

    def _floor(self) -> float:
        if self.input_bits > 1 or self.noise == 0:
            return 0.0
        # The brightest mask lights a quarter of the sum of all fields and more.
        if self._linear_gain * (0.25 * self.n_in) ** 2 > self._camera.top:
            return 0.0
        if self.transmission().kind == "lazy":
            return 0.0
        from .lateration import brightest_fields

        found = self._references()
        most = found.most_light(brightest_fields(self.transmission()), self._linear_gain)
        least = self._camera.least_variance(most)
        of_one_mask = float((found.fit.astype(np.float64) ** 2 * least).sum(0).min())
        return self._scale * math.sqrt((2.0 if self.signed else 1.0) * of_one_mask)

    def _references(self) -> Lateration:
        if self._lateration is None:
            from .lateration import Lateration

            key = self._stream.child("references").key()
            self._lateration = Lateration.draw(
                self.n_out, self._frames, self.n_in, self._linear_gain, key
            )
        return self._lateration

    @property
    def _masks_a_row(self) -> int:
        return self.input_bits * (2 if self.signed else 1)

    def _masks(self, x: Array) -> Iterator[tuple[Floats, Floats]]:
        """Yield masks (batch, n_in) of 0 and 1, and the weight (batch,) of each."""
        if not self.signed and (x < 0).any():
            raise ValueError(
                f"{self.name}: signed is false, so inputs are 0 and above; got {x[x < 0][0]!s}"
            )
        if self.input_bits == 1:
            plus, minus = x == 1, x == -1
            shown = plus | minus | (x == 0)
            if not shown.all():
                raise ValueError(
                    f"{self.name}: mirrors are on or off, so inputs are -1, 0 or 1; got "
                    f"{x[~shown][0]!s}. Ternarise them (algorithm ternary_dfa), or set input_bits "
                    "to show bit planes"
                )
            one = np.ones(len(x), np.float32)
            yield plus.astype(np.float32), one
            if self.signed:
                yield minus.astype(np.float32), -one
            return
        from .encoders import signed_planes

        planes = signed_planes(x, self.input_bits)
        for mask, weight in itertools.islice(planes, self._masks_a_row):
            yield mask.astype(np.float32), weight[:, 0]

    def _multiply(self, x: Array, draw: Draw) -> Array:
        from .kernels.normal import normals

        found, camera, n = self._references(), self._camera, self.n_out
        block = max(1, BLOCK // (self._frames * n))
        key, start = draw.key(), 0
        noise = np.empty((min(block, len(x)), self._frames, n), np.float32)
        y = np.zeros((len(x), n), np.float32)
        for mask, weight in self._masks(x):
            re, im = self.transmission().apply(mask)
            weight = weight * np.float32(self._scale)
            for first in range(0, len(x), block):
                part = slice(first, first + block)
                drawn = noise[: len(y[part])]
                normals(key, start, drawn.reshape(-1))
                start += drawn.size
                found.add(
                    camera, re[part], im[part], self._linear_gain, drawn, weight[part], y[part]
                )
        return y

    def intensities(self, x: Array, *, frozen: bool = False) -> Array:
        """Return the counts (batch, n_out) from 0 to 255 that masks x (batch, n_in) read.

        The mode in which the device is not linear: |R x|^2 times `intensity_gain`, and the black
        level on top; one frame a row, without reference. `frozen`: the noise follows from the
        mask alone, so the same mask reads the same whenever and beside whatever it is shown, as
        if its first frame had been kept. Raises ValueError where x is not binary.
        """
        from .kernels.normal import normals

        entered = self._enter(x, self.n_in, "x")
        if not ((entered == 0) | (entered == 1)).all():
            raise ValueError(
                f"{self.name}: mirrors are on or off, so intensities are taken of 0 and 1 alone; "
                "encode the inputs first (see hwloop.devices.encoders)"
            )
        mask = entered.astype(np.float32, copy=False)
        re, im = self.transmission().apply(mask)
        noise = np.empty(re.shape, np.float32)
        if frozen:
            salt = int(self._stream.child("frozen").key()).to_bytes(8)
            for packed, row in zip(np.packbits(mask == 1, axis=1), noise, strict=True):
                word = hashlib.blake2s(packed.tobytes(), digest_size=8, key=salt).digest()
                normals(np.uint64(int.from_bytes(word)), 0, row)
        else:
            normals(self._stream.at(self._operations).key(), 0, noise.reshape(-1))
        out = self._camera.read(re, im, self._intensity_gain, noise)
        self._operations += 1
        self.ledger.record(self.name, "INTENSITY", len(out), self._shown(len(out)))
        return np.asarray(like(out, x))

    def _shown(self, frames: int) -> dict[str, Count]:
        calls = -(-frames // self._vectors_per_pass)
        return {"call": Count(calls, calls), "frame": Count(frames, frames)}

    def _cost(self, verb: Can, batch: int) -> Mapping[str, Count]:
        return self._shown(batch * self._masks_a_row * self._frames)

    def _state(self) -> dict[str, Array]:
        if self._medium is None:
            return {}
        return {f"medium:{k}": v for k, v in self._medium.state().items()}

    def _restore(self, arrays: Mapping[str, Array]) -> None:
        start = "medium:"
        state = {k[len(start) :]: v for k, v in arrays.items() if k.startswith(start)}
        if state:
            self.transmission().restore(state)
        elif self._medium is not None and self._medium.state():
            self._medium = None


def _check(
    opu: OPU, field: str, got: float | None, least: float, most: float, whole: bool = False
) -> None:
    if got is None:
        return
    right = isinstance(got, int) if whole else isinstance(got, (int, float))
    if isinstance(got, bool) or not right or not least <= got <= most:
        kind = "a whole number" if whole else "a number"
        raise ValueError(
            f"{opu.name}: {field} takes {kind} from {least:g} to {most:g}, got {got!r}"
        )
