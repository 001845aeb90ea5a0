"""What happens at the limits, and when processes end that should not."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from rsm_graph.engine import DataFile, Source, pool, supervisor
from rsm_graph.errors import AnswerTooLarge, InputError, QueryMemory, QueryTimeout, RdfSyntaxError, Unavailable

from .conftest import RUNAWAY, THINGS, Running, eventually, small_data, tasks

Start = Callable[..., Running]
LIGHT = "SELECT * { <http://example.org/5> ?p ?o }"
ALL = "SELECT * { ?s ?p ?o }"
MEMORY = "SELECT (GROUP_CONCAT(CONCAT(STR(?a), STR(?d))) AS ?x) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes as Linux shows them")


def parent_of(engine: Running) -> psutil.Process:
    """Return the process that has loaded the store."""
    (parent,) = [p for p in psutil.Process().children() if "rsm_graph.engine.parent" in p.cmdline()[-1:]][-1:]
    assert engine.snapshot().ready
    return parent


def busy(parent: psutil.Process) -> list[psutil.Process]:
    """Return the evaluators that are at work: one of their threads wants the processor."""
    return [child for child in parent.children() if any(state(thread) == "R" for thread in tasks(child.pid))]


def state(thread: Path) -> str:
    """Return the state of a thread by its letter; empty when it has ended."""
    try:
        return (thread / "stat").read_text().rpartition(") ")[2][:1]
    except FileNotFoundError:
        return ""


def test_a_query_is_stopped_at_its_time_and_its_evaluator_replaced(started: Start) -> None:
    engine = started(query_timeout=0.5)
    before = {child.pid for child in parent_of(engine).children()}
    began = time.monotonic()
    with pytest.raises(QueryTimeout, match=r"0\.5 s"):
        engine.ask(RUNAWAY)
    assert 0.5 <= time.monotonic() - began < 0.75
    parent = parent_of(engine)
    eventually(lambda: len({child.pid for child in parent.children()} & before) == len(before) - 1)
    eventually(lambda: len(parent.children()) == len(before))
    assert not busy(parent), "its processor time has ended"
    assert engine.snapshot().kills == {"deadline": 1}


def test_a_client_that_leaves_ends_its_query(started: Start) -> None:
    engine = started(query_timeout=30)
    future = engine.submit(RUNAWAY)
    engine.until(lambda snapshot: snapshot.running == 1)
    future.cancel()
    engine.until(lambda snapshot: snapshot.running == 0, 0.2)
    eventually(lambda: not busy(parent_of(engine)))
    assert engine.snapshot().outcomes == {"cancelled": 1}


def test_a_query_beyond_its_memory_ends_alone(started: Start) -> None:
    engine = started(query_timeout=20, query_memory=64)
    with pytest.raises(QueryMemory):
        engine.ask(MEMORY)
    assert engine.ask(LIGHT)
    assert engine.snapshot().crashes == 1


def test_identical_queries_are_evaluated_once(started: Start) -> None:
    engine = started(queries_at_once=1)
    query = "SELECT (COUNT(*) AS ?n) { ?a <http://example.org/n> ?b . ?c <http://example.org/n> ?d }"
    futures = [engine.submit(query) for _ in range(20)]
    answers = {future.result(30).data for future in futures}
    assert len(answers) == 1
    assert engine.snapshot().outcomes == {"answered": 1}


def test_one_of_several_who_ask_the_same_may_leave(started: Start) -> None:
    engine = started(query_timeout=1)
    first, second = engine.submit(RUNAWAY), engine.submit(RUNAWAY)
    engine.until(lambda snapshot: snapshot.running == 1)
    first.cancel()
    with pytest.raises(QueryTimeout):
        second.result(5)


def test_small_queries_are_answered_beside_runaways(started: Start) -> None:
    engine = started(query_timeout=3, queries_at_once=2, long_queries=2, short_seconds=0.05)
    runaways = [engine.submit(f"{RUNAWAY} # {i}", client="heavy") for i in range(12)]
    time.sleep(0.3)
    took = []
    for i in range(50):
        began = time.monotonic()
        engine.ask(f"{LIGHT} # {i}", client="light")
        took.append(time.monotonic() - began)
    assert sorted(took)[25] < 0.05
    assert max(took) < 0.5
    outcomes = {type(future.exception(10)) for future in runaways}
    assert outcomes <= {QueryTimeout, Unavailable}
    snapshot = engine.snapshot()
    assert snapshot.waiting == snapshot.running == 0


def test_a_query_that_lost_its_place_begins_again_and_is_answered(started: Start) -> None:
    slow = "SELECT (COUNT(*) AS ?n) { ?a <http://example.org/n> ?b . ?c <http://example.org/n> ?d . ?d ?p ?o }"
    engine = started(query_timeout=20, queries_at_once=1, long_queries=1, short_seconds=0.02)
    futures = [engine.submit(f"{slow} # {i}") for i in range(3)]
    for i in range(20):
        engine.ask(f"{LIGHT} # {i}")
    assert {future.result(20).data for future in futures} == {futures[0].result().data}


def test_a_query_that_has_hardly_run_in_its_slice_gets_another(started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool.Evaluator, "worked", 0.0)
    engine = started(query_timeout=3, queries_at_once=1, long_queries=1, short_seconds=0.02)
    futures = [engine.submit(f"{RUNAWAY} # {i}") for i in range(6)]
    engine.until(lambda snapshot: snapshot.kills.get("preempted", 0) > 10)
    for future in futures:
        future.cancel()


def test_the_queue_is_bounded(started: Start) -> None:
    engine = started(query_timeout=1, queries_at_once=1, long_queries=1, queue_length=3)
    futures = [engine.submit(f"{RUNAWAY} # {i}") for i in range(10)]
    errors = [future.exception(5) for future in futures]
    assert all(isinstance(error, QueryTimeout | Unavailable) for error in errors)
    assert [str(error) for error in errors].count("Too many queries are waiting. Ask again in a moment.") >= 5


def test_clients_take_turns(started: Start) -> None:
    engine = started(query_timeout=20, queries_at_once=1, long_queries=1, short_seconds=20)
    work = "SELECT (COUNT(*) AS ?n) { ?a <http://example.org/n> ?b . ?c <http://example.org/n> ?d }"
    order: list[str] = []
    futures = []
    for client, number in (("greedy", 20), ("modest", 1)):
        for i in range(number):
            future = engine.submit(f"{work} # {client} {i}", client=client)
            future.add_done_callback(lambda _, client=client: order.append(client))
            futures.append(future)
    concurrent.futures.wait(futures, 30)
    assert order.index("modest") < 5


def test_a_long_answer_waits_in_a_file_until_it_is_whole(started: Start) -> None:
    engine = started(spool_bytes=1000)
    answer = engine.ask(ALL)
    assert answer.file is not None
    assert answer.data == b""
    body = b"".join(answer.parts())
    assert len(body) == answer.length
    assert body.count(b'"s"') == 3 * THINGS + 1
    assert b"".join(answer.parts()) == body, "it can be read again"


def test_an_answer_beyond_its_bound_is_refused_whole(started: Start) -> None:
    engine = started(answer_bytes=2**16)
    with pytest.raises(AnswerTooLarge):
        engine.ask(ALL)
    assert engine.ask(LIGHT)


@linux
def test_an_evaluator_that_is_killed_in_the_middle_is_tried_once_more(started: Start) -> None:
    engine = started(query_timeout=20)
    future = engine.submit(RUNAWAY)
    for _ in range(2):
        engine.until(lambda snapshot: snapshot.running == 1)
        time.sleep(0.1)
        eventually(lambda: bool(busy(parent_of(engine))))
        (at_work,) = busy(parent_of(engine))
        at_work.kill()
        psutil.wait_procs([at_work], 5)
    with pytest.raises(Unavailable):
        future.result(5)
    assert engine.snapshot().crashes == 2


@linux
def test_idle_evaluators_that_are_killed_are_replaced_unnoticed(started: Start) -> None:
    engine = started()
    for child in parent_of(engine).children():
        child.kill()
    assert [engine.ask(f"{LIGHT} # {i}").length for i in range(5)]


@linux
def test_a_lost_parent_is_built_again(started: Start) -> None:
    engine = started()
    parent = parent_of(engine)
    parent.kill()
    engine.until(lambda snapshot: not snapshot.ready)
    answers = [engine.submit(f"{LIGHT} # {i}") for i in range(20)]
    assert all(answer.result(10) for answer in answers), "nobody noticed"
    snapshot = engine.until(lambda snapshot: snapshot.ready)
    assert snapshot.rebuilds == 1
    assert parent_of(engine).pid != parent.pid


@linux
def test_nothing_is_left_when_the_front_process_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "front.py"
    script.write_text(
        "import asyncio, os, sys\n"
        "from rsm_graph.engine import Query, Source\n"
        "from rsm_graph.engine.supervisor import Supervisor\n"
        "from rsm_graph.settings import Settings\n"
        "async def main():\n"
        "    engine = Supervisor(Source(quads=sys.stdin.buffer.read()), Settings(query_timeout=60))\n"
        "    await engine.start()\n"
        "    task = asyncio.ensure_future(engine.evaluate(Query(sys.argv[1])))\n"
        "    await asyncio.sleep(0.3)\n"
        "    print('ready', flush=True)\n"
        "    await task\n"
        "asyncio.run(main())\n"
    )
    front = subprocess.Popen(
        [sys.executable, script, RUNAWAY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert front.stdin is not None
    assert front.stdout is not None
    with front.stdin as stdin:
        stdin.write(small_data())
    assert front.stdout.readline() == b"ready\n"
    family = psutil.Process(front.pid).children(recursive=True)
    assert len(family) > 2
    front.send_signal(signal.SIGKILL)
    front.wait()
    front.stdout.close()
    _, alive = psutil.wait_procs(family, 3)
    assert not alive


def test_a_new_release_is_swapped_in_without_a_failure(started: Start) -> None:
    engine = started(query_timeout=5, queries_at_once=2)
    ask = "SELECT ?o { <urn:release> <urn:is> ?o }"
    long = engine.submit("SELECT (COUNT(*) AS ?n) { ?a <http://example.org/n> ?b . ?c <http://example.org/n> ?d }")
    engine.until(lambda snapshot: snapshot.running == 1)
    running = [engine.submit(f"{ALL} # {i}") for i in range(20)]
    engine.call(engine.supervisor.reload(Source(quads=b'<urn:release> <urn:is> "new" .\n')))
    assert "new" in engine.text(ask)
    assert all(future.result(10).length for future in running)
    assert str(THINGS**2) in long.result(10).data.decode()
    parents = [p for p in psutil.Process().children() if "rsm_graph.engine.parent" in p.cmdline()[-1:]]
    engine.until(lambda snapshot: snapshot.evaluators == engine.supervisor.evaluators_wanted)
    assert sum(parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE for parent in parents) >= 1


@linux
def test_all_queries_together_are_bounded_in_memory(started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_TOGETHER", 0)  # what one query may take is then what all may
    engine = started(query_timeout=3, query_memory=80, queries_at_once=4, long_queries=4)
    columns = " ".join(f"(COUNT(DISTINCT CONCAT(STR(?a), STR(?f), '{i}')) AS ?n{i})" for i in range(100))
    hungry = f"SELECT {columns} {{ ?a ?b ?c . ?d ?e ?f }}"
    futures = [engine.submit(f"{hungry} # {i}") for i in range(6)]
    most = 0
    while not all(future.done() for future in futures):
        most = max(most, engine.snapshot().memory_bytes)
        engine.ask(f"{LIGHT} # {most} {time.monotonic()}")
    errors = [future.exception() for future in futures]
    assert all(isinstance(error, QueryMemory | QueryTimeout) for error in errors)
    assert "All queries together" in "".join(map(str, errors))
    assert most < 300 * 2**20, "80 MiB, what store and idle processes take, and what grows between two looks"


def test_a_release_that_cannot_be_read_changes_nothing(started: Start, tmp_path: Path) -> None:
    engine = started()
    broken = tmp_path / "broken.ttl"
    broken.write_text("<urn:a> <urn:b> .\n")
    with pytest.raises(RdfSyntaxError, match=r"broken\.ttl:1:"):
        engine.call(engine.supervisor.reload(Source(files=(DataFile(broken),))))
    assert engine.ask(LIGHT).length > 100
    assert engine.snapshot().ready


def test_data_that_cannot_be_read_keep_the_engine_from_starting(started: Start, tmp_path: Path) -> None:
    for path in (tmp_path / "missing.ttl", tmp_path):
        with pytest.raises(InputError):
            started(Source(files=(DataFile(path),)))
    with pytest.raises(InputError):
        started(Source(store=tmp_path / "nowhere"))


def test_closing_ends_queries_and_processes(started: Start) -> None:
    engine = started(query_timeout=30)
    futures = [engine.submit(f"{RUNAWAY} # {i}") for i in range(5)]
    engine.until(lambda snapshot: snapshot.running > 0)
    parent = parent_of(engine)
    family = [parent, *parent.children()]
    began = time.monotonic()
    engine.call(engine.supervisor.close())
    assert all(isinstance(future.exception(5), Unavailable) for future in futures)
    assert time.monotonic() - began < 1
    with pytest.raises(Unavailable):
        engine.ask(LIGHT)
    _, alive = psutil.wait_procs(family, 3)
    assert not alive


def test_the_counters_add_up(started: Start) -> None:
    engine = started()
    for i in range(3):
        engine.ask(f"{LIGHT} # {i}")
    snapshot = engine.snapshot()
    assert snapshot.outcomes == {"answered": 3}
    assert snapshot.durations[-1][1] == 3
    assert snapshot.duration_sum > 0
    if sys.platform == "linux":
        assert 10 * 2**20 < snapshot.memory_bytes < 200 * 2**20
