"""The shapes: each has a valid and an invalid example, found by glob, and two validators say the same of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pyshacl
import pytest
import shacl

from rsm_graph import formats, namespaces, shapes, validation
from rsm_graph.dataset import Dataset, load_files
from rsm_graph.derive import derive
from rsm_graph.namespaces import DEFAULT_BASE
from tests.examples import (
    BY_NAME,
    EXAMPLES,
    SHAPES,
    added,
    background,
    changed,
    changes,
    declared,
    example,
    ntriples,
    project,
    report,
)

ENGINES: tuple[validation.Engine, ...] = ("reference", "quick")

PUBLISHED = (
    "label", "labelFr", "ontologyTerm", "knownTerm", "typed", "iriPattern", "noBlankNode", "nationCode",
    "nationCodeUnique", "nationCodeKnown", "nationNotPlace", "tenureHolder", "tenurePost", "tenureDated",
    "tenureOrder", "tenureOverlap", "tenurePossibleOverlap", "tenureWithinMission", "tenureRank",
    "tenureRankGrade", "commanderRankPlausible", "sendingNation", "sendingNationContributes", "postInCommand",
    "sameTenureTwice", "commandParent", "commandAcyclic", "commandHeadquarters", "hubNotSpoke", "spokeSector",
    "locationPlace", "placeGeometry", "leadRole", "leadNationContributes", "contributionEdition",
    "contributionNation", "contributionTroops", "contributionAsPrinted", "contributionDuplicate",
    "contributionMatchesPrint", "contributionClosed", "editionSum", "editionCount", "editionStatedStrength",
    "editionDated", "editionBasis", "prospectNotContributor", "contributionWithinMission", "strengthDated",
    "strengthPrecision", "strengthConflict", "statusParts", "statusOverlap", "statusKnownAtEdition",
    "eventDate", "eventConcerns", "signedBeforeRatified", "ratifierIsParty", "sofaParties", "resolutionSymbol",
    "resolutionYear", "resolutionBody", "instrumentHasEvent", "meetingAttendance", "eventOrder", "dateKind",
    "dateReal", "derivedBounds", "dateRange", "conceptScheme", "conceptLabel", "notationUnique",
    "focusAreaScheme", "functionScheme", "passageDocument", "passageLocator", "passageStanding", "rulingGiven",
    "documentParts", "statementHasPassage", "passageIsolated", "oneValue", "rejectedHasRival", "tertiaryAlone",
    "linkIri", "linkOnce", "linkInMappingSet", "linkPredicate", "linkJustification", "noSameAs",
    "datasetParts",
)  # fmt: skip
"""Names that others may rely on: an IRI once published never disappears."""


@cache
def found(path: Path) -> tuple[validation.Result, ...]:
    """Return what the quick validator finds in an example."""
    return report(path, "quick", SHAPES).results


def test_background_conforms() -> None:
    _, report = project()
    assert report.conforms, report.text()


def test_every_constraint_has_its_examples() -> None:
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert folders == set(BY_NAME)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_valid_example_keeps_the_constraint(name: str) -> None:
    results = found(example(name, "valid"))
    assert "violation" not in {result.severity for result in results}
    assert name not in {result.name for result in results}


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_invalid_example_breaks_the_constraint_and_no_other(name: str) -> None:
    path = example(name, "invalid")
    findings = {(r.severity, r.name) for r in found(path) if r.severity == "violation" or r.name == name}
    assert findings == declared(path)
    assert name in {other for _, other in findings}


APART = ("conceptDefinition", "conceptScheme", "labelFr")
"""Constraints whose invalid examples change what all examples share, and are mended by the others."""


@pytest.mark.parametrize("name", APART)
def test_both_validators_agree_on_the_invalid_example(name: str) -> None:
    path = example(name, "invalid")
    results = report(path, "reference", SHAPES.only([BY_NAME[name].iri])).results
    reference = {(r.name, r.focus, r.severity) for r in results}
    assert reference
    assert reference == {(r.name, r.focus, r.severity) for r in found(path) if r.name == name}


@pytest.mark.parametrize("name", sorted(changes()))
def test_each_change_of_an_example_is_noticed_or_not_as_it_should_be(name: str) -> None:
    constraint = BY_NAME[name]
    rules = SHAPES.only([constraint.iri])
    for change in changes()[name]:
        assert bool(added(changed(change)).severities(rules, constraint)) == change.found, change


def merged(kind: str) -> Dataset:
    """All examples of a kind in one dataset, each under keys of its own."""

    def renamed(term: Any, number: int) -> Any:
        if isinstance(term, ox.NamedNode):
            return ox.NamedNode(re.sub(r"\b(example|sample)\b", rf"\g<1>-{number}", term.value))
        return ox.BlankNode(f"b{number}") if isinstance(term, ox.BlankNode) else term

    quads = list(background().quads)
    for number, name in enumerate(sorted(BY_NAME)):
        graph = f"{DEFAULT_BASE}id/source/merged/{number}"
        loaded = load_files([(example(name, kind), graph)], DEFAULT_BASE)
        quads += [ox.Quad(*(renamed(term, number) for term in quad)) for quad in loaded.quads]
    return derive(Dataset(DEFAULT_BASE, tuple(dict.fromkeys(quads))))


def agreed(dataset: Dataset) -> set[tuple[str, str, str]]:
    """Return constraint, focus node and severity of what both validators find; they find the same."""
    reference, quick = (
        {(r.name, r.focus, r.severity) for r in validation.validate(dataset, SHAPES, engine=engine).results}
        for engine in ENGINES
    )
    assert reference == quick
    return reference


@pytest.mark.parametrize("kind", ["valid", "invalid"])
def test_both_validators_agree_on_all_examples_at_once(kind: str) -> None:
    dataset = merged(kind)
    reference = agreed(dataset)
    assert len(reference) > 100
    if kind == "invalid":
        judged = {name for name, constraint in BY_NAME.items() if constraint.kind != "dataset"}
        assert judged - {name for name, _, _ in reference} == set(APART)


@pytest.mark.parametrize("constraint", SHAPES.constraints.values(), ids=lambda c: c.name)
def test_constraint_is_documented(constraint: shapes.Constraint) -> None:
    assert constraint.iri == f"{DEFAULT_BASE}shapes#{constraint.name}"
    assert constraint.label != constraint.name
    assert constraint.label[-1] not in "."
    assert constraint.description.endswith(".")
    assert constraint.message.count(shapes.ARROW) == 1
    assert constraint.remedy.endswith(".")
    triples = [t for t in SHAPES.topics[constraint.topic] if getattr(t.subject, "value", "") == constraint.iri]
    assert sum(t.predicate.value == shapes.SH + "severity" for t in triples) == 1, "sh:severity stands on the shape"


def test_messages_of_queries_show_what_they_found() -> None:
    for triples in SHAPES.topics.values():
        for query in (t for t in triples if t.predicate.value == shapes.SH + "select"):
            (message,) = (
                t.object.value
                for t in triples
                if t.subject == query.subject and t.predicate.value == shapes.SH + "message"
            )
            shown = set(re.findall(r"\{[?$](\w+)\}", message))
            assert shown <= set(re.findall(r"[?$](\w+)", query.object.value)), message
            assert shown or "?value" not in query.object.value, message


def test_names_of_constraints_are_unique() -> None:
    assert len(BY_NAME) == len(SHAPES.constraints)


def test_published_names_exist() -> None:
    assert set(PUBLISHED) <= set(BY_NAME)


def test_shapes_conform_to_the_shapes_of_shacl() -> None:
    """SHACL, appendix B: shapes that a shapes graph has to conform to."""
    of_shacl = shacl.Shapes.from_file(str(Path(pyshacl.__file__).parent / "assets" / "shacl-shacl.ttl"))
    for topic in SHAPES.topics:
        report = of_shacl.validate_text(ntriples(SHAPES.shacl(topic)), format="ntriples")
        assert report.conforms, report.turtle
    assert not of_shacl.validate_text(f"<urn:s> <{shapes.SH}property> <urn:no-path> .", format="ntriples").conforms


def test_prefixes_are_those_of_the_project() -> None:
    declared = dict(re.findall(r"PREFIX (\S+): <(.*)>", SHAPES.prologue()))
    known = namespaces.prefixes(DEFAULT_BASE)
    assert {name: known.get(name) for name in declared} == declared


def test_shapes_follow_the_base_iri() -> None:
    other = shapes.project_shapes("https://example.org/rsm/")
    renamed = {iri.replace("https://example.org/rsm/", DEFAULT_BASE) for iri in other.constraints}
    assert renamed == set(SHAPES.constraints)
    assert not any(DEFAULT_BASE in str(triple) for triples in other.topics.values() for triple in triples)


def test_both_validators_agree_on_the_data(dataset: Dataset) -> None:
    agreed(dataset)


def test_the_data_conform(dataset: Dataset) -> None:
    report = validation.validate(dataset, SHAPES, engine="quick")
    assert report.conforms, report.text()


def nt_files() -> Iterator[Path]:
    yield from sorted(EXAMPLES.glob("*/*"))


def test_examples_are_written_in_the_base_of_the_project() -> None:
    for path in nt_files():
        assert formats.read(path)
