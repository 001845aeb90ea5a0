"""One loaded source as the supervisor sees it: the processes that evaluate queries over it."""

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
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Protocol

from rsm_graph.engine import Source, parent, worker
from rsm_graph.engine.launch import Launched, python
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
from rsm_graph.errors import RsmGraphError, Unavailable

_CPUCLOCK_SCHED = 2
"""The kind of clock in the lowest bits of the number that clock_getcpuclockid(3) makes of a process."""
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


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


class Process(Protocol):
    """A process that can be ended."""

    pid: int

    def kill(self) -> None:
        """End it at once, in whatever state it is; does nothing to one that has ended."""

    def close(self) -> None:
        """Give back what is held of it here."""


class Forked:
    """A child of the parent process, held by a descriptor, so that no other process can be meant (pidfd_open(2))."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor

    def kill(self) -> None:
        """End the process."""
        if self._descriptor >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def close(self) -> None:
        """Close the descriptor."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Spawned:
    """A child of this process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self.popen = process

    def kill(self) -> None:
        """End the process."""
        self.popen.kill()

    def close(self) -> None:
        """Wait for the end of the process, which has been killed."""
        self.popen.wait()


class Evaluator(asyncio.Protocol):
    """The supervisor's end of one evaluator process."""

    def __init__(self, pool: Pool, process: Process, sock: socket.socket, connects: bool) -> None:
        self.pool = pool
        self.pid = process.pid
        self.connects = connects
        """Whether it may open connections; such a one serves a single query."""
        self.job: Any = None
        self._sock = sock
        self.process = process
        self._closed = False
        self._thread = process.pid
        self._resting = 0  # pages of memory before its first query
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
                self._resting = _resident(self.pid)
                self.pool.started(None)
                self.pool.owner.evaluator_ready(self)
            elif kind == ERROR and self.job is None:
                self.pool.started(error_from_json(content))
            else:
                self.pool.owner.frame_came(self, kind, content)

    def connection_lost(self, _: Exception | None) -> None:
        """The process has ended, or is ending; the parent tells how."""
        self._transport = None
        if self in self.pool.idle:
            self.pool.idle.remove(self)
        self.pool.connection_lost(self)

    @property
    def worked(self) -> float:
        """Seconds of processor time of the process so far; where the system does not tell, of the clock on the wall."""
        if sys.platform != "linux":
            return time.monotonic()
        try:
            return time.clock_gettime(~self.pid << 3 | _CPUCLOCK_SCHED)
        except OSError:  # it has ended
            return 0.0

    @property
    def grown(self) -> int:
        """Bytes of memory that its queries have taken; 0 where the system does not tell."""
        return max(0, _resident(self.pid) - self._resting) * _PAGE

    @property
    def connected(self) -> bool:
        """Whether something can be sent."""
        return self._transport is not None

    def send(self, data: bytes) -> None:
        """Send a frame."""
        if self._transport is not None:
            self._transport.write(data)

    def kill(self) -> None:
        """End the process at once, in whatever state it is; does nothing to one that has ended."""
        self.process.kill()

    def lower_priority(self) -> None:
        """Let everybody else's work go first."""
        with contextlib.suppress(AttributeError, ProcessLookupError, PermissionError):
            os.setpriority(os.PRIO_PROCESS, self._thread, 19)

    async def connect(self) -> None:
        """Begin to listen to the process."""
        if not self._closed:
            await asyncio.get_running_loop().create_connection(lambda: self, sock=self._sock)
        if self._closed:
            # It was closed meanwhile.
            self.close()

    def close(self) -> None:
        """Give back what this end holds."""
        if self._transport is not None:
            self._transport.close()
        else:
            self._sock.close()
        if not self._closed:
            self._closed = True
            self.process.close()


class Pool(ABC):
    """The evaluators over one loaded source."""

    def __init__(self, owner: Owner) -> None:
        self.owner = owner
        self.idle: deque[Evaluator] = deque()
        self.evaluators: dict[int, Evaluator] = {}
        self.alive = False
        """Whether new evaluators can be had."""
        self.retired = False
        """Whether its evaluators are only finishing what they have begun."""
        self._expected = 0
        self._connecting: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def start(
        self, source: Source, limits: dict[str, Any], evaluators: int, launched: Launched | None = None
    ) -> None:
        """Load ``source``, in a process that is ``launched`` already if there is one, and ask for so many evaluators.

        Raises :class:`~rsm_graph.errors.InputError` when the data cannot be read, and :class:`Unavailable` when
        the process that loads them ends before it has.
        """

    @abstractmethod
    def fork(self, *, connects: bool = False) -> None:
        """Ask for one more evaluator; ``connects`` says that it may open connections, and serves one query."""

    def started(self, error: RsmGraphError | None) -> None:  # noqa: B027 - for those that load the source themselves
        """An evaluator has started, or could not load the source."""

    @abstractmethod
    def connection_lost(self, evaluator: Evaluator) -> None:
        """An evaluator has closed its end."""

    @property
    def size(self) -> int:
        """Evaluators that live or have been asked for, those for one query aside."""
        return sum(not evaluator.connects for evaluator in self.evaluators.values()) + self._expected

    @property
    def memory(self) -> int:
        """Bytes of memory of the processes, each shared page counted once; 0 where the system does not tell."""
        return sum(map(_share, self._processes()))

    async def kill(self) -> None:
        """End every process at once."""
        for evaluator in list(self.evaluators.values()):
            evaluator.kill()
        self._end()
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for evaluator in self.evaluators.values():
            evaluator.close()
        self.evaluators.clear()
        self.idle.clear()
        # Closed transports say so to their protocols in the next round of the loop.
        await asyncio.sleep(0)

    def _end(self) -> None:
        self.alive = False

    def _processes(self) -> list[int]:
        return list(self.evaluators)

    def _add(self, evaluator: Evaluator) -> None:
        self._expected -= not evaluator.connects
        self.evaluators[evaluator.pid] = evaluator
        self._begin(evaluator.connect())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
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


