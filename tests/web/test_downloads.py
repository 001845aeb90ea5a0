"""The distributions over HTTP: whole, in part, compressed, unchanged."""

from __future__ import annotations

import gzip
import hashlib

import httpx
import pytest
import zstandard

from rsm_graph import formats

NAMES = [f"rsm-graph.{f.name}" for f in (*formats.TRIPLES, *formats.QUADS)]
PLAIN = {"accept-encoding": "identity"}


def sums(server: httpx.Client) -> dict[str, str]:
    lines = (line.split("  ") for line in server.get("/download/SHA256SUMS").text.splitlines())
    return {name: digest for digest, name in lines}


def test_every_file_has_the_checksum_that_is_published(server: httpx.Client) -> None:
    published = sums(server)
    assert {*NAMES, "contributions.csv", "contributions.csv-metadata.json", "tenures.csv"} <= set(published)
    for name, digest in published.items():
        answer = server.get(f"/download/{name}", headers=PLAIN)
        assert answer.status_code == 200, name
        assert hashlib.sha256(answer.content).hexdigest() == digest, name
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("fmt", [*formats.TRIPLES, *formats.QUADS], ids=lambda f: f.name)
def test_a_distribution_has_its_media_type_and_compressed_forms(server: httpx.Client, fmt: formats.Format) -> None:
    address = f"/download/rsm-graph.{fmt.name}"
    plain = server.get(address, headers=PLAIN)
    assert plain.headers["content-type"] == fmt.content_type
    assert gzip.decompress(server.get(f"{address}.gz", headers=PLAIN).content) == plain.content
    assert zstandard.ZstdDecompressor().decompress(server.get(f"{address}.zst", headers=PLAIN).content) == plain.content
    for encoding in ("gzip", "zstd"):
        packed = server.get(address, headers={"accept-encoding": encoding})
        assert packed.headers["content-encoding"] == encoding
        assert packed.headers["content-type"] == fmt.content_type
        assert packed.content == plain.content
        assert int(packed.headers["content-length"]) < len(plain.content) / 4
        assert packed.headers["vary"] == "Accept-Encoding"
        assert packed.headers["etag"] != plain.headers["etag"]


def test_triples_are_the_default_graph_and_quads_are_every_graph(server: httpx.Client) -> None:
    def count(query: str) -> int:
        answer = server.get("/sparql", params={"query": query})
        return int(answer.json()["results"]["bindings"][0]["n"]["value"])

    triples = server.get("/download/rsm-graph.nt").text.count("\n")
    quads = server.get("/download/rsm-graph.nq").text.count("\n")
    assert triples == count("SELECT (COUNT(*) AS ?n) { ?s ?p ?o }")
    assert quads == count("SELECT (COUNT(*) AS ?n) { GRAPH ?g { ?s ?p ?o } }")


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-99", slice(0, 100)),
        ("bytes=100-", slice(100, None)),
        ("bytes=-50", slice(-50, None)),
        ("bytes=10-10", slice(10, 11)),
        ("bytes=5-99999999", slice(5, None)),
    ],
)
def test_a_part_can_be_asked_for(server: httpx.Client, asked: str, part: slice) -> None:
    whole = server.get("/download/rsm-graph.nt", headers=PLAIN).content
    answer = server.get("/download/rsm-graph.nt", headers={"range": asked})
    assert answer.status_code == 206
    assert answer.content == whole[part]
    start, end, _ = part.indices(len(whole))
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(whole)}"
    assert int(answer.headers["content-length"]) == len(whole[part])


@pytest.mark.parametrize(
    ("asked", "status"),
    [("bytes=99999999-", 416), ("bytes=-0", 416), ("bytes=9-5", 200), ("lines=1-2", 200), ("bytes=0-1,5-6", 200)],
)
def test_parts_that_are_not_there_or_not_understood(server: httpx.Client, asked: str, status: int) -> None:
    answer = server.get("/download/rsm-graph.nt", headers=PLAIN | {"range": asked})
    assert answer.status_code == status
    if status == 416:
        assert answer.headers["content-range"].startswith("bytes */")


def test_a_part_of_a_file_that_changed_is_the_whole_file(server: httpx.Client) -> None:
    etag = server.get("/download/rsm-graph.nt", headers=PLAIN).headers["etag"]
    same = server.get("/download/rsm-graph.nt", headers=PLAIN | {"range": "bytes=0-9", "if-range": etag})
    changed = server.get("/download/rsm-graph.nt", headers=PLAIN | {"range": "bytes=0-9", "if-range": '"old"'})
    assert (same.status_code, changed.status_code) == (206, 200)


def test_an_unchanged_file_is_not_sent_again(server: httpx.Client) -> None:
    first = server.get("/download/rsm-graph.ttl", headers=PLAIN)
    again = server.get("/download/rsm-graph.ttl", headers=PLAIN | {"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    dated = server.get("/download/rsm-graph.ttl", headers=PLAIN | {"if-modified-since": first.headers["last-modified"]})
    assert dated.status_code == 304


def test_head_tells_the_size(server: httpx.Client) -> None:
    head = server.head("/download/rsm-graph.ttl", headers=PLAIN)
    assert head.content == b""
    assert int(head.headers["content-length"]) == len(server.get("/download/rsm-graph.ttl", headers=PLAIN).content)
    assert head.headers["accept-ranges"] == "bytes"


def test_the_folder_lists_every_file(server: httpx.Client) -> None:
    page = server.get("/download/").text
    assert all(f'href="/download/{name}"' in page for name in sums(server))
    moved = server.get("/download", follow_redirects=False)
    assert (moved.status_code, moved.headers["location"]) == (308, "/download/")
