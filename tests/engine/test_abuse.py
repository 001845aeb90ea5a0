"""Queries made to hurt: each is answered or refused in time, and everybody else goes unharmed."""

# ruff: noqa: E501 - one row an abuse

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from rsm_graph.engine import Source
from rsm_graph.errors import QueryError, QueryRefused, QueryStopped, QuerySyntaxError, QueryTooLarge, RsmGraphError

from .conftest import Running, small_data

LIGHT = "SELECT * { <http://example.org/5> ?p ?o }"
SECONDS = 0.6
DEEP = 10_000
LONG = "a" * 40
FINE = type(None)

Outcome = type[RsmGraphError] | type[None]


def nested(opening: str, middle: str, closing: str, depth: int = DEEP) -> str:
    """Return something wrapped many times."""
    return opening * depth + middle + closing * depth


def replaced(depth: int) -> str:
    """Return calls of REPLACE that multiply a string's length each time."""
    text = f"'{LONG}'"
    for _ in range(depth):
        text = f"REPLACE({text}, 'a', '{LONG}')"
    return text


ABUSES: list[tuple[str, str, tuple[Outcome, ...]]] = [
    ("cross product", "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }", (QueryStopped,)),
    ("counted cross product", "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }", (QueryStopped,)),
    ("sorted cross product", "SELECT * { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i } ORDER BY ?c ?f ?i", (QueryStopped,)),
    ("distinct cross product", "SELECT DISTINCT ?a ?d ?g { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }", (QueryStopped,)),
    ("constructed cross product", "CONSTRUCT { ?a ?e ?i } { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }", (QueryStopped,)),
    ("any path", "SELECT (COUNT(*) AS ?n) { ?s (!<urn:a>|^!<urn:a>)* ?o . ?o !<urn:b>* ?t . ?t !<urn:c>* ?u }", (QueryStopped,)),
    ("path of 1,000 steps", f"ASK {{ ?s {'/'.join(['<http://example.org/next>'] * 1000)} ?o }}", (FINE, QueryStopped)),
    ("path of 1,000 choices", f"ASK {{ ?s {'|'.join(f'<urn:{i}>' for i in range(1000))} ?o }}", (FINE, QueryStopped)),
    ("nested path", f"ASK {{ ?s {nested('(', '<http://example.org/next>', ')*', 500)} ?o }}", (FINE, QueryStopped)),
    ("nested groups", f"ASK {nested('{', '', '}')}", (QueryTooLarge,)),
    ("nested parentheses", f"ASK {{ FILTER {nested('(', '1', ')')} }}", (QueryTooLarge,)),
    ("nested calls", f"ASK {{ FILTER ({nested('STR(', '1', ')')}) }}", (QueryTooLarge,)),
    ("nested groups within the limit", f"ASK {nested('{', '', '}', 990)}", (FINE, QueryStopped)),
    ("nested calls within the limit", f"SELECT ({nested('STR(', '1', ')', 990)} AS ?x) {{}}", (FINE, QueryStopped)),
    ("nested EXISTS", f"ASK {{ {nested('FILTER EXISTS { ?s ?p ?o ', '', '}', 900)} }}", (FINE, QueryStopped)),
    ("nested OPTIONAL", f"ASK {{ {nested('OPTIONAL { ?s ?p ?o ', '', '}', 900)} }}", (FINE, QueryStopped)),
    ("nested subqueries", f"ASK {{ {nested('{ SELECT * { ?s ?p ?o ', '', '} }', 400)} }}", (FINE, QueryStopped)),
    ("nested lists", f"ASK {{ ?s ?p {nested('(', '1', ')', 990)} }}", (FINE, QueryStopped)),
    ("nested brackets", f"ASK {{ ?s ?p {nested('[ ?p ', '1', ']', 990)} }}", (FINE, QueryStopped)),
    ("never closed", "ASK " + "{" * DEEP, (QueryTooLarge,)),
    ("never opened", "ASK " + "}" * DEEP, (QuerySyntaxError,)),
    ("signs without brackets", f"ASK {{ FILTER ({'!' * 100_000}1) }}", (FINE, QueryStopped, QueryTooLarge)),
    ("minus signs", f"SELECT ({'- ' * 50_000}1 AS ?x) {{}}", (QuerySyntaxError,)),
    ("long sum", f"SELECT ({'+'.join(['1'] * 50_000)} AS ?x) {{}}", (FINE, QueryStopped)),
    ("long disjunction", f"ASK {{ FILTER ({'||'.join(['?x=1'] * 20_000)}) }}", (FINE, QueryStopped)),
    ("many unions", f"ASK {{ {' UNION '.join(['{ ?s ?p ?o }'] * 20_000)} }}", (FINE, QueryStopped)),
    ("many optionals", f"ASK {{ {' '.join(f'OPTIONAL {{ ?s ?p ?o{i} }}' for i in range(5_000))} }}", (FINE, QueryStopped)),
    ("many patterns", f"ASK {{ {' '.join(f'?s{i} ?p{i} ?o{i} .' for i in range(5_000))} }}", (FINE, QueryStopped)),
    ("huge VALUES", f"SELECT * {{ VALUES ?x {{ {' '.join(map(str, range(100_000)))} }} }}", (FINE, QueryStopped)),
    ("crossed VALUES", f"SELECT * {{ {' '.join(f'VALUES ?x{i} {{ 1 2 3 4 5 6 7 8 }}' for i in range(12))} }}", (QueryStopped,)),
    ("beyond all words", "ASK { " + "?s ?p ?o . " * 80_000 + "}", (QueryTooLarge,)),
    ("beyond all length", "ASK { } # " + "x" * 10_000_000, (QueryTooLarge,)),
    ("GROUP_CONCAT of everything", "SELECT (GROUP_CONCAT(?c) AS ?x) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }", (QueryStopped,)),
    ("REPLACE bomb", f"SELECT (STRLEN({replaced(6)}) AS ?n) {{}}", (QueryStopped,)),
    ("CONCAT bomb", "SELECT (STRLEN(?z) AS ?n) { BIND ('" + LONG + "' AS ?a) "
     + " ".join(f"BIND (CONCAT(?{x}, ?{x}, ?{x}, ?{x}, ?{x}, ?{x}, ?{x}, ?{x}) AS ?{y})" for x, y in zip("abcdefghijkl", "bcdefghijklz", strict=True))
     + " }", (QueryStopped,)),
    ("regular expression with repetitions", "ASK { FILTER (REGEX('" + LONG * 20 + "b', '((a{1,60}){1,60}){1,60}c')) }", (FINE, QueryStopped)),
    ("regular expression that backtracks elsewhere", f"ASK {{ FILTER (REGEX('{LONG * 100}', '^(a+)+$')) }}", (FINE, QueryStopped)),
    ("long regular expression", f"ASK {{ ?s ?p ?o FILTER (REGEX(STR(?o), '{'(x|y)?' * 20_000}')) }}", (FINE, QueryStopped)),
    ("SERVICE to loopback", "SELECT * { SERVICE <http://127.0.0.1:80/> { ?s ?p ?o } }", (QueryRefused,)),
    ("SERVICE to metadata", "SELECT * { SERVICE SILENT <http://169.254.169.254/latest/> { ?s ?p ?o } }", (QueryRefused,)),
    ("SERVICE to a file", "SELECT * { SERVICE <file:///etc/passwd> { ?s ?p ?o } }", (QueryRefused,)),
    ("SERVICE out of the data", "SELECT * { ?x ?y ?z SERVICE ?x { ?s ?p ?o } }", (QueryRefused,)),
    ("SERVICE in disguise", "PREFIX e: <http://127.0.0.1:80/> SELECT * { ?s ?p true.SERVICEe:x{?s ?p ?o} }", (QueryRefused,)),
    ("FROM a file", "SELECT * FROM <file:///etc/passwd> { ?s ?p ?o }", (QueryRefused,)),
    ("FROM the network", "SELECT * FROM NAMED <http://127.0.0.1/> { GRAPH ?g { ?s ?p ?o } }", (QueryRefused,)),
    ("update", "LOAD <file:///etc/passwd>", (QueryRefused,)),
    ("NUL", "SELECT * { ?s ?p '\0' }", (FINE, QuerySyntaxError)),
    ("NUL outside strings", "SELECT * { ?s \0 ?o }", (QuerySyntaxError,)),
    ("lone surrogates", "SELECT * { ?s ?p '\\uD800' }", (QueryError, FINE)),
    ("huge numbers", f"SELECT ({'9' * 100_000} * {'9' * 100_000} AS ?x) (1e999999999 AS ?y) {{}}", (FINE, QueryStopped)),
    ("huge offset", "SELECT * { ?s ?p ?o } OFFSET 18446744073709551615 LIMIT 18446744073709551615", (FINE, QuerySyntaxError)),
    ("substring far away", "SELECT (SUBSTR('abc', 9223372036854775807, 9223372036854775807) AS ?x) {}", (FINE, QueryStopped)),
]  # fmt: skip


