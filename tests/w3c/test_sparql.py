"""W3C's SPARQL 1.0 and 1.1 query tests, asked over HTTP.

They need a checkout of https://github.com/w3c/rdf-tests: ``RDF_TESTS=/path/to/rdf-tests pytest tests/w3c``.
"""

from __future__ import annotations

import asyncio
import csv
import http.server
import io
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pyoxigraph as ox
import pytest
import uvicorn

from rsm_graph import formats, validation
from rsm_graph.dataset import Dataset
from rsm_graph.engine import Source
from rsm_graph.engine.screen import Limits, examine
from rsm_graph.engine.supervisor import Supervisor
from rsm_graph.errors import QueryError
from rsm_graph.release import SUMS, Release
from rsm_graph.settings import Settings
from rsm_graph.web.app import App

from .sparql_known import KNOWN_FAILURES

FOLDER = Path(os.environ["RDF_TESTS"]) / "sparql" if os.environ.get("RDF_TESTS") else None
MANIFESTS = (
    "sparql10/manifest-evaluation.ttl",
    "sparql10/manifest-syntax.ttl",
    "sparql11/manifest-sparql11-query.ttl",
    "sparql11/manifest-sparql11-results.ttl",
    "sparql11/manifest-sparql11-fed.ttl",
)
BASE = "http://rdf-tests.example/"
MF = "http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#"
QT = "http://www.w3.org/2001/sw/DataAccess/tests/test-query#"
RS = "http://www.w3.org/2001/sw/DataAccess/tests/result-set#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
needs_tests = pytest.mark.skipif(FOLDER is None, reason="RDF_TESTS does not name a checkout of w3c/rdf-tests")


class Graph:
    """A graph that is read by walking from node to node."""

    def __init__(self, quads: Iterator[ox.Quad]) -> None:
        self._values: dict[tuple[Any, str], list[Any]] = {}
        for quad in quads:
            self._values.setdefault((quad.subject, quad.predicate.value), []).append(quad.object)

    def all(self, subject: Any, predicate: str) -> list[Any]:
        """Return every value."""
        return self._values.get((subject, predicate), [])

    def one(self, subject: Any, predicate: str) -> Any:
        """Return the value, or ``None``."""
        return next(iter(self.all(subject, predicate)), None)

    def list(self, head: Any) -> Iterator[Any]:
        """Yield the members of a collection."""
        while head is not None and head.value != f"{RDF}nil":
            yield self.one(head, f"{RDF}first")
            head = self.one(head, f"{RDF}rest")

    def with_value(self, predicate: str) -> list[Any]:
        """Return the subjects that have a value."""
        return [subject for subject, known in self._values if known == predicate]


@dataclass(frozen=True)
class Case:
    """One test of a manifest."""

    name: str
    kind: str
    query: str
    """Path of the query below the tests' folder."""
    default: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    result: str = ""
    lax: bool = False
    """Whether solutions may be left out that stand there twice (REDUCED)."""
    services: tuple[tuple[str, str], ...] = ()
    """Addresses of other endpoints with the path of what they hold."""


def read(path: str) -> Iterator[ox.Quad]:
    """Yield the statements of a file of the tests."""
    assert FOLDER is not None
    kind = ox.RdfFormat.from_extension(path.rpartition(".")[2])
    yield from ox.parse(path=FOLDER / path, format=kind, base_iri=BASE + path, rename_blank_nodes=True)


