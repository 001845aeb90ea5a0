"""The ontology passes the criteria of FOOPS! and OOPS! that can be checked without a web server, and a few of ours.

Each file in ``pitfalls/`` is a query for one pitfall: it must find nothing in the ontology, and it must find the
fault in the example beside it. What is left out on purpose: inverse properties (OOPS! P13), because a second name for
each statement's other direction would only be one more thing to know where SPARQL has ``^``; and a domain and range
for every object property (P11), because dates, places and participants are said of many kinds of things: shapes check
them where they are used. Pages, content negotiation and status codes (FOOPS! CN1, RDF1, DOC1) are tests of the web.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pyoxigraph as ox
import pytest

from rsm_graph import project, release
from rsm_graph.dataset import Dataset
from rsm_graph.namespaces import DEFAULT_BASE, KINDS, RDF_TYPE, VOCABULARIES, prefixes

PITFALLS = Path(__file__).parent / "pitfalls"
NAMES = sorted(path.stem for path in PITFALLS.glob("*.rq"))

RSM = f"{DEFAULT_BASE}ontology#"
OWL = VOCABULARIES["owl"]
RDFS = VOCABULARIES["rdfs"]
TERM_TYPES = {OWL + "Class", OWL + "ObjectProperty", OWL + "DatatypeProperty"}

MANY_KINDS = {
    "domain": {
        # dates and their grounds: of events, tenures, missions, instruments, figures, offices
        *("startDate", "endDate", "date", "asOf", "attestedOn", "dateBasis", "dateReason"),
        *("earliestStart", "latestStart", "earliestEnd", "latestEnd", "earliest", "latest"),
        # of missions and commands, or of commands and organizations
        *(
            "predecessor",
            "parentCommand",
            "headquarters",
            "advises",
            "dualHattedWith",
            "leadNation",
            "contributingNation",
        ),
        # of contributions, figures and editions
        *("mission", "nation", "troops", "asPrinted", "nationAsPrinted", "precision", "strengthQualifier"),
        *("nationCount", "allyCount", "partnerCount", "plannedStrength"),
        # of concepts, and of whatever has an aim or helps another
        *("natoGrade", "aim", "emphasis", "supports", "finances", "contributesTo"),
    },
    "range": {"predecessor", "concerns", "participant", "attendedBy", "invited"},
}
"""Properties that are said of, or lead to, things of several kinds that have no class of ours in common."""


@pytest.fixture(scope="module")
def ontology() -> ox.Store:
    """The ontology without its alignments to terms of others, which talk about those."""
    store = ox.Store()
    store.load(path=str(project.root() / "ontology" / "rsm.ttl"), format=ox.RdfFormat.TURTLE)
    return store


@pytest.fixture(scope="module")
def terms(ontology: ox.Store) -> dict[str, str]:
    """The names of the ontology's classes and properties, each with its type's name."""
    return {
        quad.subject.value.removeprefix(RSM): quad.object.value.removeprefix(OWL)
        for quad in ontology.quads_for_pattern(None, ox.NamedNode(RDF_TYPE), None)
        if quad.object.value in TERM_TYPES and quad.subject.value.startswith(RSM)
    }


def rows(store: ox.Store, name: str) -> list[list[str]]:
    """The rows that a pitfall's query finds, each term as a plain string."""
    answer = cast(ox.QuerySolutions, store.query((PITFALLS / f"{name}.rq").read_text(encoding="utf-8")))
    return [[term.value for term in row if term is not None] for row in answer]


@pytest.mark.parametrize("name", NAMES)
def test_pitfall_is_avoided(ontology: ox.Store, name: str) -> None:
    assert rows(ontology, name) == []


@pytest.mark.parametrize("name", NAMES)
def test_pitfall_is_found_where_it_is(name: str) -> None:
    text = (PITFALLS / f"{name}.ttl").read_text(encoding="utf-8")
    fault = text.partition("\n")[0].removeprefix("# finds: ")
    store = ox.Store()
    store.load(text.encode(), format=ox.RdfFormat.TURTLE)
    assert any(fault in row for row in rows(store, name))


@pytest.mark.parametrize("name", NAMES)
def test_pitfall_says_what_it_is(name: str) -> None:
    lines = (PITFALLS / f"{name}.rq").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# title: ")
    assert lines[1].startswith("# criterion: ")


@pytest.mark.parametrize("axis", ["domain", "range"])
def test_properties_have_a_domain_and_a_range_where_one_class_will_do(
    ontology: ox.Store, terms: dict[str, str], axis: str
) -> None:
    given = {
        q.subject.value.removeprefix(RSM) for q in ontology.quads_for_pattern(None, ox.NamedNode(RDFS + axis), None)
    }
    properties = {name for name, kind in terms.items() if kind != "Class"}
    assert properties - given == MANY_KINDS[axis]


def test_declared_prefixes_are_those_of_the_code(ontology: ox.Store) -> None:
    answer = ontology.query(
        "PREFIX sh: <http://www.w3.org/ns/shacl#> "
        "SELECT ?prefix (STR(?name) AS ?iri) { ?ontology sh:declare [ sh:prefix ?prefix ; sh:namespace ?name ] }"
    )
    declared = {row["prefix"].value: row["iri"].value for row in cast(ox.QuerySolutions, answer)}
    assert declared == prefixes(DEFAULT_BASE)
    assert set(KINDS) <= set(declared)


def test_reused_vocabularies_are_more_than_a_handful(ontology: ox.Store) -> None:
    """FOOPS! VOC1, VOC2: terms of established vocabularies describe the ontology and stand above its own."""
    used = {
        name
        for name, namespace in VOCABULARIES.items()
        for quad in ontology
        for node in (quad.predicate, quad.object)
        if isinstance(node, ox.NamedNode) and node.value.startswith(namespace)
    }
    assert {"dcterms", "vann", "skos", "org", "prov", "qb", "geo", "eli", "foaf"} <= used


def own_terms(texts: Iterator[str]) -> set[str]:
    return {name for text in texts for name in re.findall(r"\brsm:([A-Za-z]\w*)", re.sub(r"(?m)^\s*#.*$", "", text))}


def test_no_term_is_used_that_is_not_defined(dataset: Dataset, terms: dict[str, str]) -> None:
    in_data = {
        node.value.removeprefix(RSM)
        for quad in dataset.quads
        for node in (quad.subject, quad.predicate, quad.object)
        if isinstance(node, ox.NamedNode) and node.value.startswith(RSM)
    }
    folders = (project.QUERIES, project.RULES, release.TABLES)
    in_queries = own_terms(path.read_text(encoding="utf-8") for folder in folders for path in folder.glob("*.rq"))
    known = set(terms) | {name for name in in_data if name.startswith("prefix-")}
    assert (in_data | in_queries) - known == set()


WRITTEN_WITH_NETWORK = {"checkedOn", "linkFinding"}
"""What `rsm-graph link check` writes once somebody has run it."""


def test_no_term_is_defined_that_no_data_use(dataset: Dataset, terms: dict[str, str]) -> None:
    words = {dataset.iri(name) for name in ("graph/ontology", "graph/shapes")}
    used = {
        node.value.removeprefix(RSM)
        for quad in dataset.quads
        if quad.graph_name.value not in words
        for node in (quad.predicate, quad.object)
        if isinstance(node, ox.NamedNode)
    }
    assert set(terms) - used <= WRITTEN_WITH_NETWORK
