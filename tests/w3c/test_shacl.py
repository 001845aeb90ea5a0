"""The W3C test suite of SHACL, run by both validators through the calls that this project makes.

Its place is taken from ``DATA_SHAPES_TESTS``: a checkout of w3c/data-shapes, or its folder data-shapes-test-suite.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from urllib.parse import urljoin

import pyoxigraph as ox
import pytest
import shacl

from rsm_graph.reference import Judge
from rsm_graph.shape_graph import SH, Graph, path_text

MF = "http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#"
SHT = "http://www.w3.org/ns/shacl-test#"

KNOWN: dict[str, dict[str, str]] = {
    "reference": {
        "property/uniqueLang-002": 'pySHACL takes "1"^^xsd:boolean for true; sh:uniqueLang asks for "true" (4.4.2)',
        "node/prefixes-001": "pySHACL does not follow owl:imports from sh:prefixes to the declarations (5.2.1)",
        "pre-binding/shapesGraph-001": "pySHACL has no $shapesGraph, which SHACL leaves optional (5.3.1)",
    },
    "quick": {
        "pre-binding/unsupported-sparql-004": "shacl accepts a subquery that does not return $this (5.2.1)",
    },
}
"""Tests that a validator does not pass, each with the reason."""

Finding = tuple[str, str, str, str, str]
"""Focus node, path, value, component and severity; ``_:`` for any blank node, ``…`` for any path that is no IRI."""


def suite() -> Path | None:
    """Return the folder of the tests, if there is one."""
    place = os.environ.get("DATA_SHAPES_TESTS", "")
    folders = [Path(place), Path(place) / "data-shapes-test-suite"] if place else []
    return next((folder / "tests" for folder in folders if (folder / "tests" / "core").is_dir()), None)


SUITE = suite()
TESTS = sorted(path for part in ("core", "sparql") for path in (SUITE / part).rglob("*.ttl")) if SUITE else []
CASES = [
    path for path in TESTS if path.name != "manifest.ttl" and "-shapes" not in path.stem and "-data" not in path.stem
]


def triples(path: Path) -> list[ox.Triple]:
    quads = ox.parse(path=path, format=ox.RdfFormat.TURTLE, base_iri=path.as_uri())
    return [quad.triple for quad in quads]


def text(graph: list[ox.Triple]) -> bytes:
    return ox.serialize(dict.fromkeys(graph), format=ox.RdfFormat.N_TRIPLES) or b""


def anonymous(term: object) -> str:
    return "_:" if str(term).startswith("_:") else str(term or "")


def one(graph: Graph, subject: object, predicate: str) -> object:
    return next(iter(graph.objects(subject, predicate)), None)


def expected(path: Path) -> tuple[list[ox.Triple], list[ox.Triple], Counter[Finding] | None]:
    """Return data graph, shapes graph and results of a test; no results where the validator has to give up."""
    parsed = triples(path)
    graph = Graph(parsed)
    (test,) = (t.subject for t in parsed if t.predicate.value == MF + "action")
    action = one(graph, test, MF + "action")
    files = [
        Path(urljoin(path.as_uri(), one(graph, action, SHT + name).value).removeprefix("file://"))  # type: ignore[attr-defined]
        for name in ("dataGraph", "shapesGraph")
    ]
    data, rules = (parsed if file == path else triples(file) for file in files)
    report = one(graph, test, MF + "result")
    if str(report) == f"<{SHT}Failure>":
        return data, rules, None
    found: Counter[Finding] = Counter()
    for result in graph.objects(report, SH + "result"):
        route = path_text(graph, graph.objects(result, SH + "resultPath"))
        found[
            anonymous(one(graph, result, SH + "focusNode")),
            route if not route or is_iri(route) else "…",
            anonymous(one(graph, result, SH + "value")),
            str(one(graph, result, SH + "sourceConstraintComponent")).strip("<>"),
            str(one(graph, result, SH + "resultSeverity")).strip("<>"),
        ] += 1
    return data, rules, found


def is_iri(route: str) -> bool:
    return route.startswith("<") and route.endswith(">") and route.count("<") == 1


def by_quick(data: list[ox.Triple], rules: list[ox.Triple]) -> Counter[Finding]:
    compiled = shacl.Shapes.from_text(text(rules).decode(), format="ntriples")
    return Counter(
        (
            anonymous(r.focus_node),
            (r.path if is_iri(r.path) else "…") if r.path else "",
            anonymous(r.value),
            r.component_iri,
            r.severity_iri,
        )
        for r in compiled.validate_text(text(data).decode(), format="ntriples").results
    )


def by_reference(data: list[ox.Triple], rules: list[ox.Triple]) -> Counter[Finding]:
    rows = Judge(text(data)).results(text(rules))
    if isinstance(rows, str):
        raise ValueError(rows)
    return Counter((anonymous(row.focus), row.path, anonymous(row.value), row.component, row.severity) for row in rows)


@pytest.mark.skipif(SUITE is None, reason="set DATA_SHAPES_TESTS to a checkout of w3c/data-shapes")
def test_suite_is_whole() -> None:
    assert len(CASES) >= 120


@pytest.mark.parametrize("validator", ["reference", "quick"])
@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_w3c(path: Path, validator: str, request: pytest.FixtureRequest) -> None:
    name = f"{path.parent.name}/{path.stem}"
    if name in KNOWN[validator]:
        request.applymarker(pytest.mark.xfail(reason=KNOWN[validator][name], strict=True))
    data, rules, results = expected(path)
    judge = by_reference if validator == "reference" else by_quick
    if results is None:
        with pytest.raises(ValueError, match=r".+"):
            judge(data, rules)
    else:
        assert judge(data, rules) == results