def cases(manifest: str) -> Iterator[Case]:
    """Yield the tests of a manifest and of those that it includes."""
    graph = Graph(read(manifest))

    def path(node: Any) -> str:
        return str(node.value).removeprefix(BASE) if node is not None else ""

    for subject in graph.with_value(f"{MF}include"):
        for head in graph.all(subject, f"{MF}include"):
            for included in graph.list(head):
                yield from cases(path(included))
    for subject in graph.with_value(f"{MF}entries"):
        for entry in graph.list(graph.one(subject, f"{MF}entries")):
            action = graph.one(entry, f"{MF}action")
            kind = next(t.value.partition("#")[2] for t in graph.all(entry, f"{RDF}type"))
            name = f"{manifest.rpartition('/')[0]}/{entry.value.rpartition('#')[2]}"
            query = graph.one(action, f"{QT}query") or action
            named = [graph.one(node, f"{QT}graph") or node for node in graph.all(action, f"{QT}graphData")]
            yield Case(
                name,
                kind,
                path(query),
                tuple(path(node) for node in graph.all(action, f"{QT}data")),
                tuple(path(node) for node in named),
                path(graph.one(entry, f"{MF}result")),
                graph.one(entry, f"{MF}resultCardinality") is not None,
                tuple(
                    (graph.one(node, f"{QT}endpoint").value, path(graph.one(node, f"{QT}data")))
                    for node in graph.all(action, f"{QT}serviceData")
                ),
            )


def text_of(case: Case) -> str:
    """Return the query with its base."""
    assert FOLDER is not None
    return f"BASE <{BASE}{case.query}> " + (FOLDER / case.query).read_bytes().decode()


SERVICES = re.compile(r"http://(example\d?|invalid\.endpoint)\.org/sparql")
"""Addresses of endpoints in queries and data."""


class Remote(http.server.ThreadingHTTPServer):
    """The other endpoints of the federated tests, all on one port, told apart by their paths."""

    daemon_threads = True

    def __init__(self) -> None:
        self.stores: dict[str, ox.Store] = {}
        super().__init__(("127.0.0.1", 0), Answering)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self.thread.start()

    def here(self, text: str) -> str:
        """Return a text with the addresses of endpoints replaced by those here."""
        return SERVICES.sub(lambda found: f"http://127.0.0.1:{self.server_address[1]}/{found[1]}", text)

    def hold(self, services: tuple[tuple[str, str], ...]) -> None:
        """Answer as these endpoints from now on, and as no others."""
        self.stores = {}
        for address, path in services:
            store = self.stores[self.here(address).rpartition("/")[2]] = ox.Store()
            store.extend(read(path))

    def close(self) -> None:
        """Stop."""
        self.shutdown()
        self.thread.join()
        self.server_close()


