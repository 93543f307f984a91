"""Files of a run: written whole or not at all, read with a sentence where they are not right."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..devices.arrays import Array
from .places import BadInput


def write(path: Path, content: bytes | str) -> None:
    """Write a file atomically: a reader finds the old one or the new one, never a piece.

    Raises BadInput where the folder cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as wrong:
        raise BadInput(f"{path} cannot be written: {wrong.strerror or wrong}") from wrong


def write_json(path: Path, value: Any) -> None:
    """Write plain data as JSON, atomically; NaN and infinity become null and "inf"."""
    write(path, json_text(value))


def json_text(value: Any) -> str:
    """Return plain data as the JSON that `write_json` writes."""
    return json.dumps(plain(value), indent=1, allow_nan=False)


def plain(value: Any) -> Any:
    """Return the value with every float that JSON cannot say replaced."""
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def read_json(path: Path) -> Any:
    """Return what a JSON file holds. Raises BadInput where it is absent or cut short."""
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as wrong:
        raise BadInput(f"{path} cannot be read: {wrong.strerror}") from wrong
    except (ValueError, RecursionError) as wrong:
        raise BadInput(f"{path} is not JSON, perhaps cut short: {wrong}") from wrong


def write_arrays(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write named arrays as one safetensors file, atomically."""
    from safetensors.numpy import save

    whole = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    write(path, save(whole, dict(metadata)))


def read_arrays(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Return the arrays and the metadata of a safetensors file.

    Raises BadInput where it is absent, cut short or something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        if not path.is_file():
            raise BadInput(f"{path} is not there")
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, file.metadata() or {}
    except (SafetensorError, OSError) as wrong:
        raise BadInput(f"{path} is not a whole safetensors file: {wrong}") from wrong
