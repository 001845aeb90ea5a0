"""Changes one thing in a shape: what somebody who tidies up may do without noticing.

Each kind is a function that yields every change of one statement of a constraint: the statement and what replaces it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pyoxigraph as ox

from rsm_graph.engine.screen import tokens
from rsm_graph.namespaces import VOCABULARIES
from rsm_graph.shapes import SH, Constraint, Shapes

FIRST = VOCABULARIES["rdf"] + "first"
_TARGETS = frozenset({"targetClass", "targetNode", "targetObjectsOf", "targetSubjectsOf"})
_PARAMETERS = frozenset(
    """and class closed datatype disjoint equals flags hasValue in languageIn lessThan lessThanOrEquals maxCount
    maxExclusive maxInclusive maxLength minCount minExclusive minInclusive minLength node nodeKind not or pattern
    property qualifiedMaxCount qualifiedMinCount qualifiedValueShape uniqueLang xone""".split()  # noqa: SIM905
)
_SWAPPED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "=": "!=", "!=": "=", "&&": "||", "||": "&&"}


@dataclass(frozen=True)
class Mutant:
    """A constraint with one statement changed."""

    kind: str
    constraint: Constraint
    what: str
    old: ox.Triple
    new: ox.Triple | None

    def of(self, shapes: Shapes) -> Shapes:
        """Return the changed constraint alone, out of all shapes."""
        topic = self.constraint.topic
        kept = [triple for triple in shapes.topics[topic] if triple != self.old]
        topics = {**shapes.topics, topic: (*kept, *([self.new] if self.new else []))}
        return replace(shapes, topics=topics).only([self.constraint.iri])


Replaced = Iterator[tuple[str, ox.Triple | None]]


def _name(triple: ox.Triple) -> str:
    iri = triple.predicate.value
    return iri.removeprefix(SH) if iri.startswith(SH) else ""


def _with(triple: ox.Triple, text: str) -> ox.Triple:
    assert isinstance(triple.object, ox.Literal)
    return ox.Triple(triple.subject, triple.predicate, ox.Literal(text, datatype=triple.object.datatype))


def drop_target(triple: ox.Triple) -> Replaced:
    """leave out a target"""
    if _name(triple) in _TARGETS:
        yield str(triple.object), None


def drop_parameter(triple: ox.Triple) -> Replaced:
    """leave out a parameter"""
    if _name(triple) in _PARAMETERS:
        value = "[…]" if isinstance(triple.object, ox.BlankNode) else str(triple.object)
        yield f"{_name(triple)} {value}", None


def count_otherwise(triple: ox.Triple) -> Replaced:
    """one more, or one less"""
    if _name(triple) in _PARAMETERS and isinstance(triple.object, ox.Literal) and triple.object.value.isdigit():
        for number in (int(triple.object.value) - 1, int(triple.object.value) + 1):
            if number >= 0:
                yield f"{_name(triple)} {triple.object.value} -> {number}", _with(triple, str(number))


def other_severity(triple: ox.Triple) -> Replaced:
    """another severity"""
    if _name(triple) == "severity":
        for other in ("Violation", "Warning", "Info"):
            if triple.object != ox.NamedNode(SH + other):
                yield other, ox.Triple(triple.subject, triple.predicate, ox.NamedNode(SH + other))


def _text(triple: ox.Triple) -> str:
    return triple.object.value if _name(triple) == "select" and isinstance(triple.object, ox.Literal) else ""


def _closed(text: str) -> dict[int, int]:
    """Return the place behind the closing bracket by that of the opening one."""
    opened: list[int] = []
    found: dict[int, int] = {}
    for token in tokens(text):
        if token.kind == "open":
            opened.append(token.start)
        elif token.kind == "close":
            found[opened.pop()] = token.start + 1
    return found


def drop_filter(triple: ox.Triple) -> Replaced:
    """leave out a filter of a query"""
    text = _text(triple)
    closed = _closed(text)
    for found in re.finditer(r"FILTER\s*(?:NOT EXISTS|EXISTS|[A-Z]+)?\s*(?=[({])", text):
        end = closed[found.end()]
        yield text[found.start() : end], _with(triple, text[: found.start()] + text[end:])


def drop_branch(triple: ox.Triple) -> Replaced:
    """leave out a branch of a UNION"""
    text = _text(triple)
    groups = [(start, end) for start, end in _closed(text).items() if text[start] == "{"]
    for left, middle in groups:
        for right, end in groups:
            if re.fullmatch(r"\s*UNION\s*", text[middle:right]) and middle < right:
                yield text[left:middle], _with(triple, text[:left] + text[right:])
                yield text[right:end], _with(triple, text[:middle] + text[end:])


def other_operator(triple: ox.Triple) -> Replaced:
    """another operator in a query"""
    text = _text(triple)
    for found in re.finditer(r" (<=|>=|<|>|!=|=|\|\||&&) ", text):
        shown = text[max(0, found.start() - 30) : found.end() + 30]
        yield shown, _with(triple, text[: found.start(1)] + _SWAPPED[found[1]] + text[found.end(1) :])


def drop_item(triple: ox.Triple) -> Replaced:
    """leave out one of a list"""
    if triple.predicate.value == FIRST and isinstance(triple.object, ox.NamedNode | ox.Literal):
        yield str(triple.object), ox.Triple(triple.subject, triple.predicate, ox.NamedNode("urn:none"))
    text = _text(triple)
    for found in re.finditer(r"VALUES \?\w+ \{([^{}()]*)\}|IN \(([^()]*)\)", text):
        group = 1 if found[1] is not None else 2
        for item in re.finditer(r"[^\s,]+" if group == 1 else r"[^,]+", found[group]):
            start, end = found.start(group) + item.start(), found.start(group) + item.end()
            yield item[0], _with(triple, text[:start] + ("" if group == 1 else "<urn:none>") + text[end:])


KINDS: tuple[Callable[[ox.Triple], Replaced], ...] = (
    drop_target, drop_parameter, count_otherwise, other_severity, drop_filter, drop_branch, other_operator, drop_item,
)  # fmt: skip


def mutants(shapes: Shapes, constraint: Constraint) -> Iterator[Mutant]:
    """Yield every change of a constraint; what other constraints lend it is theirs."""
    others = shapes.constraints.keys() - {constraint.iri}
    for triple in shapes.only([constraint.iri]).topics[constraint.topic]:
        if getattr(triple.subject, "value", "") in others:
            continue
        for kind in KINDS:
            for what, new in kind(triple):
                if new != triple:
                    yield Mutant(kind.__doc__ or "", constraint, " ".join(what.split())[:120], triple, new)
