"""The engine where the system cannot fork: the same, with processes that load the data each for itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rsm_graph.engine import DataFile, Source
from rsm_graph.engine.pool import SpawnedPool
from rsm_graph.errors import QueryMemory, QueryRefused, QueryTimeout, RdfSyntaxError

from .conftest import RUNAWAY, Running, small_data
from .test_bounds import LIGHT, MEMORY

Start = Callable[..., Running]


def test_queries_are_answered_and_stopped(started: Start) -> None:
    engine = started(pools=SpawnedPool, query_timeout=1, query_memory=64, queries_at_once=1, long_queries=1)
    assert "thing 5" in engine.text(LIGHT)
    began = time.monotonic()
    with pytest.raises(QueryTimeout):
        engine.ask(RUNAWAY)
    assert time.monotonic() - began < 1.25
    future = engine.submit(f"{RUNAWAY} # left")
    engine.until(lambda snapshot: snapshot.running == 1)
    future.cancel()
    engine.until(lambda snapshot: snapshot.running == 0)
    with pytest.raises(QueryRefused):
        engine.ask("ASK { SERVICE <http://127.0.0.1/> { ?s ?p ?o } }")
    assert "thing 5" in engine.text(f"{LIGHT} # again")
    engine.until(lambda snapshot: snapshot.evaluators == engine.supervisor.evaluators_wanted)
    engine.call(engine.supervisor.reload(Source(quads=b"<urn:a> <urn:b> <urn:c> .\n")))
    assert "urn:c" in engine.text("SELECT * { ?s ?p ?o }")


def test_a_query_beyond_its_memory_ends_alone(started: Start) -> None:
    engine = started(pools=SpawnedPool, query_timeout=10, query_memory=64, queries_at_once=1, long_queries=1)
    with pytest.raises(QueryMemory):
        engine.ask(MEMORY)
    assert "thing 5" in engine.text(LIGHT)


def test_data_that_cannot_be_read_are_reported(started: Start, tmp_path: Path) -> None:
    broken = tmp_path / "broken.ttl"
    broken.write_text("<urn:a> <urn:b> .\n")
    with pytest.raises(RdfSyntaxError):
        started(Source(files=(DataFile(broken),)), pools=SpawnedPool)


def test_an_on_disk_store_is_shared(started: Start, tmp_path: Path) -> None:
    data = tmp_path / "data.nq"
    data.write_bytes(small_data())
    source = Source(files=(DataFile(data),), store=tmp_path / "store")
    engine = started(source, pools=SpawnedPool, queries_at_once=1, long_queries=1)
    assert [engine.text(f"{LIGHT} # {i}").count("thing 5") for i in range(3)] == [1, 1, 1]
