"""Numba kernels, each beside its numpy reference; imported by devices only, and only when used."""
