"""Solve linear systems to 1e-12 with products that are wrong by per cents.

    python examples/noisy_solvers.py

Iterative refinement of 400 equations with five kinds of operator inside, and a weighted least
squares problem whose preconditioner is a noisy solve. About two minutes on one core.
"""

import warnings

import numpy as np
from scipy.sparse.linalg import LinearOperator, gcrotmk, gmres

from hwloop.devices import Crossbar, Device, Ideal, MatrixEngine, Seed
from hwloop.devices.refinement import inner_solve, refine

N = 400
EXACT = {"dac_bits": 0, "adc_bits": 0, "programming_noise": 0.0, "read_noise": 0.0, "drift": 0.0}


def spd(cond: float, n: int = N) -> np.ndarray:
    """Return a symmetric positive definite matrix (n, n) with eigenvalues from 1 / cond to 1."""
    rng = Seed(0).child("system").rng()
    q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return (q * np.geomspace(1 / cond, 1, n)) @ q.T


class Noisy(Ideal):
    """Exact but for fresh white noise: `share` of the length of every result."""

    share: float = 0.0

    def _multiply(self, x, draw):
        y = super()._multiply(x, draw)
        z = draw.rng().standard_normal(y.shape)
        length = np.linalg.norm(y, axis=1, keepdims=True)
        return y + self.share * length / np.sqrt(y.shape[1]) * z


def noisy(share: float) -> Device:
    """Return an exact device with so much fresh white noise."""
    device = Noisy(n_out=N, n_in=N, name=f"{share:.0%} noise", seed=Seed(1))
    device.share = share
    return device


def devices() -> list[Device]:
    """Return what stands for A inside, each on the same sizes."""
    size = {"n_out": N, "n_in": N, "seed": Seed(1)}
    bf16 = {"inputs": "bf16", "weights": "bf16", "outputs": "bf16"}
    return [
        Ideal(name="exact", **size),
        MatrixEngine(name="bf16 engine", **size, **bf16),
        noisy(0.01),
        noisy(0.05),
        Crossbar(name="crossbar, reads noisy", **size, **{**EXACT, "read_noise": 1.0}),
        Crossbar(name="crossbar as it is", **size),
    ]


def refinement() -> None:
    """Print corrections, products and residual of every operator and inner solver."""
    print(f"iterative refinement, {N} equations, 20 products a correction, at most 60 corrections")
    print("corrections, products and residual by inner solver\n")
    print(f"{'condition':<11}{'operator':<24}{'CG':>22}{'GMRES':>22}{'GCROT(m, k)':>22}")
    for cond in (1e1, 1e2, 1e3):
        a = spd(cond)
        b = Seed(0).child("b").rng().standard_normal(N)
        for device in devices():
            device.program(a)
            cells = []
            for inner in ("cg", "gmres", "gcrotmk"):
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore")
                    found = refine(a, b, device, inner)
                steps = len(found.residuals) - 1
                cells.append(f"{steps:>3} {found.products:>5} {found.residual:>9.1e}")
            row = "".join(f"{cell:>22}" for cell in cells)
            print(f"{cond:<11.0e}{device.name:<24}{row}", flush=True)


def least_squares() -> None:
    """Print how GMRES and flexible GCROT fare with a noisy solve for a preconditioner.

    min |D^(1/2) (b - A x)| as the augmented system of m + n equations, preconditioned by the
    normal equations' blocks, whose products run on the device.
    """
    rng = Seed(0).child("least squares").rng()
    m, n = 400, 100
    a = rng.standard_normal((m, n)) / np.sqrt(m)
    d = np.geomspace(1e-2, 1e2, m)
    whole = np.block([[np.diag(1 / d), a], [a.T, np.zeros((n, n))]])
    b = np.concatenate([rng.standard_normal(m), np.zeros(n)])
    normal = a.T @ (d[:, None] * a)
    top = np.abs(normal).max()
    device = Noisy(n_out=n, n_in=n, name="normal equations", seed=Seed(2))
    device.share = 0.05
    device.program(normal / top)
    products = device.to_scipy()

    def precondition(v: np.ndarray) -> np.ndarray:
        upper, lower = v[:m] * d, v[m:]
        size = np.linalg.norm(lower) or 1.0
        return np.concatenate([upper, size / top * inner_solve(products, lower / size, "cg", 20)])

    shape = (m + n, m + n)
    operator = LinearOperator(shape, matvec=precondition, dtype=np.float64)
    print(f"\nweighted least squares, {m} x {n}, weights 1e-2 to 1e2, preconditioner of 5 % noise")
    for name, solve, more in (
        ("GMRES(40)", gmres, {"restart": 40, "maxiter": 15}),
        ("GCROT(40, 10)", gcrotmk, {"m": 40, "k": 10, "maxiter": 15}),
    ):
        x, _ = solve(whole, b, M=operator, rtol=1e-12, **more)
        print(f"{name:<15} residual {np.linalg.norm(b - whole @ x) / np.linalg.norm(b):.1e}")


if __name__ == "__main__":
    refinement()
    least_squares()
