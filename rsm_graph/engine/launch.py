"""Starts the engine's parent process, which takes a moment to import what it needs, while others do their work."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_ROOT = str(Path(__file__).parents[2])
_PARENT = "rsm_graph.engine.parent"


def python(module: str, *arguments: str, stdin: int) -> subprocess.Popen[bytes]:
    """Run a module of this package as a process of its own, with the allocator set for a store."""
    path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    environment = os.environ | {
        "PYTHONPATH": path,
        # One heap for the store, one for the thread that evaluates: in the gaps of the first a heavy query takes a
        # tenth longer. More would claim address space that the limit counts.
        "MALLOC_ARENA_MAX": "2",
        # Large pages for the store: a fork copies a tenth of the tables, and loading takes two thirds of the time. The
        # engine makes and drops small things by the hundred; with the usual seven kept ready a light query takes a
        # twentieth longer, and with thousands a heavy one does.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.tcache_count=100",
    }
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.DEVNULL, env=environment)


class Launched:
    """A parent process (:mod:`rsm_graph.engine.parent`) that is starting, and then waits for its order."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        """The socket that carries orders and answers; whoever waits for the answers makes it non-blocking."""
        with theirs:
            self.process = python(_PARENT, stdin=theirs.fileno())
        self._sending: threading.Thread | None = None

    def order(self, frame: bytes) -> None:
        """Send what to load; returns at once, because the process reads it only when it has started."""
        self._sending = threading.Thread(target=self._send, args=(frame,), daemon=True)
        self._sending.start()

    def _send(self, frame: bytes) -> None:
        with contextlib.suppress(OSError):  # it has ended, as whoever listens to it will learn
            self.control.sendall(frame)

    @property
    def ordered(self) -> bool:
        """Whether it knows what to load."""
        return self._sending is not None

    def wait_until_told(self) -> None:
        """Return when the process has its order, or has ended."""
        if self._sending is not None:
            self._sending.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        """End the process, whoever has it now."""
        self.process.kill()
        self.process.wait()
        self.wait_until_told()
        self.control.close()


def launched() -> contextlib.AbstractContextManager[Launched | None]:
    """Return a parent process for a ``with`` block; nothing where evaluators are not forked."""
    return Launched() if sys.platform == "linux" else contextlib.nullcontext()
