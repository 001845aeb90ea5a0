"""What the tokens of a query tell."""

from __future__ import annotations

import contextlib
import time
from collections import Counter

import pyoxigraph as ox
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsm_graph.engine.screen import Limits, examine, form_of, screen, tokens, without_comments
from rsm_graph.errors import QueryError, QueryRefused, QuerySyntaxError, QueryTooLarge

LIMITS = Limits()


@pytest.mark.parametrize(
    ("query", "form"),
    [
        ("select * {}", "SELECT"),
        ("ASK{}", "ASK"),
        ("# SELECT\nPREFIX a: <urn:a#> BASE <urn:b> prefix : <urn:c>\r\nDescribe <x>", "DESCRIBE"),
        ('VERSION "1.2" CONSTRUCT { } WHERE { }', "CONSTRUCT"),
        ("PREFIXé:<urn:a>ASK{}", "ASK"),
        ("INSERT DATA { }", None),
        ("SELECTED {}", None),
        ("SELECT:x {}", None),
        ("", None),
        ("PREFIX a:", None),
    ],
)
def test_the_form_of_a_query(query: str, form: str | None) -> None:
    assert form_of(query) == form


CALLS = [
    "SERVICE :x { }",
    "service silent <urn:x> { }",
    "SERVICE\n#\n ?x { }",
    "SERVICE$x{ }",
    "SERVICEex:x{ }",
    "SERVICESILENTex:x{ }",
    "SERVICE:x{ }",
    "?s ?p true.SERVICE:x{ }",
    "?s ?p trueSERVICE<urn:x>{ }",
    "?s ?p 1.SERVICE:x{ }",
    "?s ?p 1e5SERVICE :x{ }",
    "?s ?p 'a'@en.SERVICE:x{ }",
    "?s ?p '\\'' . SERVICE <urn:\\u0061> { }",
    '?s ?p """a"b""" SERVICE <urn:a> { }',
    "FILTER (1 <2) SERVICE <urn:a> { } FILTER (3> 2)",
    "OPTIONAL { LATERAL { SERVICE :x { } } }",
    "service:x { }",
]
NO_CALLS = [
    "?s ?p 'SERVICE <urn:x> { }'",
    "?s ?p '''SERVICE ' <urn:x>'''",
    "?s ?p <urn:SERVICE> # SERVICE <urn:x> { }\n",
    "?s ?SERVICE ?o",
    "?s service:name ?o",
    "GRAPH service:name { ?s ?p ?o }",
    "?s ?p ex:SERVICE",
    "?s ?p _:SERVICE",
    "?s ?p 'a'@SERVICE",
    "?s <urn:a#'b> ?o FILTER (?o != 'SERVICE :x {}')",
    "?s ?p ?o FILTER (?o IN (<urn:it's>, <urn:a#b>) && ?o != 'SERVICE :x {}')",
    "?s ?p ?o FILTER (?o != <http://example.org/it's> && ?o = 'SERVICE :x {}')",
    "?s ?p ?o FILTER (?o<1&&2>1 && ?o = 'SERVICE :x {}')",
]


@pytest.mark.parametrize("pattern", CALLS)
def test_every_call_is_seen(pattern: str) -> None:
    assert screen(f"SELECT * {{ {pattern} }}", LIMITS).services


@pytest.mark.parametrize("pattern", NO_CALLS)
def test_what_only_looks_like_a_call_is_let_through(pattern: str) -> None:
    assert not screen(f"SELECT * {{ {pattern} }}", LIMITS).services


