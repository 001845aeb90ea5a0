"""The command line as a user meets it: what it prints, and with which exit code it ends."""

from __future__ import annotations

import csv
import io
import json
import socket
from pathlib import Path

import pytest

from rsm_graph import __version__
from tests.conftest import ROOT, run, serving

BROKEN = "@prefix e: <http://example.org/> .\ne:a e:p\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of ontology and data that a test may break; commands run in it see it instead of the project's."""
    for folder in ("ontology", "data"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                target = tmp_path / path.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    return tmp_path


def in_copy(copy: Path) -> dict[str, str]:
    return {"RSM_GRAPH_PROJECT": str(copy)}


def test_version_and_help() -> None:
    assert run("--version").stdout == f"rsm-graph {__version__}\n"
    told = run("--help")
    assert told.returncode == 0
    for verb in ("serve", "validate", "build", "query"):
        assert verb in told.stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["query"], ["build", "--nonsense"], ["validate", "--format"]])
def test_a_call_that_cannot_be_taken_ends_with_2(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith("rsm-graph: ")
    assert len(ended.stderr.splitlines()) == 1
    assert "Traceback" not in ended.stderr


def test_a_named_example_as_csv() -> None:
    ended = run("query", "edition-checks", "--format", "csv")
    assert ended.returncode == 0
    rows = list(csv.reader(io.StringIO(ended.stdout)))
    assert rows[1][1:] == ["16551", "16551", "38", "38", "true"]


def test_a_query_from_standard_input_with_the_projects_prefixes() -> None:
    ended = run("query", "-", "--format", "json", stdin="SELECT ?d { mission:rsm rsm:startDate ?d }")
    value = json.loads(ended.stdout)["results"]["bindings"][0]["d"]
    assert value == {"type": "literal", "value": "2015-01-01", "datatype": "http://www.w3.org/2001/XMLSchema#date"}


def test_a_query_from_a_file_over_other_data(tmp_path: Path) -> None:
    (tmp_path / "facts.ttl").write_text(
        '<http://example.org/a> <http://example.org/p> "01"^^<http://www.w3.org/2001/XMLSchema#integer> .'
    )
    (tmp_path / "more.nt").write_text("<http://example.org/b> <http://example.org/p> <http://example.org/c> .")
    (tmp_path / "ask.rq").write_text(
        "SELECT ?g ?s ?o { { ?s ?p ?o BIND('default' AS ?g) } UNION { GRAPH ?g { ?s ?p ?o } } } ORDER BY ?s"
    )
    ended = run(
        "query",
        "ask.rq",
        "--data",
        "facts.ttl",
        "--graph",
        "http://example.org/g=more.nt",
        "--format",
        "tsv",
        cwd=tmp_path,
    )
    assert ended.stdout.splitlines()[1:] == [
        '"default"\t<http://example.org/a>\t01',
        "<http://example.org/g>\t<http://example.org/b>\t<http://example.org/c>",
    ]


def test_a_construct_as_turtle() -> None:
    ended = run(
        "query", "-", "--format", "turtle", stdin="CONSTRUCT WHERE { contribution:rsm-2020-02\\/DEU rsm:troops ?n }"
    )
    assert 'rsm:troops "1300"^^xsd:nonNegativeInteger' in ended.stdout


def test_a_malformed_query_names_line_and_column() -> None:
    ended = run("query", "-", stdin="SELECT *\nWHERE { ?s ?p }")
    assert ended.returncode == 2
    assert ended.stderr.startswith("rsm-graph: Line 2, column ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["query", "no-such-thing"], "no-such-thing: neither a file"),
        (["query", "sources", "--format", "docx"], "Unknown format 'docx'"),
        (["query", "sources", "--format", "turtle"], "turtle"),
        (["query", "sources", "--data", "nowhere.ttl"], "nowhere.ttl: cannot be read"),
        (["query", "sources", "--graph", "nowhere.ttl"], "is not IRI=FILE"),
        (["build", "--base-iri", "nonsense"], "base_iri: "),
        (["validate", "--format", "docx"], "Unknown format 'docx'"),
        (["validate", "--shapes", "nowhere.ttl"], "nowhere.ttl: cannot be read"),
        (["validate", "nowhere.ttl"], "nowhere.ttl: cannot be read"),
        (["serve", "--port", "99999"], "port: "),
        (["serve", "--data", "nowhere.ttl"], "nowhere.ttl: cannot be read"),
        (["serve", "--host", "256.1.1.1"], "256.1.1.1"),
    ],
)
def test_bad_arguments_get_one_clear_line(arguments: list[str], message: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("serve", "--port", str(port))
    assert ended.returncode == 2
    assert str(port) in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_data_file_that_does_not_parse_stops_everything(copy: Path, tmp_path: Path) -> None:
    (copy / "data" / "broken.trig").write_text(BROKEN)
    out = tmp_path / "dist"
    for arguments in (["validate"], ["build", "--out", str(out)], ["query", "sources"], ["serve", "--port", "0"]):
        ended = run(*arguments, env=in_copy(copy))
        assert ended.returncode == 2, arguments
        assert "broken.trig:3:" in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
    assert not out.exists()


def test_other_data_that_do_not_parse_are_not_served(tmp_path: Path) -> None:
    path = tmp_path / "broken.trig"
    path.write_text(BROKEN)
    for more in ((), ("--workers", "2"), ("--store", str(tmp_path / "store"))):
        ended = run("serve", "--port", "0", "--data", str(path), *more)
        assert ended.returncode == 2, more
        assert "broken.trig:3:" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stdout.strip() == ""


def test_a_statement_outside_every_graph_is_reported_with_its_file(copy: Path) -> None:
    with (copy / "data" / "commands.trig").open("a") as file:
        file.write("\n<https://w3id.org/rsm-graph/id/command/taac-south> rsm:headquarters location:kandahar .\n")
    ended = run("validate", env=in_copy(copy))
    assert ended.returncode == 1, ended.stderr
    assert "statementHasPassage (violation, 1)" in ended.stdout
    assert "graph:default is no passage" in ended.stdout
    assert "commands.trig" in ended.stdout


def test_data_that_do_not_conform_are_not_built(copy: Path, tmp_path: Path) -> None:
    sheet = copy / "data" / "edition-2020-02.trig"
    text = sheet.read_text()
    assert '"1300"' in text
    sheet.write_text(text.replace('"1300"', '"1301"'))
    out = tmp_path / "dist"
    out.mkdir()
    for arguments in (["validate"], ["build", "--out", str(out)], ["serve", "--port", "0"]):
        ended = run(*arguments, env=in_copy(copy))
        assert ended.returncode == 1, arguments
        assert "editionSum" in ended.stdout + ended.stderr
        assert "contributionMatchesPrint" in ended.stdout + ended.stderr
    assert list(out.iterdir()) == [], "nothing is written"
    assert run("build", "--out", str(out), "--allow-nonconforming", env=in_copy(copy)).returncode == 0
    assert (out / "rsm-graph.ttl").exists()


def test_the_project_conforms() -> None:
    ended = run("validate", "--format", "json")
    assert ended.returncode == 0, ended.stdout
    assert json.loads(ended.stdout)["conforms"] is True


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    ended = run("build", "--out", str(tmp_path / "file" / "dist"))
    assert ended.returncode == 2
    assert "cannot be written" in ended.stderr


def test_serve_prints_the_address_when_it_answers() -> None:
    with serving() as client:
        assert client.get("/health/ready").status_code == 200


def test_serve_over_other_data(tmp_path: Path) -> None:
    (tmp_path / "a.ttl").write_text("<http://example.org/a> <http://example.org/p> 1 .")
    (tmp_path / "b.ttl").write_text("<http://example.org/b> <http://example.org/p> 2 .")
    with serving("--data", "a.ttl", "--graph", "http://example.org/g=b.ttl", cwd=tmp_path) as client:
        query = "SELECT ?g ?o { { ?s ?p ?o } UNION { GRAPH ?g { ?s ?p ?o } } } ORDER BY ?o"
        answer = client.get("/sparql", params={"query": query}, headers={"Accept": "text/csv"})
        assert answer.text.split() == ["g,o", ",1", "http://example.org/g,2"]