class ForkedPool(Pool):
    """A parent process that has loaded the source, and evaluators forked from it (Linux)."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._frames = Frames()
        self._descriptors: deque[int] = deque()
        self._loaded: asyncio.Future[None] | None = None

    async def start(
        self, source: Source, limits: dict[str, Any], evaluators: int, launched: Launched | None = None
    ) -> None:
        """Wait for the parent process; see :meth:`Pool.start`."""
        loop = asyncio.get_running_loop()
        launched = launched or Launched()
        self._process, self._control = launched.process, launched.control
        self.alive = True
        if not launched.ordered:
            launched.order(frame(LOAD, parent.encode(source, limits)))
        await asyncio.to_thread(launched.wait_until_told)
        self._control.setblocking(False)
        self._loaded = loop.create_future()
        loop.add_reader(self._control.fileno(), self._read_control)
        await self._loaded
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

    def connection_lost(self, evaluator: Evaluator) -> None:
        """Wait for the parent's word on how an evaluator ended; without a parent nobody will tell."""
        if not self.alive:
            self._remove(evaluator.pid, None)

    def _end(self) -> None:
        self._lost()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    def _processes(self) -> list[int]:
        return [*self.evaluators, *([self._process.pid] if self._process is not None else [])]

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
                started = json.loads(content)
                sock = socket.socket(fileno=self._descriptors.popleft())
                sock.setblocking(False)
                process = Forked(started["pid"], self._descriptors.popleft())
                self._add(Evaluator(self, process, sock, started["connects"]))
            elif kind == GONE:
                gone = json.loads(content)
                self._remove(gone["pid"], gone["status"])
            elif self._loaded is not None and not self._loaded.done():
                if kind == ERROR:
                    self._loaded.set_exception(error_from_json(content))
                else:
                    self._loaded.set_result(None)

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


class SpawnedPool(Pool):
    """Evaluators that load the source each for itself, where the system cannot fork."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self._load = b""
        self._first: asyncio.Future[None] | None = None

    async def start(
        self, source: Source, limits: dict[str, Any], evaluators: int, launched: Launched | None = None
    ) -> None:
        """Wait for the first evaluator; see :meth:`Pool.start`."""
        assert launched is None
        self._load = frame(LOAD, parent.encode(source, limits))
        self._first = asyncio.get_running_loop().create_future()
        self.alive = True
        self.fork()
        await self._first
        for _ in range(evaluators - 1):
            self.fork()

    def fork(self, *, connects: bool = False) -> None:
        """Start one more evaluator."""
        if not self.alive:
            return
        self._expected += not connects
        ours, theirs = socket.socketpair()
        with theirs:
            if sys.platform == "win32":
                process = python(worker.__name__, str(connects), stdin=subprocess.PIPE)
                assert process.stdin is not None
                with process.stdin as stdin:
                    stdin.write(theirs.share(process.pid))
            else:
                process = python(worker.__name__, str(connects), stdin=theirs.fileno())
        ours.setblocking(False)
        evaluator = Evaluator(self, Spawned(process), ours, connects)
        self._add(evaluator)
        self._begin(self._send_load(evaluator))

    async def _send_load(self, evaluator: Evaluator) -> None:
        while evaluator.pid in self.evaluators and not evaluator.connected:
            await asyncio.sleep(0)
        evaluator.send(self._load)

    def started(self, error: RsmGraphError | None) -> None:
        """The first evaluator has loaded the source, or could not."""
        if self._first is not None and not self._first.done():
            if error is None:
                self._first.set_result(None)
            else:
                self._first.set_exception(error)

    def connection_lost(self, evaluator: Evaluator) -> None:
        """Find out how an evaluator has ended."""
        if self.alive:
            self._begin(self._ended(evaluator))

    async def _ended(self, evaluator: Evaluator) -> None:
        process = evaluator.process
        assert isinstance(process, Spawned)
        status = await asyncio.get_running_loop().run_in_executor(None, process.popen.wait)
        self.started(Unavailable("The engine's first evaluator ended while it was loading."))
        self._remove(evaluator.pid, status)


def default_pool() -> type[Pool]:
    """Return the kind of pool for this system."""
    return ForkedPool if sys.platform == "linux" else SpawnedPool


def _resident(pid: int) -> int:
    """Return the pages of memory of a process; 0 where the system does not tell."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:  # noqa: PTH123 - twenty times as quick
            return int(file.read().split()[1])
    except OSError:
        return 0


def _share(pid: int) -> int:
    """Return the proportional share of memory of a process."""
    try:
        smaps = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss: +(\d+) kB", smaps, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
