"""Requests that no client library sends: raw bytes on a socket."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.conftest import serving


@contextlib.contextmanager
def connection(client: httpx.Client) -> Iterator[socket.socket]:
    address = client.base_url
    with socket.create_connection((address.host, address.port or 80), timeout=30) as sock:
        yield sock


def answer(sock: socket.socket) -> bytes:
    """Everything until the server closes the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", b"400"),
        (b"GET /health/live HTTP/1.0\r\n\r\n", b"200"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 500 + b"\r\n", b"431"),
        (b"GET /sparql?query=" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"431"),
        (b"NONSENSE\r\n\r\n", b"400"),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"400"),
        (b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"400"),
        (b"GET /health/live HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", b"400"),
        (
            b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"400",
        ),
        (b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", b"400"),
        (b"POST /sparql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
    ],
)
def test_malformed_and_oversized_requests_are_refused(
    server: httpx.Client, request_bytes: bytes, status: bytes
) -> None:
    with connection(server) as sock:
        sock.sendall(request_bytes)
        sock.settimeout(10)
        assert sock.recv(65536).split(b" ", 2)[1] == status


def test_a_head_that_never_ends_is_refused(server: httpx.Client) -> None:
    with connection(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(64):
                sock.sendall(b"x" * 4096)
        assert answer(sock)[:12] in (b"HTTP/1.1 431", b"")


def test_answers_to_pipelined_requests_come_in_order(server: httpx.Client) -> None:
    kept = b"GET /queries/legal-basis.csv HTTP/1.1\r\nHost: pipeline\r\n\r\n"
    fresh = b"GET /health/ready HTTP/1.1\r\nHost: pipeline\r\n\r\n"
    last = b"GET /health/live HTTP/1.1\r\nHost: pipeline\r\nConnection: close\r\n\r\n"
    with connection(server) as sock:
        sock.sendall(kept)
        assert b"200 OK" in sock.recv(65536)
    for order in ([kept, fresh, kept], [fresh, kept, kept], [kept, kept, fresh], [fresh, fresh, kept]):
        with connection(server) as sock:
            sock.sendall(b"".join([*order, last]))
            received = answer(sock)
        heads = received.split(b"HTTP/1.1 ")[1:]
        assert [b"text/csv" in part for part in heads] == [*(one is kept for one in order), False]
        assert all(part.startswith(b"200") for part in heads)


def test_a_kept_answer_is_the_same_as_a_fresh_one(server: httpx.Client) -> None:
    query = {"query": "SELECT * { ?s a rsm:Spoke } ORDER BY ?s"}
    fresh, kept = (server.get("/sparql", params=query) for _ in range(2))
    assert kept.headers["server-timing"].endswith("kept")
    assert kept.content == fresh.content
    changing = {"date", "x-request-id", "server-timing"}
    first, second = ({n: v for n, v in a.headers.items() if n not in changing} for a in (fresh, kept))
    assert first == second
    assert server.get("/sparql", params=query, headers={"if-none-match": kept.headers["etag"]}).status_code == 304
    assert server.head("/sparql", params=query).content == b""
    assert server.get("/sparql", params=query, headers={"connection": "close"}).content == fresh.content


def test_a_repeated_post_is_kept_by_all_that_it_says(server: httpx.Client) -> None:
    query = f"SELECT * {{ ?s a rsm:Spoke }} ORDER BY ?s # {time.time()}"
    form = {"content-type": "application/x-www-form-urlencoded", "accept": "text/csv"}
    direct = {"content-type": "application/sparql-query", "accept": "text/csv"}

    def post(body: str, headers: dict[str, str], address: str = "/sparql") -> httpx.Response:
        return server.post(address, content=body, headers=headers)

    fresh, kept = (post(query, direct) for _ in range(2))
    assert fresh.headers["server-timing"].startswith("query")
    assert kept.headers["server-timing"].endswith("kept")
    assert kept.text == fresh.text
    assert fresh.text.count("\r\n") == 5
    assert post(f"query={quote(query)}", form).text == fresh.text
    assert post(query, direct | {"accept": "text/tab-separated-values"}).text.startswith("?s\n")
    assert post(query, {"content-type": "text/plain"}).status_code == 415
    assert post(query, direct | {"content-encoding": "gzip"}).status_code == 415
    assert post(query, direct, "/sparql?query=ASK%7B%7D").status_code == 400
    assert post(query, direct, "/sparql?default-graph-uri=urn:nothing").status_code == 403
    assert post(f"{query} nonsense ", direct).text == fresh.text
    assert post(f"nonsense {query}", direct).status_code == 400
    assert post(f"{query}{'x' * 70_000}", direct).text == fresh.text


def test_a_body_may_come_in_pieces_and_requests_behind_it(server: httpx.Client) -> None:
    body = b"SELECT (1 AS ?n) {} # " + str(time.time()).encode()
    head = b"POST /sparql HTTP/1.1\r\nHost: a\r\nAccept: text/csv\r\nContent-Type: application/sparql-query\r\n"
    post = head + b"Content-Length: %d\r\n\r\n" % len(body)
    last = b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    empty = head + b"Content-Length: 0\r\n\r\n"
    waits = head + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    with connection(server) as sock:
        for piece in (post[:20], post[20:], body[:5], body[5:]):
            sock.sendall(piece)
            time.sleep(0.05)
        sock.sendall(b"".join([post, body, empty, post, body, waits, body, last]))
        found = answer(sock)
    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", found)] == [200, 200, 400, 200, 100, 200, 200]
    assert len(re.findall(rb"\r\n\r\nn\r\n1\r\n", found)) == 4


def test_pipelined_queries_are_answered_in_order(server: httpx.Client) -> None:
    def get(target: str, last: str = "") -> bytes:
        return f"GET {target} HTTP/1.1\r\nHost: pipeline\r\nAccept: text/csv\r\n{last}\r\n".encode()

    def query(number: int) -> str:
        text = f"SELECT ({number} AS ?n) (COUNT(*) AS ?of) {{ ?s ?p ?o . FILTER (?p = ?o) }} # {time.time()}"
        return f"/sparql?query={quote(text)}"

    requests = [query(10), query(11), "/sparql?query=nonsense", query(12), "/health/live"]
    with connection(server) as sock:
        sock.sendall(b"".join([*map(get, requests), get(query(13), "Connection: close\r\n")]))
        found = answer(sock)
    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", found)] == [200, 200, 400, 200, 200, 200]
    assert re.findall(rb"\nn,of\r\n(\d+),", found) == [b"10", b"11", b"12", b"13"]


def test_a_long_answer_comes_whole_over_a_connection_that_stays_open(server: httpx.Client) -> None:
    query = "SELECT * { ?a ?p ?x . ?b ?q ?y } LIMIT 60000"
    first = server.get("/sparql", params={"query": query}, headers={"accept": "text/csv"})
    again = server.get("/sparql", params={"query": query}, headers={"accept": "text/csv", "connection": "close"})
    assert first.headers["content-length"] == str(len(first.content))
    assert len(first.content) > 8 * 2**20
    assert len(list(csv.reader(io.StringIO(first.text)))) == 60_001
    assert first.content == again.content
    assert server.get("/health/live").status_code == 200


def test_a_host_that_lies_does_not_reach_a_page(server: httpx.Client) -> None:
    evil = server.get("/sitemap.xml", headers={"host": 'x"><script>'})
    assert "<script>" not in evil.text


@pytest.fixture(scope="module")
def hasty() -> Iterator[httpx.Client]:
    """A server that waits one second for a request."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSM_GRAPH_REQUEST_TIMEOUT", "1")
        with serving() as client:
            yield client


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Type: application/sparql-query\r\nContent-Length: 50\r\n\r\nASK",
    ],
)
def test_a_request_that_does_not_arrive_is_given_up(hasty: httpx.Client, begun: bytes) -> None:
    started = time.monotonic()
    with connection(hasty) as sock:
        sock.sendall(begun)
        assert answer(sock).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - started < 4


def test_a_thousand_idle_connections_harm_nobody(hasty: httpx.Client) -> None:
    address = hasty.base_url
    idle = [socket.create_connection((address.host, address.port or 80)) for _ in range(900)]
    try:
        started = time.monotonic()
        assert hasty.get("/health/ready").status_code == 200
        assert time.monotonic() - started < 2
    finally:
        for sock in idle:
            sock.close()


def logged_clients(tmp_path: Path, *arguments: str) -> list[str]:
    """The clients that a server has logged for requests with and without ``X-Forwarded-For``."""
    command = [sys.executable, "-m", "rsm_graph", "serve", "--port", "0", "--data", "a.nt", *arguments]
    (tmp_path / "a.nt").write_text("<urn:a> <urn:b> <urn:c> .\n")
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        values = ["10.0.0.1, 192.0.2.7", "2001:db8::1", "", 'x", "a": "b', "192.0.2.7,"]
        try:
            address = process.stdout.readline().rpartition(" ")[2].strip()
            with httpx.Client(base_url=address, timeout=20) as client:
                for value in values:
                    for path in ("/health/live", "/sparql?query=ASK%7B%7D"):
                        assert client.get(path, headers={"x-forwarded-for": value} if value else {}).status_code == 200
        finally:
            process.terminate()
        _, log = process.communicate(timeout=20)
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [line["client"] for line in lines if line["event"] == "request"]


def test_a_trusted_proxy_names_the_client(tmp_path: Path) -> None:
    here = "127.0.0.1"
    named = ["192.0.2.7", "2001:db8::1", here, here, here]
    assert logged_clients(tmp_path, "--proxy", here) == [name for name in named for _ in range(2)]
    assert logged_clients(tmp_path, "--proxy", "192.0.2.1") == [here] * 10
    assert logged_clients(tmp_path) == [here] * 10


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_that_leaves_ends_its_query(server: httpx.Client, method: str) -> None:
    query = f"SELECT (COUNT(*) AS ?n) {{ ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . FILTER(?a != ?d) }} # {method}"
    with connection(server) as sock:
        if method == "GET":
            sock.sendall(f"GET /sparql?query={quote(query)} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        else:
            body = query.encode()
            sock.sendall(
                b"POST /sparql HTTP/1.1\r\nHost: a\r\nContent-Type: application/sparql-query\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
        time.sleep(0.4)
        assert "rsm_graph_queries_running 1" in server.get("/metrics").text
    deadline = time.monotonic() + 3
    while "rsm_graph_queries_running 0" not in server.get("/metrics").text:
        assert time.monotonic() < deadline, "the query of a client that left still runs"
        time.sleep(0.05)
