"""A release: what its files hold, that it is reproducible, and that nothing is replaced by something worse."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pyoxigraph as ox
import pytest
import rdflib
import zstandard
from rdflib.compare import isomorphic

from rsm_graph import formats, release
from rsm_graph.dataset import Dataset
from rsm_graph.errors import InputError
from rsm_graph.search import Search

rdflib.NORMALIZE_LITERALS = False


def statements(built: release.Release, name: str) -> ox.Dataset:
    fmt = formats.by_name(name)
    read = ox.Dataset(formats.parse((built.folder / f"rsm-graph.{name}").read_bytes(), fmt, name))
    read.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
    return read


@pytest.mark.parametrize("fmt", formats.TRIPLES, ids=lambda fmt: fmt.name)
def test_every_triple_format_holds_exactly_the_default_graph(built: release.Release, fmt: formats.Format) -> None:
    default = ox.Dataset(ox.Quad(*triple) for triple in built.dataset.default_triples)
    default.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
    assert statements(built, fmt.name) == default


@pytest.mark.parametrize("fmt", formats.QUADS, ids=lambda fmt: fmt.name)
def test_every_quad_format_holds_every_graph(built: release.Release, fmt: formats.Format) -> None:
    assert statements(built, fmt.name) == ox.Dataset(built.dataset.quads)


def test_a_second_library_reads_the_same_graph_from_two_formats(built: release.Release) -> None:
    graphs = [rdflib.Graph().parse(built.folder / f"rsm-graph.{name}") for name in ("ttl", "rdf")]
    assert len(graphs[0]) == len(built.dataset.default_triples)
    assert isomorphic(*graphs)


def test_two_builds_are_byte_identical(built: release.Release, tmp_path: Path) -> None:
    dataset = release.assemble()
    again = release.build(dataset, release.checked(dataset), tmp_path / "again")
    assert (again.folder / release.SUMS).read_text() == (built.folder / release.SUMS).read_text()


def test_the_checksums_are_those_of_the_files(built: release.Release) -> None:
    for line in (built.folder / release.SUMS).read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((built.folder / name).read_bytes()).hexdigest() == digest
    names = {path.name for path in built.folder.iterdir()} - {release.SUMS}
    assert names == {distribution.name for distribution in built.distributions}


def test_the_compressed_files_hold_the_plain_ones(built: release.Release) -> None:
    for fmt in formats.TRIPLES + formats.QUADS:
        plain = (built.folder / f"rsm-graph.{fmt.name}").read_bytes()
        assert gzip.decompress((built.folder / f"rsm-graph.{fmt.name}.gz").read_bytes()) == plain
        packed = (built.folder / f"rsm-graph.{fmt.name}.zst").read_bytes()
        assert zstandard.ZstdDecompressor().decompress(packed, max_output_size=len(plain)) == plain


def test_the_release_hash_is_that_of_the_sorted_n_quads(built: release.Release) -> None:
    lines = sorted((built.folder / "rsm-graph.nq").read_bytes().splitlines(keepends=True))
    assert hashlib.sha256(b"".join(lines)).hexdigest() == built.hash


@pytest.mark.parametrize(
    ("count", "query"),
    [
        ("triples", "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"),
        ("distinctSubjects", "SELECT (COUNT(DISTINCT ?s) AS ?n) { ?s ?p ?o }"),
        ("distinctObjects", "SELECT (COUNT(DISTINCT ?o) AS ?n) { ?s ?p ?o }"),
        ("properties", "SELECT (COUNT(DISTINCT ?p) AS ?n) { ?s ?p ?o }"),
        ("classes", "SELECT (COUNT(DISTINCT ?c) AS ?n) { ?s a ?c }"),
        ("documents", "SELECT (COUNT(DISTINCT ?g) AS ?n) { GRAPH ?g { ?s ?p ?o } }"),
    ],
)
def test_the_void_counts_are_those_of_the_store(store: ox.Store, count: str, query: str) -> None:
    release_iri = "<https://w3id.org/rsm-graph/id/dataset/rsm/1.0.0>"
    stated = next(iter(store.query(f"SELECT ?n {{ {release_iri} <http://rdfs.org/ns/void#{count}> ?n }}")))
    assert stated["n"].value == next(iter(store.query(query)))["n"].value


def test_the_void_partitions_are_those_of_the_store(store: ox.Store) -> None:
    void = "PREFIX void: <http://rdfs.org/ns/void#> "
    stated = {
        (r["c"].value, r["n"].value) for r in store.query(void + "SELECT ?c ?n { ?x void:class ?c ; void:entities ?n }")
    }
    counted = {(r["c"].value, r["n"].value) for r in store.query("SELECT ?c (COUNT(*) AS ?n) { ?s a ?c } GROUP BY ?c")}
    assert stated == counted


@pytest.mark.parametrize(("name", "key"), [("contributions", "contribution"), ("tenures", "tenure")])
def test_the_tables_fit_their_csvw_metadata(built: release.Release, name: str, key: str) -> None:
    rows = list(csv.DictReader(io.StringIO((built.folder / f"{name}.csv").read_text(encoding="utf-8"))))
    schema = json.loads((built.folder / f"{name}.csv-metadata.json").read_text(encoding="utf-8"))["tableSchema"]
    assert [column["name"] for column in schema["columns"]] == list(rows[0])
    assert len({row[key] for row in rows}) == len(rows), "the primary key is unique"
    for column in schema["columns"]:
        assert not column.get("required") or all(row[column["name"]] for row in rows), column


def test_the_contributions_table_adds_up_and_names_the_passage_of_each_figure(built: release.Release) -> None:
    rows = list(csv.DictReader(io.StringIO((built.folder / "contributions.csv").read_text(encoding="utf-8"))))
    troops_of = ox.NamedNode(built.dataset.iri("ontology#troops"))
    for row in rows:
        said = {(q.subject.value, q.predicate, q.object.value) for q in built.dataset.graphs[row["passage"]]}
        assert (row["contribution"], troops_of, row["troops"]) in said
        assert row["passage"] not in built.dataset.excluded_graphs
    troops = [int(row["troops"]) for row in rows if row["edition"].endswith("/rsm-2020-02")]
    assert (len(troops), sum(troops)) == (38, 16551)


def test_a_folder_of_somebody_else_is_left_alone(built: release.Release, tmp_path: Path) -> None:
    mine = tmp_path / "letters"
    mine.mkdir()
    (mine / "to-mother.txt").write_text("dear mother")
    with pytest.raises(InputError, match="is not empty and not a release"):
        release.build(built.dataset, built.report, mine)
    assert (mine / "to-mother.txt").read_text() == "dear mother"


def test_a_release_takes_the_place_of_the_one_before(dataset: Dataset, built: release.Release, tmp_path: Path) -> None:
    out = tmp_path / "dist"
    release.build(dataset, built.report, out)
    (out / "left-over").write_text("x")
    release.build(dataset, built.report, out)
    assert not (out / "left-over").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["dist"]


def test_the_cache_keeps_what_a_server_gives_out(
    built: release.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache = tmp_path / "rsm-graph" / "releases"
    for number in range(release.KEPT_RELEASES + 3):
        left = cache / f"left-{number}"
        left.mkdir(parents=True)
        os.utime(left, (number, number))
    mine = release.in_cache("served")
    shutil.copytree(built.folder, mine)
    os.utime(mine, (0, 0))
    release.in_cache("another")
    assert mine.exists(), "the oldest, but held by this process"
    assert len([path for path in cache.iterdir() if path.is_dir()]) == release.KEPT_RELEASES + 1


def test_two_who_ask_at_once_do_not_both_do_the_work(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def slow(index: object) -> Search:
        time.sleep(0.2)
        made.append(index)
        return Search([], {})

    monkeypatch.setattr(release.Search, "of", slow)
    one = release.Release(dataset, release.checked(dataset, quick=True), tmp_path)
    threads = [threading.Thread(target=lambda: one.search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
