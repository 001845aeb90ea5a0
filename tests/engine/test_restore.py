"""Literals come out as they stand in the data."""

from __future__ import annotations

import csv
import io
import json

import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsm_graph.engine import Query, Source
from rsm_graph.engine.local import LocalEngine
from rsm_graph.engine.restore import bound_by_data
from rsm_graph.settings import Settings

from .conftest import XSD

WRITTEN = [
    ("08", "integer"), ("+6", "integer"), ("5", "nonNegativeInteger"), ("1.50", "decimal"), ("1", "boolean"),
    ("1.0E0", "double"), ("P12M", "duration"), ("2020-01-01T00:00:00.50Z", "dateTime"), ("24:00:00", "time"),
    ("2020-01-01+00:00", "date"), ("INF", "float"), ("no number", "integer"), ("2020-02", "gYearMonth"),
]  # fmt: skip


def turtle(literals: list[tuple[str, str]]) -> bytes:
    """Return N-Quads with one statement a literal."""
    return "".join(
        f'<urn:{i}> <urn:p> "{value}"^^<{XSD}{kind}> .\n' for i, (value, kind) in enumerate(literals)
    ).encode()


def local(data: bytes) -> LocalEngine:
    """Return an engine over N-Quads."""
    return LocalEngine(Source(quads=data), Settings())


def test_a_description_and_a_selection_have_the_data_s_literals() -> None:
    engine = local(turtle(WRITTEN))
    expected = {(f"urn:{i}", value, f"{XSD}{kind}") for i, (value, kind) in enumerate(WRITTEN)}
    body = engine.evaluate(Query("CONSTRUCT WHERE { ?s ?p ?o }", format="nt")).data
    quads = list(ox.parse(body, ox.RdfFormat.N_TRIPLES))
    assert {(q.subject.value, q.object.value, q.object.datatype.value) for q in quads} == expected
    for name in ("json", "xml", "tsv"):
        body = engine.evaluate(Query("SELECT ?s ?o { ?s ?p ?o }", format=name)).data
        solutions = ox.parse_query_results(body, ox.QueryResultsFormat.from_extension(name))
        assert isinstance(solutions, ox.QuerySolutions)
        rows = [(row["s"].value, row["o"].value, row["o"].datatype.value) for row in solutions]
        assert set(rows) == expected, name
    body = engine.evaluate(Query("SELECT ?s ?o { ?s ?p ?o }", format="csv")).data
    assert {tuple(row) for row in csv.reader(io.StringIO(body.decode()))} == {("s", "o")} | {
        (subject, value) for subject, value, _ in expected
    }


def test_what_a_query_computes_stays_as_computed() -> None:
    engine = local(turtle([("8000", "nonNegativeInteger"), ("1", "nonNegativeInteger")]))

    def datatypes(query: str) -> dict[str, str]:
        rows = json.loads(engine.evaluate(Query(query)).data)["results"]["bindings"]
        return {name: cell["datatype"].removeprefix(XSD) for row in rows for name, cell in row.items()}

    assert datatypes("SELECT (COUNT(*) AS ?n) (SUM(?o) AS ?sum) (MAX(?o) AS ?max) { ?s ?p ?o }") == {
        "n": "integer",
        "sum": "integer",
        "max": "nonNegativeInteger",
    }
    assert datatypes("SELECT (?o AS ?a) (?o + 0 AS ?b) { ?s ?p ?o }") == {"a": "nonNegativeInteger", "b": "integer"}
    assert datatypes("SELECT ?o { VALUES ?o { 8000 } }") == {"o": "integer"}
    assert datatypes("SELECT ?o { BIND (8000 AS ?o) ?s ?p ?o }") == {"o": "integer"}


def test_two_forms_of_one_value_are_told_apart_by_their_statements_only() -> None:
    engine = local(
        "".join(f'<urn:{kind}> <urn:p> "7"^^<{XSD}{kind}> .\n' for kind in ("byte", "int", "integer")).encode()
    )
    body = engine.evaluate(Query("CONSTRUCT WHERE { ?s ?p ?o }", format="nt")).data.decode()
    assert [line.rpartition("#")[2] for line in body.splitlines()] == ["byte> .", "int> .", "integer> ."]
    body = engine.evaluate(Query("SELECT ?o { <urn:int> ?p ?o }")).data.decode()
    assert f'"{XSD}integer"' in body


