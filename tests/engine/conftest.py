"""An engine with real processes, asked from outside as the web asks it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rsm_graph.engine import Answer, Query, Snapshot, Source
from rsm_graph.engine.pool import Pool
from rsm_graph.engine.supervisor import Supervisor
from rsm_graph.settings import Settings

T = TypeVar("T")
XSD = "http://www.w3.org/2001/XMLSchema#"
THINGS = 400
RUNAWAY = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l }"
"""Ten thousand million solutions and more over :func:`small_data`."""


def small_data() -> bytes:
    """Return N-Quads: things with a number each, a chain through them, and one named graph."""
    lines = []
    for i in range(THINGS):
        thing = f"<http://example.org/{i}>"
        lines.append(f'{thing} <http://example.org/n> "{i}"^^<{XSD}nonNegativeInteger> .')
        lines.append(f"{thing} <http://example.org/next> <http://example.org/{(i + 1) % THINGS}> .")
        lines.append(f'{thing} <http://www.w3.org/2000/01/rdf-schema#label> "thing {i}"@en .')
    lines.append('<http://example.org/0> <http://example.org/said> "in a graph" <http://example.org/graph> .')
    return ("\n".join(lines) + "\n").encode()


def eventually(true: Callable[[], bool], seconds: float = 1) -> None:
    """Wait until something is true; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def tasks(pid: int) -> list[Path]:
    """Return the threads of a process."""
    return list(Path(f"/proc/{pid}/task").glob("*"))


class Running:
    """An engine on an event loop in a thread of its own."""

    def __init__(self, source: Source, pools: type[Pool] | None = None, **settings: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.supervisor = Supervisor(source, Settings(**settings), pools)
        try:
            self.call(self.supervisor.start())
        except BaseException:
            self.close()
            raise
        self.until(lambda snapshot: snapshot.evaluators == self.supervisor.evaluators_wanted)

    def call(self, coroutine: Coroutine[Any, Any, T], timeout: float = 30) -> T:
        """Return what a coroutine returns on the engine's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def submit(self, text: str, **query: Any) -> Future[Answer]:
        """Begin a query; cancelling the future is a client that leaves."""
        return asyncio.run_coroutine_threadsafe(self.supervisor.evaluate(Query(text, **query)), self.loop)

    def ask(self, text: str, **query: Any) -> Answer:
        """Return the answer to a query."""
        return self.submit(text, **query).result(30)

    def text(self, text: str, **query: Any) -> str:
        """Return the body of the answer to a query."""
        return b"".join(self.ask(text, **query).parts()).decode()

    def snapshot(self) -> Snapshot:
        """Return the engine's counters."""

        async def snapshot() -> Snapshot:
            return self.supervisor.snapshot()

        return self.call(snapshot())

    def until(self, reached: Callable[[Snapshot], bool], seconds: float = 10) -> Snapshot:
        """Return the first snapshot that satisfies ``reached``."""
        end = time.monotonic() + seconds
        while not reached(snapshot := self.snapshot()):
            assert time.monotonic() < end, snapshot
            time.sleep(0.005)
        return snapshot

    def close(self) -> None:
        """End the engine and its loop."""
        self.call(self.supervisor.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()


@pytest.fixture(scope="session")
def engine() -> Iterator[Running]:
    """An engine over the small data with short limits, for tests that leave it as they found it."""
    running = Running(Source(quads=small_data()), query_timeout=2, query_memory=256, queries_at_once=2)
    yield running
    running.close()


@pytest.fixture
def started() -> Iterator[Callable[..., Running]]:
    """Start engines of a test's own over the small data, or over another source; ends them afterwards."""
    running: list[Running] = []

    def start(source: Source | None = None, **settings: Any) -> Running:
        running.append(Running(source or Source(quads=small_data()), **settings))
        return running[-1]

    yield start
    for one in running:
        one.close()
