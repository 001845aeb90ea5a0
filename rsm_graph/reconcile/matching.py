"""Questions become candidates: who is meant, how sure that is, and whether one candidate stands clear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rsm_graph.namespaces import KINDS
from rsm_graph.reconcile.catalogue import RELATIONS, Catalogue, Property, Type
from rsm_graph.search import Hit, fold

SURE = 70.0
"""Score from which a candidate may be called a match."""

CLEAR = 8.0
"""By how much a match must lead the next candidate."""

_OTHER_TYPE = 0.8
"""What is left of a score when the types asked for only *should* fit, and do not."""

_LOSS = {"fits": 0.0, "unknown": 0.15, "contradicts": 0.4}
"""What the properties take from a score when all of them fit, have no value to compare, or have another."""

_WIDE = 40
"""Candidates that are looked at before types and properties sort them."""

NAMED = tuple(kind for kind in KINDS if kind not in (*RELATIONS, "source", "dataset"))
"""Kinds of things that are found when no type is asked for: those that bear a name."""

Strictness = Literal["any", "should", "all"]
STRICTNESS: tuple[Strictness, ...] = ("any", "should", "all")
"""How types are taken: one must fit, one should fit, all must fit."""


@dataclass(frozen=True, slots=True)
class Question:
    """One reconciliation query: a name, or properties, or both; ``limit`` candidates are wanted."""

    text: str
    types: tuple[Type, ...] = ()
    properties: tuple[tuple[Property, tuple[str, ...]], ...] = ()
    limit: int = 5
    strictness: Strictness = "any"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One thing that may be meant: ``name`` is what the text was like, ``fitting`` the share of properties that fit.

    ``contradicted`` tells that it has other values of a property than those asked for.
    """

    iri: str
    label: str
    score: float
    match: bool
    name_score: float
    reason: str
    name: str
    fitting: float
    contradicted: bool


def candidates(catalogue: Catalogue, question: Question) -> list[Candidate]:
    """Return the candidates for a question, the best first; at most one of them has ``match``."""
    found = [_weighed(catalogue, question, hit) for hit in _hits(catalogue, question)]
    found.sort(key=lambda candidate: -candidate.score)
    if found:
        second = found[1].score if len(found) > 1 else 0.0
        best = found[0]
        clear = best.score >= SURE and best.score - second >= CLEAR and not best.contradicted
        found[0] = replace(best, match=clear)
    return found[: question.limit]


def _hits(catalogue: Catalogue, question: Question) -> Sequence[Hit]:
    members, kinds = _wanted(question)
    if question.text:
        width = max(_WIDE, question.limit + 1)
        hits: Sequence[Hit] = catalogue.search.search(question.text, width, kinds, prefix=False)
        return [hit for hit in hits if members is None or hit.iri in members]
    # Without a name, whatever has the values asked for is a candidate.
    agreeing = [
        frozenset[str]().union(*(catalogue.having(wanted, value) for value in values))
        for wanted, values in question.properties
    ]
    iris = frozenset.intersection(*agreeing) if agreeing else frozenset[str]()
    if members is not None:
        iris &= members
    return [
        Hit(iri, catalogue.kind(iri), catalogue.index.label(iri), 100.0, "", "", "properties") for iri in sorted(iris)
    ]


def _wanted(question: Question) -> tuple[frozenset[str] | None, Sequence[str]]:
    """Return the things that the types let through (all if ``None``), and the kinds to search in."""
    if not question.types:
        return None, NAMED
    if question.strictness == "should":
        return None, sorted({*NAMED, *(kind for t in question.types for kind in t.kinds)}, key=KINDS.index)
    sets = [t.members for t in question.types]
    members = frozenset.intersection(*sets) if question.strictness == "all" else frozenset[str]().union(*sets)
    return members, sorted({kind for t in question.types for kind in t.kinds}, key=KINDS.index)


def _weighed(catalogue: Catalogue, question: Question, hit: Hit) -> Candidate:
    score = hit.score
    if question.strictness == "should" and question.types and not any(hit.iri in t.members for t in question.types):
        score *= _OTHER_TYPE
    marks = [_mark(catalogue, hit.iri, wanted, values) for wanted, values in question.properties]
    for mark in marks:
        score *= 1 - _LOSS[mark] / len(marks)
    fitting = marks.count("fits") / len(marks) if marks else 1.0
    score = round(score, 1)
    return Candidate(hit.iri, hit.label, score, False, hit.score, hit.reason, hit.name, fitting, "contradicts" in marks)


def _mark(catalogue: Catalogue, iri: str, wanted: Property, values: Sequence[str]) -> str:
    if not any(fold(value) for value in values):
        return "unknown"
    if any(iri in catalogue.having(wanted, value) for value in values):
        return "fits"
    known = catalogue.kind(iri) in wanted.kinds and bool(catalogue.values(iri, wanted))
    return "contradicts" if known else "unknown"
