"""SERVICE reaches the addresses that are allowed, and nothing else."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from rsm_graph.errors import InputError, QueryRefused, QuerySyntaxError, QueryTimeout, Unavailable

from .conftest import Running

Start = Callable[..., Running]
RESULT = b'{"head":{"vars":["x"]},"results":{"bindings":[{"x":{"type":"uri","value":"urn:remote"}}]}}'


class Remote(http.server.ThreadingHTTPServer):
    """Another endpoint, with addresses that redirect, hang, and say too much."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.queries: list[str] = []
        self.leave = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path: str) -> str:
        """Return the URL of a path here."""
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Remote

    def do_POST(self) -> None:
        self.server.asked.append(self.path)
        self.server.queries.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self.path == "/slow":
            self.server.leave.wait(10)
            return
        if self.path == "/redirect":
            self.send_response(307)
            self.send_header("Location", self.server.url("/secret"))
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = RESULT if self.path != "/endless" else b" " * 2**20
        self.send_response(200)
        self.send_header("Content-Type", "application/sparql-results+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def remote() -> Iterator[Remote]:
    """The other endpoint."""
    server = Remote()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.leave.set()
    server.shutdown()
    thread.join()
    server.server_close()


def call(address: str, silent: str = "") -> str:
    """Return a query that asks another endpoint."""
    return f"SELECT * {{ SERVICE {silent} <{address}> {{ ?x ?p ?o }} }}"


def test_an_allowed_address_is_asked_and_nothing_else(started: Start, remote: Remote) -> None:
    paths = ("/sparql", "/redirect", "/slow", "/endless")
    engine = started(
        allow_service=tuple(map(remote.url, paths)), query_timeout=1, answer_bytes=2**16, queries_at_once=2
    )
    answer = engine.ask(call(remote.url("/sparql")))
    assert b"urn:remote" in answer.data
    assert answer.volatile
    for path in ("/redirect", "/endless"):
        with pytest.raises(Unavailable) as caught:
            engine.ask(call(remote.url(path)))
        assert "127.0.0.1" not in str(caught.value)
        assert "urn:remote" not in engine.text(call(remote.url(path), "SILENT"))
    began = time.monotonic()
    with pytest.raises(QueryTimeout):
        engine.ask(call(remote.url("/slow")))
    assert time.monotonic() - began < 1.25
    for address in (remote.url("/secret"), remote.url("/sparql/"), remote.url("/sparql") + "?x", "file:///etc/passwd"):
        with pytest.raises(QueryRefused):
            engine.ask(call(address))
    for query in ("SELECT * { ?s ?p ?o SERVICE ?s { ?a ?b ?c } }", "PREFIX x: <http://x/> ASK { SERVICE x:y { } }"):
        with pytest.raises(QueryRefused):
            engine.ask(query)
    with pytest.raises(QuerySyntaxError):
        engine.ask(call(remote.url("/sparql")) + "}")
    assert set(remote.asked) == set(paths)
    snapshot = engine.until(lambda snapshot: snapshot.evaluators == engine.supervisor.evaluators_wanted)
    assert snapshot.running == 0
    assert engine.ask("ASK { ?s ?p 'SERVICE <http://x> { }' }")


def test_what_stands_inside_a_service_is_for_that_one_to_call(started: Start, remote: Remote) -> None:
    one, two, other = map(remote.url, ("/one", "/two", "/other"))
    engine = started(allow_service=(one, two))
    inside = "SERVICE <{}> {{ ?x ?p ?o OPTIONAL {{ SERVICE <{}> {{ ?x ?q '}}' }} }} FILTER (?x< (1)&&2>(1)) }}"
    engine.ask(f"SELECT * {{ {inside.format(one, two)} SERVICE <{two}> {{ ?x ?r ?t }} }}")
    assert sorted(remote.asked) == ["/one", "/two"]
    told = remote.queries[remote.asked.index("/one")]
    assert two in told, "not an address of this server's own"
    with pytest.raises(QueryRefused):
        engine.ask(f"SELECT * {{ {inside.format(one, other)} }}")


def test_no_address_is_asked_that_hides_in_a_string(started: Start, remote: Remote) -> None:
    allowed, other = map(remote.url, ("/one", "/other"))
    engine = started(allow_service=(allowed,))
    hidden = f"SELECT * {{ ?s ?p ?o FILTER (?o<'a>b' || true) SERVICE <{other}> {{ }} FILTER (?o != 'c') }} # ')}}"
    for query in (hidden, hidden.replace("?s ?p ?o", f"SERVICE <{allowed}> {{ ?s ?p ?o }}")):
        with pytest.raises(QuerySyntaxError, match="put a space behind <"):
            engine.ask(query)
    assert not remote.asked


def test_an_address_that_cannot_be_reached_is_no_address_to_allow(started: Start) -> None:
    for address in ("file:///etc/passwd", "localhost", "ftp://example.org/"):
        with pytest.raises(InputError):
            started(allow_service=(address,))
