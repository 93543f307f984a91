"""A field from intensities alone: beside known references, a camera's readings give its phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import Camera
from .medium_base import Floats, Medium

ANGLES = 16
ONE_HOT_ROWS = 16


@dataclass(frozen=True, slots=True)
class Lateration:
    """The references of every pixel, and the weights that turn its readings into Re E + Im E.

    Frame s of the field E reads gain |E + r_s|^2 = gain (|E|^2 + 2 Re r_s Re E + 2 Im r_s Im E
    + |r_s|^2): linear in the three unknowns |E|^2, Re E and Im E once gain |r_s|^2 is taken
    off. `fit` is the least-squares solution for their combination (0, 1, 1), so it is linear in
    E whatever |E|^2 is. Gupta et al., "Don't take it lightly: phasing optical random projections
    with unknown operators", NeurIPS 2019, find the field by the same distances to known points.
    """

    re: Floats
    """Real parts of the references, (frames, n); frame 0 has none."""
    im: Floats
    """Imaginary parts, (frames, n)."""
    fit: Floats
    """Weights of the readings, (frames, n), in units of the field for a count."""
    offset: Floats
    """What the fit gives for no field, (n,): taken off."""

    @classmethod
    def draw(
        cls, n: int, frames: int, brightness: float, gain: float, key: np.uint64
    ) -> Lateration:
        """Return frames - 1 references whose fields are CN(0, brightness) at each of n pixels.

        The law is that of any light that went through the medium. `gain` is in counts for a
        field of square 1, `key` the key of the draws. Raises ValueError below three frames.
        """
        from .kernels.normal import normals

        if frames < 3:
            raise ValueError(f"a lateration takes at least 3 frames, got {frames}")
        drawn = np.empty(2 * (frames - 1) * n, np.float32)
        normals(key, 0, drawn)
        ref = np.zeros((2, frames, n), np.float32)
        ref[:, 1:] = drawn.reshape(2, frames - 1, n) * np.float32(np.sqrt(brightness / 2.0))
        design = np.ones((n, frames, 3))
        design[:, :, 1:] = 2.0 * ref.transpose(2, 1, 0)
        normal = np.swapaxes(design, 1, 2) @ design
        wanted = np.broadcast_to(np.array([0.0, 1.0, 1.0])[:, None], (n, 3, 1))
        fit = (design @ np.linalg.solve(normal, wanted))[:, :, 0].T / gain
        offset = gain * (fit * (ref.astype(np.float64) ** 2).sum(0)).sum(0)
        return cls(ref[0], ref[1], np.ascontiguousarray(fit, np.float32), offset.astype(np.float32))

    def add(
        self,
        camera: Camera,
        re: Floats,
        im: Floats,
        gain: float,
        noise: Floats,
        weight: Floats,
        out: Floats,
    ) -> None:
        """Add weight * (Re E + Im E) of the field E = re + i im, as the camera sees it, to out.

        re, im and out are (rows, n), standard normals `noise` (rows, frames, n), weight (rows,).
        """
        from .kernels.camera import lateral

        lateral(
            re,
            im,
            self.re,
            self.im,
            self.fit,
            self.offset,
            gain,
            camera.floor,
            camera.slope,
            camera.black,
            camera.top,
            noise,
            weight,
            out,
        )

    def most_light(self, brightest: Floats, gain: float) -> Floats:
        """Return the counts (frames, n) that fields up to `brightest` (n,) in size can give."""
        reference = np.sqrt(self.re**2 + self.im**2)
        counts: Floats = gain * (reference + brightest) ** 2
        return counts


def brightest_fields(medium: Medium) -> Floats:
    """Return, for each output (n_out,), what the field of no binary mask exceeds in size.

    The brightest mask lights the inputs that add along one direction; 16 directions find it to
    within 1 / cos(pi / 16) = 1.02, by which the result is raised. On average it lights 0.28 of
    the inputs' number.
    """
    along = np.zeros((ANGLES, medium.n_out), np.float32)
    angles = np.arange(ANGLES) * (2 * np.pi / ANGLES)
    for first in range(0, medium.n_in, ONE_HOT_ROWS):
        rows = min(ONE_HOT_ROWS, medium.n_in - first)
        re, im = medium.apply(np.eye(rows, medium.n_in, first, dtype=np.float32))
        for total, angle in zip(along, angles, strict=True):
            part = np.float32(np.cos(angle)) * re + np.float32(np.sin(angle)) * im
            total += np.maximum(part, 0).sum(0)
    brightest: Floats = along.max(0) / np.float32(np.cos(np.pi / ANGLES))
    return brightest