COMPARED = [
    *("?o", "(1)", "1.e5", "true", "''", "'a'@en--ltr", "'a'^^ex:t", "<urn:a>", "ex:a", "ex:a\\.", "ex:f(?o)"),
    *("EXISTS { }", "<<(?s ?p ?o)>>", "?o #\n"),
]
BEHIND = ["<'a>b' || true) SERVICE :x { } FILTER (?o != 'c') } # ')}", "<1#>'''\n || true) SERVICE :x { } #''' > 1)\n"]


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("compared", COMPARED)
def test_no_call_hides_behind_what_may_be_an_iri(compared: str, behind: str) -> None:
    query = f"{DECLARED}SELECT * {{ ?s ?p ?o FILTER ({compared}{behind} }}"
    with pytest.raises(OSError, match="port 1 "):
        list(one_triple().query(query))  # type: ignore[arg-type]
    with pytest.raises(QuerySyntaxError, match="put a space behind <"):
        screen(query, LIMITS)


DECLARED = "PREFIX ex: <http://127.0.0.1:1/> PREFIX : <http://127.0.0.1:1/> PREFIX service: <http://127.0.0.1:1/> "
WORDS = """
    SERVICE service SILENT <http://127.0.0.1:1/> ex:x :x ?x service:x ex: true a 1 1. . 'a' @en { } # ?s OPTIONAL GRAPH
    FILTER (1<2) LATERAL < > " ''' \\ ; , [] _:b ^^ UNION
"""
PATTERNS = ["{ ?s ?p ?o }", "?s ?p ?o", "?s ?p", "VALUES ?x { ex:x }", "BIND(ex:x AS ?x)", " ", "\n"]
HIDING = ["FILTER(?o<'a>b')", "FILTER(?o='c')", "FILTER(?o<1#>'''\n)", "#'''>1)", "} # ')}", "SERVICE :x { }"]
pieces = st.sampled_from([*WORDS.split(), *PATTERNS, *HIDING])


def one_triple() -> ox.Store:
    store = ox.Store()
    store.add(ox.Quad(ox.NamedNode("urn:s"), ox.NamedNode("urn:p"), ox.Literal("o")))
    return store


@settings(max_examples=1500)
@given(st.lists(pieces, max_size=9).map("".join))
def test_the_engine_calls_nobody_that_the_screen_has_not_seen(pattern: str) -> None:
    query = f"{DECLARED}SELECT * {{ {pattern} }}"
    store = one_triple()
    try:
        list(store.query(query))  # type: ignore[arg-type]
        called = False
    except OSError:
        called = True  # the engine's client refuses port 1 before it connects
    except (SyntaxError, RuntimeError):
        return
    try:
        seen = screen(query, LIMITS).services
    except QuerySyntaxError as error:  # that it cannot tell is an answer too
        assert "put a space behind <" in str(error)  # noqa: PT017
    else:
        assert seen or not called


COMMENTED = [
    ("ASK { } # x", "ASK { }"),
    ("# it's\nASK # <a> {\r\n{ }#x\n#'\n", "ASK \r\n{ }#x"),
    ("ASK { ?s ?p 'a # b' }", "ASK { ?s ?p 'a # b' }"),
    ("ASK { ?s ?p 'a # b' } # c", "ASK { ?s ?p 'a # b' }"),
    ("ASK { ?s ?p <urn:a#b> }", "ASK { ?s ?p <urn:a#b> }"),
    ("ASK { ?s ?p 'a' # it's\n}", "ASK { ?s ?p 'a' # it's\n}"),
    ("ASK { ?s ?p '''\n# a\n''' } # b", "ASK { ?s ?p '''\n# a\n''' } # b"),
    ("ASK { ?s ?p '\\u0041' } # b", "ASK { ?s ?p '\\u0041' } # b"),
    ("ASK { } # \\", "ASK { } # \\"),
]


@pytest.mark.parametrize(("text", "plain"), COMMENTED)
def test_comments_are_taken_out_where_they_are_sure_to_be_comments(text: str, plain: str) -> None:
    assert without_comments(text) == plain


remarks = st.sampled_from(
    ["#", " #", "\n#", "# x\n", " # '\n", "<urn:a#b>", "'#'", " # ", '"', "'", "a", "\n", "\r", "\\", ":#", "<"]
)
PLAIN: Counter[bool] = Counter()


