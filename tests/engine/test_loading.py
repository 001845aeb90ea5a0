"""Where the evaluated data may come from."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pyoxigraph as ox
import pytest
import zstandard

from rsm_graph.engine import DataFile, Query, Source
from rsm_graph.engine.local import LocalEngine
from rsm_graph.errors import InputError
from rsm_graph.settings import Settings

from .conftest import XSD, Running, eventually, small_data, tasks

Start = Callable[..., Running]
COUNT = "SELECT (COUNT(*) AS ?n) { { ?s ?p ?o } UNION { GRAPH ?g { ?s ?p ?o } } }"


def number(engine: Running | LocalEngine, query: str = COUNT) -> int:
    """Return the only cell of an answer."""
    answer = (
        engine.ask(query, format="csv") if isinstance(engine, Running) else engine.evaluate(Query(query, format="csv"))
    )
    return int(answer.data.split()[1])


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.ttl", "text/turtle"),
        ("a.nt", "application/n-triples"),
        ("a.rdf", "application/rdf+xml"),
        ("a.jsonld", "application/ld+json"),
    ],
)
def test_files_of_every_syntax_load_into_the_graph_that_is_asked_for(
    tmp_path: Path, name: str, kind: str, exact: bool
) -> None:
    triple = ox.Triple(ox.NamedNode("urn:a"), ox.NamedNode("http://example.org/p"), ox.Literal("é"))
    data = ox.serialize([triple], format=ox.RdfFormat.from_media_type(kind))
    plain, gz, zst = (tmp_path / f"{name}{ending}" for ending in ("", ".gz", ".zst"))
    plain.write_bytes(data)
    gz.write_bytes(gzip.compress(data))
    zst.write_bytes(zstandard.compress(data))
    files = (DataFile(plain), DataFile(plain, "urn:g"), DataFile(gz, "urn:h"), DataFile(zst, "urn:i"))
    engine = LocalEngine(Source(files=files, exact=exact), Settings())
    assert number(engine) == 4
    assert number(engine, "SELECT (COUNT(DISTINCT ?g) AS ?n) { GRAPH ?g { <urn:a> ?p ?o } }") == 3


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("zst", zstandard.compress)])
def test_a_compressed_file_that_is_cut_off_or_is_none_is_refused(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes], exact: bool
) -> None:
    whole = pack(b"".join(b"<urn:%d> <urn:p> <urn:o> .\n" % number for number in range(5000)))
    path = tmp_path / f"a.nt.{ending}"
    for content in (whole[:-1], whole[: len(whole) // 2], b"<urn:a> <urn:p> <urn:o> .\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"a.nt.{ending}: cannot be read"):
            LocalEngine(Source(files=(DataFile(path),), exact=exact), Settings())


@pytest.mark.parametrize("exact", [True, False])
def test_blank_nodes_of_two_files_stay_two(tmp_path: Path, exact: bool) -> None:
    for name in ("a.ttl", "b.ttl"):
        (tmp_path / name).write_text("_:x <urn:p> <urn:o> .")
    files = tuple(DataFile(tmp_path / name) for name in ("a.ttl", "b.ttl"))
    assert number(LocalEngine(Source(files=files, exact=exact), Settings())) == 2


def test_quads_keep_their_graphs(tmp_path: Path) -> None:
    path = tmp_path / "a.trig"
    path.write_text("<urn:a> <urn:p> 1 . <urn:g> { <urn:a> <urn:p> 2 }")
    engine = LocalEngine(Source(files=(DataFile(path, "urn:ignored"),)), Settings())
    assert number(engine, "SELECT ?o { GRAPH <urn:g> { ?s ?p ?o } }") == 2


def test_bulk_loading_keeps_values_and_says_so_by_their_form(tmp_path: Path) -> None:
    path = tmp_path / "a.nt"
    path.write_text(f'<urn:a> <urn:p> "08"^^<{XSD}int> .\n')
    for exact, form in ((True, "08"), (False, "8")):
        engine = LocalEngine(Source(files=(DataFile(path),), exact=exact), Settings())
        assert f'"value":"{form}"' in engine.evaluate(Query("SELECT ?o { ?s ?p ?o }")).data.decode()


def test_an_on_disk_store_is_filled_once_and_then_served(started: Start, tmp_path: Path) -> None:
    data = tmp_path / "data.nq"
    data.write_bytes(small_data())
    folder = tmp_path / "store"
    first = started(Source(files=(DataFile(data),), store=folder))
    total = number(first)
    assert total == small_data().count(b"\n")
    second = started(Source(files=(DataFile(data),), store=folder))
    third = started(Source(store=folder))
    assert number(second) == number(third) == total
    for i in range(20):
        assert number(third, f"{COUNT} # {i}") == total
    assert number(LocalEngine(Source(store=folder), Settings())) == total


def test_a_folder_that_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        LocalEngine(Source(store=tmp_path / "nowhere"), Settings())
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the limits are those of Linux")
@pytest.mark.parametrize("disk", [False, True])
def test_evaluators_can_open_nothing(started: Start, tmp_path: Path, disk: bool) -> None:
    data = tmp_path / "data.nq"
    data.write_bytes(small_data())
    engine = started(Source(files=(DataFile(data),), store=tmp_path / "store" if disk else None))
    engine.ask("ASK {}")
    parents = [p for p in psutil.Process().children() if "rsm_graph.engine.parent" in p.cmdline()[-1:]]
    evaluators = [child for parent in parents for child in parent.children()]
    assert evaluators
    for evaluator in evaluators:
        # The threads of an on-disk store are older than the seal; they evaluate nothing.
        eventually(lambda pid=evaluator.pid: len(sealed(pid)) >= 2 if disk else sealed(pid) == tasks(pid))
        limits = Path(f"/proc/{evaluator.pid}/limits").read_text()
        opened = len(list(Path(f"/proc/{evaluator.pid}/fd").iterdir()))
        assert disk or (f"Max open files            {opened}" in limits and opened == 4)
        assert "Max core file size        0" in limits


def sealed(pid: int) -> list[Path]:
    """Return the threads of a process that the kernel keeps from making sockets."""
    return [thread for thread in tasks(pid) if "Seccomp:\t2" in (thread / "status").read_text()]
