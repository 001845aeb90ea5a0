"""A server under abuse: raw requests to it, a look at its processes, and somebody who goes on asking beside."""

from __future__ import annotations

import contextlib
import itertools
import re
import select
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit

import psutil

from tests.conftest import running

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Answer(NamedTuple):
    """What came back: the status (0: nothing, or a connection that was cut), and how many bytes in which time."""

    status: int
    seconds: float
    length: int
    body: bytes
    """Its beginning."""
    answers: int
    """How many answers there were; more than one shows that a request was smuggled in."""


class Target(NamedTuple):
    """Address of a server, and the process that serves (0: unknown)."""

    host: str
    port: int
    pid: int = 0
    source: str = ""
    """Address to ask from; on Linux all of 127.0.0.0/8 is one's own."""

    @classmethod
    def of(cls, url: str, pid: int = 0) -> Target:
        """Return the target of an http URL."""
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 80, pid)

    def connect(self) -> socket.socket:
        """Return a new connection."""
        source = (self.source, 0) if self.source else None
        return socket.create_connection((self.host, self.port), timeout=30, source_address=source)

    def send(self, request: bytes, seconds: float = 60, *, alone: bool = True) -> Answer:
        """Send ``request`` as it is, and read at the same time, for a server may refuse before all has come.

        ``alone`` says that the first whole answer is the only one to wait for; else the connection is read to its end.
        """
        began = time.monotonic()
        rest = memoryview(request)
        received = bytearray()
        with self.connect() as sock:
            sock.setblocking(False)
            poll = select.poll()  # takes descriptors beyond 1,024
            poll.register(sock)
            while time.monotonic() - began < seconds:
                poll.modify(sock, select.POLLIN | (select.POLLOUT if rest else 0))
                events = sum(event for _, event in poll.poll(seconds * 1000))
                try:
                    if events & ~select.POLLOUT:
                        block = sock.recv(1 << 20)
                        if not block:
                            break
                        received += block
                        if alone and _is_whole(received):
                            break
                    elif events:
                        rest = rest[sock.send(rest[: 1 << 16]) :]
                except ConnectionError:
                    if not rest:
                        break
                    rest = memoryview(b"")  # it does not want more; what it said before is still to be read
        return answer(bytes(received), time.monotonic() - began)

    def ask(self, query: str, accept: str = "text/csv") -> Answer:
        """Ask one query."""
        return self.send(query_request(query, accept))


def _is_whole(received: bytearray) -> bool:
    head, separator, body = bytes(received[:65536]).partition(b"\r\n\r\n")
    if not separator:
        return False
    length = _LENGTH.search(head + b"\r\n")
    return length is not None and len(received) - len(head) - 4 >= int(length[1]) and bool(body or not int(length[1]))


def answer(received: bytes, seconds: float) -> Answer:
    """Return what was received as an answer."""
    head, _, body = received.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
    answers = len(re.findall(rb"HTTP/1\.[01] \d{3} ", received))
    return Answer(int(status[1]) if status else 0, seconds, len(body), body[:20_000], answers)


def post(path: str, kind: str, body: bytes, accept: str = "*/*") -> bytes:
    """Return the bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {kind}\r\nAccept: {accept}\r\nContent-Length: {len(body)}"
    return f"{head}\r\nConnection: close\r\n\r\n".encode("latin-1") + body


def query_request(query: str, accept: str = "text/csv") -> bytes:
    """Return the bytes of a request for one query."""
    return post("/sparql", "application/sparql-query", query.encode("utf-8", "surrogatepass"), accept)


def get(path: str, *fields: str) -> bytes:
    """Return the bytes of a GET."""
    lines = "".join(f"{line}\r\n" for line in (f"GET {path} HTTP/1.1", "Host: a", "Connection: close", *fields))
    return lines.encode("latin-1") + b"\r\n"


_numbers = itertools.count()


@dataclass
class Beside:
    """While it is entered: somebody asks small queries, each new, and the memory of the server is looked at."""

    target: Target
    pause: float = 0.05
    slowest: float = 0.0
    """Seconds of the slowest small query."""
    took: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    """Statuses of the small queries that failed."""
    base: int = 0
    """Bytes of memory of all processes of the server at the beginning, each shared page counted once."""
    most: int = 0
    """The same at its highest."""

    def __enter__(self) -> Beside:
        self.base = self.most = memory(self.target.pid)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask)]
        if self.target.pid:
            self._threads.append(threading.Thread(target=self._look))
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self.slowest = max(self.took, default=0.0)

    def _ask(self) -> None:
        while True:
            reply = self.target.ask(f"SELECT * {{ <urn:nothing> ?p ?o }} # {next(_numbers)}")
            self.took.append(reply.seconds)
            if reply.status != 200:
                self.failed.append(reply.status)
            if self._over.wait(self.pause):
                return

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self.most = max(self.most, memory(self.target.pid))


def memory(pid: int) -> int:
    """Return the memory of a process and all its children, each shared page counted once; 0 for no process."""
    if not pid:
        return 0
    total = 0
    root = psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        with contextlib.suppress(OSError, psutil.Error):
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)[1]) * 1024  # type: ignore[index]
    return total


def at_once(target: Target, requests: list[bytes]) -> list[Answer]:
    """Send requests at the same time."""
    replies: list[Answer] = []
    threads = [threading.Thread(target=lambda r=r: replies.append(target.send(r))) for r in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[Target]:
    """Run ``rsm-graph serve`` on a free port, and wait until it is ready."""
    with running(*arguments) as (address, pid):
        target = Target.of(address, pid)
        target.send(get("/health/ready"))
        yield target