@settings(max_examples=1500)
@given(st.lists(pieces | remarks, max_size=9).map("".join), st.lists(remarks, max_size=3).map("".join))
def test_a_query_means_the_same_without_its_comments(pattern: str, end: str) -> None:
    query = f"{DECLARED}SELECT * {{ ?s ?p ?o {pattern} }}{end}"
    plain = without_comments(query)
    if plain == query:
        return
    store = one_triple()

    def answer(text: str) -> str:
        try:
            results = store.query(text)
            assert isinstance(results, ox.QuerySolutions)
            return f"{results.variables} {[str(solution) for solution in results]}"
        except SyntaxError:
            return "a syntax error"
        except (OSError, RuntimeError) as error:
            return str(error)

    PLAIN[answer(query) != "a syntax error"] += 1
    assert answer(plain) == answer(query)


def test_the_property_has_seen_comments() -> None:
    if PLAIN:
        assert PLAIN[True] > 50  # the examples depend on the version of Hypothesis


@pytest.mark.parametrize("word", ["INSERT", "delete", "LOAD", "CLEAR", "CREATE", "DROP", "COPY", "MOVE", "ADD", "WITH"])
def test_updates_are_refused(word: str) -> None:
    with pytest.raises(QueryRefused, match="Update"):
        screen(f"PREFIX : <urn:a> {word} :x", LIMITS)


def test_documents_are_the_absolute_iris_of_the_dataset_clause() -> None:
    query = "SELECT * FROM <http://a> FROM NAMED <file:///b> FROM <c> FROM :d { ?s ?p 'FROM <http://e>' }"
    assert screen(query, LIMITS).documents == ("http://a", "file:///b")


def test_limits_count_words_and_depth() -> None:
    assert examine("ASK { ?s ?p ?o }", Limits(tokens=6, depth=1))
    with pytest.raises(QueryTooLarge):
        examine("ASK { ?s ?p ?o }", Limits(tokens=5, depth=1))
    with pytest.raises(QueryTooLarge):
        examine("ASK { ?s ?p [] }", Limits(depth=1))
    with pytest.raises(QueryTooLarge):
        examine(f"ASK {{ FILTER (?a<{'(' * 20}1{')' * 20}>?b) }}", Limits(depth=10))
    rows = "(1 <#a>)\n" * 20
    assert screen(f"SELECT * {{ VALUES (?a ?b) {{ {rows} }} }}", Limits(tokens=20, depth=10))


PIECES = """
    ( { " ' ''' # < <a a. a.- a: a: a:. a:%2 % 1. 1e ? _:a. @a- PREFIX<x> PREFIXa:<x> BASE<x SERVICE '\\ \\'
"""


@pytest.mark.parametrize("piece", [*PIECES.split(), "\\'''\n", "x\\'''\n", "\n", "\0", "\N{PILE OF POO}"])
def test_no_text_takes_long(piece: str) -> None:
    text = "SELECT * { " + piece * (1_000_000 // len(piece))
    began = time.perf_counter()
    form_of(piece * (1_000_000 // len(piece)))
    assert time.perf_counter() - began < 0.3
    with pytest.raises(QueryError):
        screen(text, LIMITS)
    assert time.perf_counter() - began < 3


@given(st.text(max_size=60) | st.lists(pieces, max_size=12).map("".join))
def test_tokens_cover_the_text_in_order(text: str) -> None:
    end = 0
    for token in tokens(text):
        gap = text[end : token.start]
        assert not gap.strip(" \t\r\n") or "#" in gap
        assert text[token.start : token.start + len(token.text)] == token.text
        end = token.start + len(token.text)
        if token.kind == "quote":
            break


@given(st.text(max_size=40))
def test_any_text_is_screened_or_refused(text: str) -> None:
    with contextlib.suppress(QuerySyntaxError, QueryRefused):
        assert screen(text, LIMITS).form