class Answering(http.server.BaseHTTPRequestHandler):
    server: Remote

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        store = self.server.stores.get(self.path[1:])
        body = b""
        if store is not None:
            results = store.query(text)
            assert isinstance(results, ox.QuerySolutions)
            body = results.serialize(format=ox.QueryResultsFormat.JSON) or b""
        self.send_response(200 if store is not None else 404)
        self.send_header("Content-Type", "application/sparql-results+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def documents(case: Case) -> tuple[str, ...]:
    """Return the IRIs behind FROM and FROM NAMED, resolved."""
    try:
        known = examine(text_of(case), Limits()).documents
    except QueryError:
        return ()
    relative = re.findall(r"FROM\s+(?:NAMED\s+)?<([^:>]*)>", text_of(case))
    return (*known, *(f"{BASE}{case.query.rpartition('/')[0]}/{path}" for path in relative))


def source_of(case: Case) -> Source:
    """Return the dataset of a test: what it names, or what its query does (one triple for a document not there)."""
    quads: list[ox.Quad] = []
    for path in case.default:
        quads += read(path)
    named = {BASE + path: path for path in case.named}
    if not case.default and not case.named:
        named = {iri: iri.removeprefix(BASE) for iri in documents(case)}
    for iri, path in named.items():
        graph = ox.NamedNode(iri)
        if FOLDER is not None and (FOLDER / path).is_file():
            quads += [ox.Quad(q.subject, q.predicate, q.object, graph) for q in read(path)]
        else:
            quads.append(ox.Quad(graph, ox.NamedNode(f"{RDF}type"), graph, graph))
    return Source(quads=ox.serialize(quads, format=ox.RdfFormat.N_QUADS))


class Endpoint:
    """The endpoint of this project, over one dataset after another."""

    def __init__(self, folder: Path) -> None:
        (folder / SUMS).touch()
        self.remote = Remote()
        names = ("example", "example1", "example2", "invalid.endpoint")
        allowed = tuple(self.remote.here(f"http://{name}.org/sparql") for name in names)
        settings = Settings(cache_bytes=0, query_timeout=5, allow_service=allowed)
        self.engine = Supervisor(Source(), settings)
        report = validation.Report(settings.base_iri, (), {}, {}, (), 0)
        app = App(Release(Dataset(settings.base_iri, ()), report, folder), self.engine, settings)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_config=None))
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive()
            time.sleep(0.01)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.socket.getsockname()[1]}", timeout=30)
        self.source = Source()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.server.serve([self.socket]))

    def load(self, source: Source) -> None:
        """Serve another dataset."""
        if source != self.source:
            asyncio.run_coroutine_threadsafe(self.engine.reload(source), self.loop).result(30)
            self.source = source

    def close(self) -> None:
        """Stop."""
        self.client.close()
        self.remote.close()
        self.server.should_exit = True
        self.thread.join(10)
        self.loop.close()


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The endpoint that answers all tests."""
    running = Endpoint(tmp_path_factory.mktemp("release"))
    yield running
    running.close()


Rows = list[dict[str, Any]]


def normal(term: Any) -> Any:
    """Return a term with its value in the engine's form: tests compare values of numbers."""
    if isinstance(term, ox.Literal):
        stored = ox.Store()
        stored.add(ox.Quad(ox.NamedNode("urn:s"), ox.NamedNode("urn:p"), term))
        return next(iter(stored)).object
    return term


def as_dataset(rows: Rows | bool | list[ox.Triple]) -> ox.Dataset:
    """Return results as a dataset whose canonical form tells whether two are the same up to blank nodes."""
    if isinstance(rows, bool):
        rows = [{"boolean": ox.Literal(rows)}]
    quads = []
    for number, row in enumerate(rows):
        if isinstance(row, ox.Triple):
            quads.append(ox.Quad(row.subject, row.predicate, normal(row.object)))
            continue
        solution = ox.BlankNode(f"solution{number}")
        quads.append(ox.Quad(solution, ox.NamedNode(f"{RDF}type"), ox.NamedNode(f"{RS}ResultSolution")))
        for name, term in row.items():
            if term is not None:
                quads.append(ox.Quad(solution, ox.NamedNode(f"urn:variable:{name}"), normal(term)))
    dataset = ox.Dataset(quads)
    dataset.canonicalize(ox.CanonicalizationAlgorithm.UNSTABLE)
    return dataset


def solutions(body: bytes, kind: ox.QueryResultsFormat) -> Rows | bool:
    """Return what a result document says."""
    found = ox.parse_query_results(body, kind)
    if isinstance(found, ox.QueryBoolean):
        return bool(found)
    names = [variable.value for variable in found.variables]
    return [{name: row[name] for name in names} for row in found]


def expected(case: Case) -> Rows | bool | list[ox.Triple]:
    """Return the result that a test wants."""
    assert FOLDER is not None
    extension = case.result.rpartition(".")[2]
    if extension in ("srx", "srj", "tsv"):
        kind = ox.QueryResultsFormat.from_extension(extension)
        assert kind is not None
        return solutions((FOLDER / case.result).read_bytes(), kind)
    quads = list(read(case.result))
    graph = Graph(iter(quads))
    for result in graph.with_value(f"{RS}boolean"):
        return bool(graph.one(result, f"{RS}boolean").value == "true")
    sets = [s for s in graph.with_value(f"{RDF}type") if graph.one(s, f"{RDF}type").value == f"{RS}ResultSet"]
    if not sets:
        return [quad.triple for quad in quads]
    return [
        {graph.one(b, f"{RS}variable").value: graph.one(b, f"{RS}value") for b in graph.all(solution, f"{RS}binding")}
        for solution in graph.all(sets[0], f"{RS}solution")
    ]


