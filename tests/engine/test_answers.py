"""What a query is answered with: form, format, dataset, prefixes, literals, errors."""

from __future__ import annotations

import json
import re
from typing import Any

import pyoxigraph as ox
import pytest

from rsm_graph.engine import Query, Source
from rsm_graph.engine.local import LocalEngine
from rsm_graph.errors import InputError, NotAcceptable, QueryError, QueryRefused, QuerySyntaxError, QueryTooLarge
from rsm_graph.namespaces import DEFAULT_BASE
from rsm_graph.settings import Settings

from .conftest import XSD, Running, small_data

ONE = "SELECT ?o { <http://example.org/7> <http://example.org/n> ?o }"
DESCRIBE = "DESCRIBE <http://example.org/7>"


@pytest.mark.parametrize(
    ("query", "accept", "media_type"),
    [
        ("ASK {}", "", "application/sparql-results+json"),
        ("ASK {}", "application/sparql-results+xml", "application/sparql-results+xml"),
        ("ASK {}", "text/csv", "text/csv; charset=utf-8"),
        (ONE, "*/*", "application/sparql-results+json"),
        (ONE, "text/csv;q=0.4, text/tab-separated-values;q=0.5", "text/tab-separated-values; charset=utf-8"),
        (ONE, "application/json;q=0, application/sparql-results+json;q=0, */*", "application/sparql-results+xml"),
        (ONE, "not a header", "application/sparql-results+json"),
        (DESCRIBE, "", "text/turtle; charset=utf-8"),
        (DESCRIBE, "application/sparql-results+json, */*;q=0.1", "text/turtle; charset=utf-8"),
        (DESCRIBE, "application/n-triples", "application/n-triples"),
        (DESCRIBE, 'application/ld+json;profile="http://www.w3.org/ns/json-ld#expanded"', "application/ld+json"),
        ("CONSTRUCT WHERE { ?s <http://example.org/n> ?o }", "application/rdf+xml", "application/rdf+xml"),
    ],
)
def test_form_and_accept_decide_the_format(engine: Running, query: str, accept: str, media_type: str) -> None:
    answer = engine.ask(query, accept=accept)
    assert answer.media_type == media_type
    assert answer.length == len(answer.data)


@pytest.mark.parametrize(
    ("query", "accept"),
    [(ONE, "text/turtle"), (DESCRIBE, "text/csv"), ("ASK {}", "image/png"), (ONE, "*/*;q=0")],
)
def test_an_accept_header_that_excludes_every_format_is_refused(engine: Running, query: str, accept: str) -> None:
    before = sum(engine.snapshot().outcomes.values())
    with pytest.raises(NotAcceptable):
        engine.ask(query, accept=accept)
    assert sum(engine.snapshot().outcomes.values()) == before, "nothing was evaluated"


@pytest.mark.parametrize("name", ["json", "xml", "csv", "tsv"])
def test_solutions_come_in_every_format(engine: Running, name: str) -> None:
    query = "SELECT ?s ?o ?none (1 AS ?one) { ?s <http://example.org/n> ?o OPTIONAL { ?s <urn:no> ?none } } LIMIT 5"
    body = engine.ask(query, format=name).data
    if name == "csv":
        assert body.startswith(b"s,o,none,one\r\n")
        return
    kind = ox.QueryResultsFormat.from_extension(name)
    solutions = ox.parse_query_results(body, kind)
    assert isinstance(solutions, ox.QuerySolutions)
    rows = list(solutions)
    assert len(rows) == 5
    assert {row["o"].datatype.value for row in rows} == {f"{XSD}nonNegativeInteger"}
    assert {row["one"].datatype.value for row in rows} == {f"{XSD}integer"}


@pytest.mark.parametrize("name", ["ttl", "nt", "jsonld", "rdf"])
def test_graphs_come_in_every_format(engine: Running, name: str) -> None:
    body = engine.ask(DESCRIBE, format=name).data
    media_type = engine.ask(DESCRIBE, format=name).format.media_type
    quads = set(ox.parse(body, ox.RdfFormat.from_media_type(media_type)))
    expected = {quad for quad in ox.parse(small_data(), ox.RdfFormat.N_QUADS) if quad.subject.value.endswith("/7")}
    assert quads == expected


def test_a_format_of_the_wrong_kind_is_an_input_error(engine: Running) -> None:
    with pytest.raises(InputError):
        engine.ask(ONE, format="ttl")