def test_the_default_graphs_form_is_for_queries_over_the_default_graph() -> None:
    engine = local(
        f'<urn:a> <urn:p> "7"^^<{XSD}int> .\n<urn:a> <urn:p> "7"^^<{XSD}int> <urn:g> .\n'
        f'<urn:a> <urn:q> "7"^^<{XSD}byte> <urn:h> .\n'.encode()
    )
    assert f'"{XSD}int"' in engine.evaluate(Query("SELECT ?o { ?s ?p ?o }")).data.decode()
    assert f'"{XSD}integer"' in engine.evaluate(Query("SELECT ?o { GRAPH ?g { ?s ?p ?o } }")).data.decode()
    own = Query("SELECT ?o { ?s ?p ?o }", default_graphs=("urn:h",))
    assert f'"{XSD}integer"' in engine.evaluate(own).data.decode()


def test_names_of_variables_may_have_any_letter() -> None:
    engine = local(turtle([("08", "int")]))
    for name in ("json", "xml", "tsv", "csv"):
        assert b"08" in engine.evaluate(Query("SELECT ?größe { ?s ?p ?größe }", format=name)).data


def test_strings_that_look_like_results_are_left_alone() -> None:
    tricky = f'{{"o":{{"type":"literal","value":"7","datatype":"{XSD}integer"}}}}'
    markup = f'<binding name="o"><literal datatype="{XSD}integer">7</literal></binding>'
    data = [
        ox.Quad(ox.NamedNode("urn:a"), ox.NamedNode("urn:p"), ox.Literal(tricky)),
        ox.Quad(ox.NamedNode("urn:b"), ox.NamedNode("urn:p"), ox.Literal(markup)),
        ox.Quad(ox.NamedNode("urn:c"), ox.NamedNode("urn:p"), ox.Literal("7", datatype=ox.NamedNode(f"{XSD}int"))),
    ]
    engine = local(ox.serialize(data, format=ox.RdfFormat.N_QUADS))
    for name in ("json", "xml", "tsv"):
        body = engine.evaluate(Query("SELECT ?o { ?s ?p ?o }", format=name)).data
        solutions = ox.parse_query_results(body, ox.QueryResultsFormat.from_extension(name))
        assert isinstance(solutions, ox.QuerySolutions)
        assert {row["o"] for row in solutions} == {quad.object for quad in data}, name


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("SELECT * { ?s ?p ?o }", "s p o"),
        ("SELECT (?o AS ?x) { ?s ?p $o }", "s p o x"),
        ("SELECT (?o + 1 AS ?x) { ?s ?p ?o }", "s p o"),
        ("SELECT (?o AS ?x) (?x AS ?y) { ?s ?p ?o }", "s p o x y"),
        ("SELECT (?z AS ?y) { ?s ?p ?o BIND (1 AS ?z) }", "s p o"),
        ("SELECT (1 - ?o AS ?x) (-?o AS ?y) { ?s ?p ?o }", "s p o"),
        ("SELECT (MAX(DISTINCT ?o) AS ?x) (SUM(?o) AS ?y) (1 + MIN(?o) AS ?z) { ?s ?p ?o }", "s p o x"),
        ("SELECT * { ?s ?p ?o VALUES (?o ?q) { (1 2) } }", "s p"),
        ("SELECT * { ?s ?p ?o } VALUES ?o { 1 }", "s p"),
        ("SELECT * { ?s ?p ?o FILTER (STR(?o) = 'BIND (1 AS ?s)') } # AS ?p", "s p o"),
    ],
)
def test_which_variables_only_the_data_can_bind(query: str, names: str) -> None:
    assert bound_by_data(query) == set(names.split())


values = st.sampled_from(
    [*WRITTEN, ("5", "byte"), ("05", "int"), ("5", "integer"), ("1.5", "decimal"), ("true", "boolean")]
)


@given(st.lists(values, max_size=8))
def test_a_construct_gives_back_any_data(literals: list[tuple[str, str]]) -> None:
    data = turtle(literals)
    body = local(data).evaluate(Query("CONSTRUCT WHERE { ?s ?p ?o }", format="nt")).data
    assert set(body.splitlines()) == set(data.splitlines())