@pytest.fixture(scope="module")
def abused() -> Iterator[Running]:
    """An engine with short limits that takes all the abuse of this module."""
    running = Running(Source(quads=small_data()), query_timeout=SECONDS, query_memory=256, answer_bytes=2**24)
    yield running
    running.close()


@pytest.mark.parametrize(("query", "outcomes"), [abuse[1:] for abuse in ABUSES], ids=[abuse[0] for abuse in ABUSES])
def test_abuse(abused: Running, query: str, outcomes: tuple[Outcome, ...]) -> None:
    began = time.monotonic()
    future = abused.submit(query)
    error = future.exception(SECONDS + 2)
    took = time.monotonic() - began
    assert isinstance(error, outcomes), error
    assert took < SECONDS + 0.25
    if error is not None:
        assert len(str(error)) < 300
        assert "/" not in str(error) or isinstance(error, QueryError)
    began = time.monotonic()
    assert "thing 5" in abused.text(f"{LIGHT} # {began}")
    assert time.monotonic() - began < 0.25


def test_the_engine_has_survived_it_all(abused: Running) -> None:
    snapshot = abused.until(lambda snapshot: snapshot.evaluators == abused.supervisor.evaluators_wanted)
    assert snapshot.ready
    assert snapshot.rebuilds == 0
    assert snapshot.running == snapshot.waiting == 0
    assert snapshot.memory_bytes < 200 * 2**20