@pytest.mark.parametrize(
    ("graphs", "expected"),
    [
        ({}, {"d": 1, "g": 1}),
        ({"default_graphs": ("http://example.org/graph",)}, {"d": 0, "g": 0, "s": 1}),
        ({"named_graphs": ("http://example.org/graph",)}, {"d": 0, "g": 1}),
        (
            {"default_graphs": ("http://example.org/graph",), "named_graphs": ("http://example.org/graph",)},
            {"d": 0, "g": 1, "s": 1},
        ),
    ],
)
@pytest.mark.parametrize("clause", ["", "FROM NAMED <http://example.org/graph> FROM <http://example.org/graph>"])
def test_the_protocols_dataset_wins_over_the_querys(
    engine: Running, graphs: dict[str, Any], expected: dict[str, int], clause: str
) -> None:
    def exists(pattern: str) -> int:
        head = f"ASK {clause if graphs else ''} "
        return int('"boolean":true' in engine.text(f"{head} {{ {pattern} }}", **graphs))

    assert exists("?s <http://example.org/next> ?o") == expected["d"]
    assert exists("GRAPH ?g { ?s ?p ?o }") == expected["g"]
    assert exists("?s <http://example.org/said> ?o") == expected.get("s", 0)


@pytest.mark.parametrize(
    ("query", "graphs"),
    [
        ("SELECT * FROM <http://example.org/elsewhere> { ?s ?p ?o }", {}),
        ("SELECT * FROM <file:///etc/passwd> { ?s ?p ?o }", {}),
        ("SELECT * FROM NAMED <http://127.0.0.1/x> { ?s ?p ?o }", {}),
        ("ASK {}", {"default_graphs": ("file:///etc/passwd",)}),
        ("ASK {}", {"named_graphs": ("http://169.254.169.254/",)}),
        ("SELECT * { SERVICE <http://127.0.0.1:9/> { ?s ?p ?o } }", {}),
        ("SELECT * { SERVICE SILENT <http://127.0.0.1:9/> { ?s ?p ?o } }", {}),
        ("SELECT * { ?x ?y ?z SERVICE ?z { ?s ?p ?o } }", {}),
        ("INSERT DATA { <urn:a> <urn:b> <urn:c> }", {}),
        ("PREFIX a: <urn:a> # a comment\nDROP ALL", {}),
    ],
)
def test_what_reaches_out_or_changes_data_is_refused(engine: Running, query: str, graphs: dict[str, Any]) -> None:
    with pytest.raises(QueryRefused):
        engine.ask(query, **graphs)


@pytest.mark.parametrize(
    ("query", "line", "column", "says"),
    [
        ("SELECT * {\n  ?s ?p }", 2, 9, "Unexpected '}'"),
        ("SELECT * {\n  ?s ?p ?o", 1, 10, "'{' is never closed"),
        ("SELECT * { ?s ?p ?o ) }", 1, 21, "')' closes nothing"),
        ("SELECT * {\n ?s nope:x ?o }", 2, 5, "prefix is not declared"),
        ("SELEC * {}", 1, 1, "unexpected 'SELEC'"),
        ("", 1, 1, "empty"),
        ("# only a comment", 1, 1, "empty"),
        ('SELECT * { ?s ?p "a }', 1, 18, "never ends"),
        ("SELECT (1 AS ?x) (2 AS ?x) {}", 1, 1, "names a variable twice"),
        ("SELECT ?s (COUNT(*) AS ?n) { ?s ?p ?o }", 1, 1, "not grouped by"),
        ("SELECT * { ?s ?p ?o } GROUP BY ?s", 1, 1, "GROUP BY"),
        ("SELECT * { ?s ?p ?o } ORDER ?s", 1, 29, "expected BY"),
        ("SELECT * WHERE ?s ?p ?o", 1, 16, 'expected "{"'),
        ("SELECT * { ?s ?p ?o } LIMIT ten", 1, 29, "Unexpected 'ten'"),
        ("SELECT * {é ?p ?o}", 1, 11, "Unexpected 'é'"),
        ("SELECT * {} OFFSET  ", 1, 19, "Unexpected end"),
        ("PREFIX a <urn:a> ASK {}", 1, 8, "unexpected 'a'"),
        ("ASK { ?s ?p <http://a b> }", 1, 13, "IRI is not valid"),
        ("ASK {} ASK {}", 1, 8, "Unexpected 'ASK'"),
        ("ASK { VALUES ?x { <urn:a> } ?x ?p }", 1, 35, "Unexpected '}'"),
    ],
)
def test_a_syntax_error_says_where_in_few_words(engine: Running, query: str, line: int, column: int, says: str) -> None:
    with pytest.raises(QuerySyntaxError) as caught:
        engine.ask(query)
    assert (caught.value.line, caught.value.column) == (line, column), caught.value
    assert says in caught.value.message
    assert len(caught.value.message) < 200


