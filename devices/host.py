"""The digital processor beside the devices: activations, errors and optimizers, all counted."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from .arrays import namespace
from .blas import add_outer
from .ledger import Count, Installed, Ledger
from .norms import EPSILON, Normed, adjoint, normalise, remember

Activation = Literal["tanh", "relu", "sigmoid", "identity", "sign"]
_KIND: dict[str, int] = {name: k for k, name in enumerate(get_args(Activation))}

NAME = "host"


class Host:
    """Elementwise work in float32, on numpy arrays by Numba kernels, on torch tensors by torch.

    It counts `element`: one number read, worked on and written; and `mac`: one multiply-
    accumulate of a gradient that an optimizer with a memory must form digitally.
    """

    def __init__(self, ledger: Ledger, technology: str, dry: bool = False) -> None:
        """Work for `ledger`; a `dry` host counts and leaves all numbers as they are."""
        self._ledger = ledger
        self._dry = dry
        ledger.install(NAME, Installed("Host", technology, technology, 1, 1, ()))

    def count(self, verb: str, batch: int, elements: float, macs: float = 0) -> None:
        """Write down elementwise work on so many numbers, and multiply-accumulates."""
        events = {"element": Count(elements, elements)}
        if macs:
            events["mac"] = Count(macs, macs)
        self._ledger.record(NAME, verb, batch, events)

    def activate(self, z: Any, bias: Any, activation: Activation) -> Any:
        """Return f(z + bias) of z (rows, n) and bias (n,); a numpy z is overwritten."""
        self.count("ACTIVATE", len(z), z.shape[0] * z.shape[1])
        if self._dry:
            return z
        xp = namespace(z)
        if xp is np:
            from .kernels import elementwise

            if z.dtype == np.float32:
                elementwise.activate(z, bias, _KIND[activation])
            else:
                elementwise.activate_reference(z, bias, _KIND[activation])
            return z
        z = z + bias
        if activation == "sign":
            return xp.where(z >= 0, 1.0, -1.0).to(z.dtype)
        return z if activation == "identity" else getattr(xp, activation)(z)

    def slope(self, delta: Any, h: Any, activation: Activation) -> Any:
        """Return delta * f'(z), of delta (rows, n) and h = f(z); a numpy delta is overwritten."""
        if activation in ("identity", "sign"):
            return delta
        self.count("SLOPE", len(delta), delta.shape[0] * delta.shape[1])
        if self._dry:
            return delta
        if namespace(delta) is np:
            from .kernels import elementwise

            delta = np.ascontiguousarray(delta)
            if delta.dtype == h.dtype == np.float32:
                elementwise.slope(delta, h, _KIND[activation])
            else:
                elementwise.slope_reference(delta, h, _KIND[activation])
            return delta
        if activation == "tanh":
            return delta * (1 - h * h)
        return delta * (h * (1 - h)) if activation == "sigmoid" else delta * (h > 0)

    def normalise(
        self, z: Any, gain: Any, each: int, mean: Any = None, variance: Any = None
    ) -> tuple[Any, Normed]:
        """Return gain * n, and n = (z - mean) / std with what its way back takes.

        z is (rows, n), gain (n,); a numpy z is overwritten. `each` rows are a sample that is
        normalised by itself; 0: every column is, over all rows, and the running `mean` and
        `variance` (n,) follow in place. Counts three passes: mean, variance and the rest.
        """
        self.count("NORMALISE", len(z), 3 * z.shape[0] * z.shape[1])
        if self._dry:
            return z, Normed(z, gain, each)
        scaled, normed = normalise(z, gain, each)
        if not each:
            remember(normed, mean, variance)
        return scaled, normed

    def normalise_adjoint(self, delta: Any, gain: Any, normed: Normed) -> Any:
        """Return the slope (rows, n) by z of what has the slope delta (rows, n) by gain * n.

        Counts three passes: two means and the rest.
        """
        self.count("NORMALISE_ADJOINT", len(delta), 3 * delta.shape[0] * delta.shape[1])
        return delta if self._dry else adjoint(delta, gain, normed)

    def fold_norm(self, z: Any, gain: Any, bias: Any, mean: Any, variance: Any) -> tuple[Any, Any]:
        """Return rows and a bias (n,) whose sum is gain * (z - mean) / std + bias, in one pass.

        z is (rows, n), all else (n,): the running mean and variance. A numpy z is overwritten.
        """
        self.count("NORMALISE", len(z), z.shape[0] * z.shape[1])
        if self._dry:
            return z, bias
        factor = gain / (variance + EPSILON) ** 0.5
        if namespace(z) is np:
            z *= factor
        else:
            z = z * factor
        return z, bias - mean * factor

    def gradient(self, y: Any, x: Any, scale: float, into: Any, keep: float = 0.0) -> Any:
        """Return keep * into + scale * y^T x (n_out, n_in), of y (batch, n_out), x (batch, n_in).

        `into` is overwritten.
        """
        self.count("GRADIENT", len(y), 0, macs=len(y) * y.shape[1] * x.shape[1])
        if self._dry:
            return into
        if namespace(into) is np:
            add_outer(into, y, x, scale, keep)
            return into
        return into.mul_(keep).addmm_(y.T, x, alpha=scale)

    def add(self, w: Any, step: Any, rate: float) -> None:
        """Set w := w + rate * step in place, of any one shape."""
        self.count("ADD", 1, _size(w))
        if self._dry:
            return
        if namespace(w) is np:
            from scipy.linalg.blas import saxpy

            saxpy(step.reshape(-1), w.reshape(-1), a=rate)
        else:
            w.add_(step, alpha=rate)

    def adam(
        self,
        w: Any,
        g: Any,
        m: Any,
        v: Any,
        rate: float,
        betas: tuple[float, float],
        epsilon: float,
        time: int,
    ) -> None:
        """Take one Adam step of w along g, all of one shape, w and the moments m, v in place."""
        self.count("ADAM", 1, 3 * _size(w))
        if self._dry:
            return
        if namespace(w) is np:
            from .kernels import elementwise

            w, g, m, v = (a.reshape(-1) for a in (w, g, m, v))
            elementwise.adam(w, g, m, v, rate, betas[0], betas[1], epsilon, time)
            return
        m.mul_(betas[0]).add_(g, alpha=1 - betas[0])
        v.mul_(betas[1]).addcmul_(g, g, value=1 - betas[1])
        root = (v / (1 - betas[1] ** time)).sqrt_().add_(epsilon)
        w.addcdiv_(m, root, value=-rate / (1 - betas[0] ** time))

    def leading(self, g: Any, rank: int, sketch: Any = None) -> Any:
        """Return the leading `rank` right singular vectors of g (m, n) as rows (rank, n).

        With a `sketch` (m, r), those of g's projection on the sketch's span [Halko, Martinsson,
        Tropp, "Finding structure with randomness", 2011]. Signs, which are free, make the largest
        entry of each row positive. Counted: 2 m n^2 + 11 n^3 flops of an SVD, n the shorter side,
        2 m n^2 - 2/3 n^3 of a QR [Trefethen & Bau, "Numerical linear algebra", 1997].
        """
        m, n = (int(side) for side in g.shape)
        rows_in, macs = m, 0.0
        if sketch is not None:
            rows_in = r = int(sketch.shape[1])
            macs += m * r * r - r**3 / 3 + r * m * n
        short = min(rows_in, n)
        macs += max(rows_in, n) * short**2 + 5.5 * short**3
        self.count("SVD", 1, m * n, macs=macs)
        if self._dry:
            return np.broadcast_to(np.float32(0), (rank, n))
        xp = namespace(g)
        if sketch is not None:
            g = xp.linalg.qr(sketch)[0].T @ g
        rows = xp.linalg.svd(g, full_matrices=False)[2][:rank]
        negative = -rows.min(1) if xp is np else -rows.amin(1)
        positive = rows.max(1) if xp is np else rows.amax(1)
        return xp.where((negative > positive)[:, None], -rows, rows)


def _size(w: Any) -> int:
    size = 1
    for n in w.shape:
        size *= int(n)
    return size
