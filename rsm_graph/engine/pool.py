"""One loaded store as the supervisor sees it: the parent process and the evaluators forked from it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any, Protocol

from rsm_graph.engine import Source, parent
from rsm_graph.engine.protocol import (
    ERROR,
    FORK,
    GONE,
    LOAD,
    READY,
    Frames,
    error_from_json,
    frame,
    json_frame,
)
from rsm_graph.errors import Unavailable

_ROOT = str(Path(__file__).parents[2])


class Owner(Protocol):
    """Who is told what happens in a pool."""

    def evaluator_ready(self, evaluator: Evaluator) -> None:
        """An evaluator takes queries."""

    def frame_came(self, evaluator: Evaluator, kind: bytes, content: bytes) -> None:
        """An evaluator has sent a frame."""

    def evaluator_gone(self, evaluator: Evaluator, status: int | None) -> None:
        """An evaluator has ended; ``status`` is negative for a signal, ``None`` when nobody can tell."""

    def parent_gone(self, pool: Pool) -> None:
        """The parent has ended; its living evaluators go on, but no new ones come."""


class Evaluator(asyncio.Protocol):
    """The supervisor's end of one evaluator process."""

    def __init__(self, pool: Pool, pid: int, sock: socket.socket, descriptor: int, connects: bool) -> None:
        self.pool = pool
        self.pid = pid
        self.connects = connects
        """Whether it may open connections; such a one serves a single query."""
        self.job: Any = None
        self._sock = sock
        self._descriptor = descriptor
        self._thread = pid
        self._frames = Frames()
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Pass on the frames that are whole."""
        for kind, content in self._frames.feed(data):
            if kind == READY:
                self._thread = json.loads(content)["thread"]
                self.pool.owner.evaluator_ready(self)
            else:
                self.pool.owner.frame_came(self, kind, content)

    def connection_lost(self, _: Exception | None) -> None:
        """The process has ended, or is ending; the parent tells how."""
        self._transport = None
        self.pool.connection_lost(self)

    def send(self, data: bytes) -> None:
        """Send a frame."""
        if self._transport is not None:
            self._transport.write(data)

    def kill(self) -> None:
        """End the process at once, in whatever state it is; does nothing to one that has ended."""
        try:
            if self._descriptor >= 0:
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def lower_priority(self) -> None:
        """Let everybody else's work go first."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.setpriority(os.PRIO_PROCESS, self._thread, 19)

    async def connect(self) -> None:
        """Begin to listen to the process."""
        if self._descriptor >= 0:
            await asyncio.get_running_loop().create_connection(lambda: self, sock=self._sock)
        if self._descriptor < 0:
            # It was closed meanwhile.
            self.close()

    def close(self) -> None:
        """Give back what this end holds."""
        if self._transport is not None:
            self._transport.close()
        else:
            self._sock.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Pool:
    """A parent process that has loaded one source, and its evaluators."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.idle: deque[Evaluator] = deque()
        self.evaluators: dict[int, Evaluator] = {}
        self.alive = False
        self.retired = False
        """Whether its evaluators are only finishing what they have begun."""
        self._expected = 0
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._frames = Frames()
        self._descriptors: deque[int] = deque()
        self._loaded: asyncio.Future[None] | None = None
        self._connecting: set[asyncio.Task[None]] = set()

    async def start(self, source: Source, limits: dict[str, Any], evaluators: int) -> None:
        """Load ``source`` in a parent process of its own and ask it for evaluators.

        Raises :class:`~rsm_graph.errors.InputError` when the data cannot be read, and :class:`Unavailable` when
        the parent ends before it has loaded them.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
        environment = os.environ | {
            "PYTHONPATH": path,
            # One heap for all threads of a process: a second one would claim address space that the limit counts.
            "MALLOC_ARENA_MAX": "1",
            # Large pages for the store: a fork copies a tenth of the tables, and loading takes two thirds of the time.
            "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        }
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", parent.__name__],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=environment,
            )
        ours.setblocking(False)
        self._control = ours
        self._loaded = loop.create_future()
        self.alive = True
        loop.add_reader(ours.fileno(), self._read_control)
        try:
            await loop.sock_sendall(ours, frame(LOAD, parent.encode(source, limits)))
            await self._loaded
        except ConnectionError as error:
            raise Unavailable("The engine's parent process ended while it was loading.") from error
        for _ in range(evaluators):
            self.fork()

    def fork(self, *, connects: bool = False) -> None:
        """Ask the parent for one more evaluator."""
        if self.alive and self._control is not None:
            self._expected += not connects
            try:
                self._control.sendall(json_frame(FORK, {"connects": connects}))
            except OSError:
                self._lost()

    @property
    def size(self) -> int:
        """Evaluators that live or have been asked for, those for one query aside."""
        return sum(not evaluator.connects for evaluator in self.evaluators.values()) + self._expected

    def connection_lost(self, evaluator: Evaluator) -> None:
        """Wait for the parent's word on how an evaluator ended; without a parent nobody will tell."""
        if not self.alive:
            self._remove(evaluator.pid, None)

    async def kill(self) -> None:
        """End the parent and every evaluator at once."""
        for evaluator in list(self.evaluators.values()):
            evaluator.kill()
        self._lost()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for evaluator in self.evaluators.values():
            evaluator.close()
        self.evaluators.clear()
        self.idle.clear()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        # Closed transports say so to their protocols in the next round of the loop.
        await asyncio.sleep(0)

    @property
    def memory(self) -> int:
        """Bytes of memory of the parent and the evaluators, each shared page counted once; 0 where unknown."""
        if self._process is None or sys.platform != "linux":
            return 0
        return sum(_share(pid) for pid in (self._process.pid, *self.evaluators))

    def _read_control(self) -> None:
        assert self._control is not None
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, 65536, 64)
        except BlockingIOError:
            return
        except ConnectionError:
            data, descriptors = b"", []
        self._descriptors.extend(descriptors)
        if not data:
            self._lost()
            return
        for kind, content in self._frames.feed(data):
            if kind == FORK:
                self._add(json.loads(content), self._descriptors.popleft(), self._descriptors.popleft())
            elif kind == GONE:
                gone = json.loads(content)
                self._remove(gone["pid"], gone["status"])
            elif self._loaded is not None and not self._loaded.done():
                if kind == ERROR:
                    self._loaded.set_exception(error_from_json(content))
                else:
                    self._loaded.set_result(None)

    def _add(self, started: dict[str, Any], connection: int, descriptor: int) -> None:
        sock = socket.socket(fileno=connection)
        sock.setblocking(False)
        evaluator = Evaluator(self, started["pid"], sock, descriptor, started["connects"])
        self._expected -= not evaluator.connects
        self.evaluators[evaluator.pid] = evaluator
        task = asyncio.get_running_loop().create_task(evaluator.connect())
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def _remove(self, pid: int, status: int | None) -> None:
        evaluator = self.evaluators.pop(pid, None)
        if evaluator is None:
            return
        if evaluator in self.idle:
            self.idle.remove(evaluator)
        self.owner.evaluator_gone(evaluator, status)
        evaluator.close()

    def _lost(self) -> None:
        if not self.alive:
            return
        self.alive = False
        self._expected = 0
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        if self._loaded is not None and not self._loaded.done():
            self._loaded.set_exception(Unavailable("The engine's parent process ended while it was loading."))
        self.owner.parent_gone(self)


def _share(pid: int) -> int:
    """Return the proportional share of memory of a process."""
    try:
        smaps = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss: +(\d+) kB", smaps, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