def test_the_projects_prefixes_are_known_and_may_be_redefined(engine: Running) -> None:
    label = "<http://example.org/1> rdfs:label ?l"
    assert "thing 1" in engine.text(f"SELECT * {{ {label} }}")
    assert "thing 1" not in engine.text(f"PREFIX rdfs: <urn:other#> SELECT * {{ {label} }}")
    assert f"{DEFAULT_BASE}id/x" in engine.text("SELECT (<id/x> AS ?x) (IRI('y') AS ?y) {}")


def test_an_unknown_function_is_an_error_where_it_is_called(engine: Running) -> None:
    assert engine.text("SELECT (<urn:f>(1) AS ?x) (1 AS ?y) {}", format="csv") == "x,y\r\n,1\r\n"
    assert '"boolean":false' in engine.text("ASK { ?s ?p ?o FILTER (<urn:f>(?s) || <urn:g>(?s)) }")
    calls = " + ".join(f"<urn:f{i}>(1)" for i in range(20))
    with pytest.raises(QueryError, match="urn:f"):
        engine.ask(f"SELECT ({calls} AS ?x) {{}}")


def test_a_query_beyond_its_measures_is_refused(started: Any) -> None:
    engine = started(query_length=1000, query_tokens=100, query_depth=10)
    for query in ("ASK {}" + " " * 1000, f"ASK {{ {'?a ?b ?c . ' * 30} }}", "ASK {" + "{" * 10 + "}" * 10 + "}"):
        with pytest.raises(QueryTooLarge):
            engine.ask(query)
    assert engine.ask("ASK {}")


def test_an_answer_says_whether_it_may_be_kept(engine: Running) -> None:
    assert not engine.ask(ONE).volatile
    for expression in ("NOW()", "RAND()", "UUID()", "struuid()", "NOW#\n()", "1<NOW()&&2>1"):
        assert engine.ask(f"SELECT ({expression} AS ?x) {{}}").volatile
    assert engine.ask("SELECT * { ?s ?p ?o } ORDER BYRAND() LIMIT 1").volatile
    assert engine.ask("SELECT * { ?s ?p ?o } ORDER BYRAND() LIMIT 1", format="csv").volatile
    for pattern in ("?s ?nowhere ?o", "?s ?now ?o", "?s <urn:serviceNow> 'NOW()'", "?s ?p ?o # we know, RAND()\n"):
        assert not engine.ask(f"SELECT * {{ {pattern} }} LIMIT 1").volatile
    prefix = "PREFIX service: <urn:now> PREFIX rand: <urn:rand>"
    assert not engine.ask(f"{prefix} SELECT * {{ ?s service:service/rand:uuid ?o }}").volatile


def test_the_command_line_answers_as_the_server_does(engine: Running) -> None:
    local = LocalEngine(Source(quads=small_data()), Settings())
    for query in (ONE, DESCRIBE, "ASK {}"):
        assert local.evaluate(Query(query)).data == engine.ask(query).data
    with pytest.raises(QuerySyntaxError):
        local.evaluate(Query("ASK {"))


def test_turtle_is_sorted_without_duplicates_and_declares_what_it_uses(engine: Running) -> None:
    query = "CONSTRUCT { <urn:a> rdfs:label ?o } { ?s <http://example.org/n> ?n BIND (STR(?n > 200) AS ?o) }"
    body = engine.text(query)
    assert body.count("rdfs:label") == 1, body
    assert re.findall("@prefix ([a-z]+):", body) == ["rdfs"]


def test_solutions_are_json_that_python_reads(engine: Running) -> None:
    query = "SELECT ?s ?n ?l { ?s <http://example.org/n> ?n ; rdfs:label ?l } ORDER BY ?n"
    rows = json.loads(engine.text(query))["results"]["bindings"]
    assert [row["n"]["value"] for row in rows] == [str(i) for i in range(400)]
    assert {row["n"]["datatype"] for row in rows} == {f"{XSD}nonNegativeInteger"}