def all_cases() -> list[Any]:
    """Return every test, those of one dataset together."""
    if FOLDER is None:
        return []
    found = {case.name: case for manifest in MANIFESTS for case in cases(manifest)}
    in_order = sorted(found.values(), key=lambda case: (case.default, case.named, case.name))
    return [pytest.param(case, id=case.name) for case in in_order]


@needs_tests
@pytest.mark.parametrize("case", all_cases())
def test_query(case: Case, endpoint: Endpoint, request: pytest.FixtureRequest) -> None:
    if case.name in KNOWN_FAILURES:
        request.applymarker(pytest.mark.xfail(reason=KNOWN_FAILURES[case.name], strict=True))
    source = source_of(case)
    text = text_of(case)
    if "/service/" in case.name:
        endpoint.remote.hold(case.services)
        text = endpoint.remote.here(text)
        source = Source(quads=endpoint.remote.here(source.quads.decode()).encode())
    endpoint.load(source)
    accept = {"tsv": "text/tab-separated-values", "csv": "text/csv"}.get(
        case.result.rpartition(".")[2], "application/sparql-results+json, application/n-triples"
    )
    reply = endpoint.client.post(
        "/sparql", content=text.encode(), headers={"content-type": "application/sparql-query", "accept": accept}
    )
    if case.kind.startswith("Negative"):
        assert reply.status_code == 400, reply.text
        return
    assert reply.status_code == 200, reply.text
    if case.kind.startswith("Positive"):
        return
    assert FOLDER is not None
    if case.result.endswith(".csv"):
        wanted = (FOLDER / case.result).read_bytes().decode()
        assert csv_rows(reply.text) == csv_rows(wanted)
        return
    media_type = reply.headers["content-type"].partition(";")[0]
    if media_type == "application/n-triples":
        found: Rows | bool | list[ox.Triple] = [q.triple for q in ox.parse(reply.content, ox.RdfFormat.N_TRIPLES)]
    else:
        kind = ox.QueryResultsFormat.from_media_type(media_type)
        assert kind is not None
        found = solutions(reply.content, kind)
    wanted = expected(case)
    if case.lax and isinstance(found, list) and isinstance(wanted, list):
        found, wanted = once(found), once(wanted)
    assert as_dataset(found) == as_dataset(wanted), reply.text


def once(rows: list[Any]) -> list[Any]:
    """Return the rows without repetitions."""
    return list({str(sorted((name, str(term)) for name, term in row.items())): row for row in rows}.values())


def csv_rows(text: str) -> list[list[tuple[str, str]]]:
    """Return the sorted rows of a CSV document; blank nodes only as such, numbers by their value."""
    head, *rows = csv.reader(io.StringIO(text))

    def cell(value: str) -> str:
        number = re.fullmatch(r"-?\d+\.\d+([eE].*)?", value)
        return "_:" if value.startswith("_:") else str(float(value)) if number else value

    # SELECT * leaves the order of the columns open.
    return sorted(sorted(zip(head, map(cell, row), strict=True)) for row in rows)


@needs_tests
def test_the_formats_of_the_tests_are_those_of_the_table() -> None:
    assert {row.name for row in formats.SOLUTIONS} == {"json", "xml", "csv", "tsv"}


def test_the_readme_names_the_tests_that_fail() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"`(sparql1\d/[^`]*)`", readme)) == sorted(KNOWN_FAILURES)
    whole = " ".join(readme.split()).lower()
    assert all(reason.lower() in whole for reason in KNOWN_FAILURES.values())
    told = re.search(r"Of W3C's (\d+) query tests .*, (\d+) pass", readme)
    assert told is not None
    assert int(told[1]) - int(told[2]) == len(KNOWN_FAILURES)
    if FOLDER is not None:
        assert int(told[1]) == len(all_cases())
