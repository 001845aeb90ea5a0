"""The running server as its operator meets it: signals, workers, a release that changes on disk."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from rsm_graph import release
from rsm_graph.errors import InputError
from rsm_graph.settings import Settings
from rsm_graph.web.server import share
from tests.conftest import ROOT

QUERY = {"query": "SELECT (COUNT(*) AS ?n) { ?s <http://example.org/p> ?o }"}


class Running:
    """A server process under test."""

    def __init__(self, *arguments: str, cwd: Path = ROOT) -> None:
        command = [sys.executable, "-m", "rsm_graph", "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        address = self.process.stdout.readline().rpartition(" ")[2].strip()
        self.client = httpx.Client(base_url=address, timeout=20)

    def count(self) -> str:
        return self.client.get("/sparql", params=QUERY, headers={"Accept": "text/csv"}).text.split()[1]

    def wait_for(self, count: str) -> None:
        until = time.monotonic() + 20
        while self.count() != count:
            assert time.monotonic() < until, "the new data never came"
            time.sleep(0.1)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.communicate(timeout=30)
        return self.process.returncode, time.monotonic() - started

    def close(self) -> None:
        """Leave nothing behind, whatever the test did."""
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                pipe.close()


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers that end with the test."""
    running: list[Running] = []

    def begin(*arguments: str, cwd: Path = ROOT) -> Running:
        running.append(Running(*arguments, cwd=cwd))
        return running[-1]

    yield begin
    for server in running:
        server.close()


def triples(number: int) -> str:
    return "".join(f"<http://example.org/{n}> <http://example.org/p> {n} .\n" for n in range(number))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_stops_when_told(start: Start, tmp_path: Path, number: int, workers: str) -> None:
    (tmp_path / "a.ttl").write_text(triples(3))
    server = start("--data", "a.ttl", "--workers", workers, cwd=tmp_path)
    assert server.count() == "3"
    code, seconds = server.stop(number)
    assert code == 0
    assert seconds < 5


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_loads_the_files_anew(start: Start, tmp_path: Path, workers: str) -> None:
    file = tmp_path / "a.ttl"
    file.write_text(triples(3))
    server = start("--data", "a.ttl", "--workers", workers, cwd=tmp_path)
    assert server.count() == "3"
    file.write_text(triples(5))
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("5")
    server.stop()


def test_sighup_while_workers_are_still_starting_ends_none(tmp_path: Path) -> None:
    (tmp_path / "a.ttl").write_text(triples(3))
    command = [sys.executable, "-m", "rsm_graph", "serve", "--port", "0", "--data", "a.ttl", "--workers", "2"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while process.poll() is None and len(children.read_text().split()) < 2:
            time.sleep(0.001)
        process.send_signal(signal.SIGHUP)
        assert process.stdout is not None
        said = process.stdout.readline()
        process.terminate()
        process.communicate(timeout=30)
    assert "serves at" in said


def test_what_cannot_be_loaded_leaves_the_old_data(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "a.ttl"
    file.write_text(triples(3))
    server = start("--data", "a.ttl", cwd=tmp_path)
    file.write_text("<http://example.org/a> <http://example.org/p> ")
    server.process.send_signal(signal.SIGHUP)
    time.sleep(1.5)
    assert server.count() == "3"
    server.process.terminate()
    _, told = server.process.communicate(timeout=20)
    assert "not loaded, the old data are served on" in told
    assert "a.ttl:1:" in told


def test_a_dead_worker_is_replaced(start: Start, tmp_path: Path) -> None:
    (tmp_path / "a.ttl").write_text(triples(3))
    server = start("--data", "a.ttl", "--workers", "2", cwd=tmp_path)
    time.sleep(2.5)
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(int(children[0]), signal.SIGKILL)
    time.sleep(1.5)
    assert [server.count() for _ in range(10)] == ["3"] * 10
    after = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    assert len(after) == 2
    assert children[0] not in after
    server.stop()


def test_workers_share_what_the_settings_allow(start: Start, tmp_path: Path) -> None:
    (tmp_path / "a.ttl").write_text(triples(3))
    limits = ("--queries-at-once", "4", "--long-queries", "2", "--queue-length", "9")
    for workers, evaluators in (("1", 4 + 2 + 1), ("2", 2 + 1 + 1), ("8", 1 + 1 + 1)):
        server = start("--data", "a.ttl", "--workers", workers, *limits, cwd=tmp_path)
        until = time.monotonic() + 10
        while f"rsm_graph_evaluators {evaluators}\n" not in server.client.get("/metrics").text:
            assert time.monotonic() < until
            time.sleep(0.1)
        server.stop()
    one = share(Settings(workers=4, queries_at_once=6, long_queries=2, queue_length=9, cache_bytes=100))
    assert (one.queries_at_once, one.long_queries, one.queue_length, one.cache_bytes) == (2, 1, 3, 25)


def test_a_newer_release_on_disk_is_taken_up(start: Start, built: release.Release, tmp_path: Path) -> None:
    served = tmp_path / "dist"
    shutil.copytree(built.folder, served)
    server = start("--release", str(served))
    first = server.client.get("/download/SHA256SUMS").text
    project = tmp_path / "project"
    for folder in ("ontology", "data"):
        shutil.copytree(ROOT / folder, project / folder)
    text = (project / "data" / "dataset.ttl").read_text(encoding="utf-8")
    (project / "data" / "dataset.ttl").write_text(
        text.replace('dcat:keyword "NATO"@en', 'dcat:keyword "NATO"@en , "RSM"@en')
    )
    dataset = release.assemble(root=project)
    release.build(dataset, release.checked(dataset, project, quick=True), served)
    until = time.monotonic() + 30
    while server.client.get("/download/SHA256SUMS").text == first:
        assert time.monotonic() < until, "the newer release was not taken up"
        time.sleep(0.2)
    answer = server.client.get("/sparql", params={"query": 'ASK { dataset:rsm dcat:keyword "RSM"@en }'})
    assert answer.json()["boolean"] is True
    assert server.stop()[0] == 0


def test_a_damaged_release_is_refused(built: release.Release, tmp_path: Path) -> None:
    served = tmp_path / "dist"
    shutil.copytree(built.folder, served)
    (served / "rsm-graph.nq").write_bytes((served / "rsm-graph.nq").read_bytes()[:-200])
    command = [sys.executable, "-m", "rsm_graph", "serve", "--port", "0", "--release", str(served)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "rsm-graph.nq is not the file that SHA256SUMS describes" in ended.stderr


def test_sums_that_are_none_are_refused(tmp_path: Path) -> None:
    for content, complaint in ((b"nonsense\n", "is no list"), (b"\xff", "is no list"), (b"", "does not list")):
        (tmp_path / "SHA256SUMS").write_bytes(content)
        with pytest.raises(InputError, match=f"SHA256SUMS {complaint}"):
            release.open_built(tmp_path)
