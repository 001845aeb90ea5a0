"""Puts a text in the place of a file, whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from rsm_graph.errors import InputError


def replace(path: Path, text: str, gate: Callable[[Path], object]) -> None:
    """Replace the file ``path`` by ``text`` in one step, after ``gate`` has read it from a file beside it.

    Raises :class:`InputError` when the folder cannot be written, and whatever ``gate`` raises; the old file is
    then left as it was.
    """
    fresh: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        fresh = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        gate(fresh)
        # A temporary file is its owner's alone; the file that it replaces, or any new one, is to be read by others.
        fresh.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
        fresh.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}).", "Name a file that can be.") from error
    finally:
        if fresh is not None:
            fresh.unlink(missing_ok=True)
