"""Says what is wrong with shapes before they judge: a shape that is not understood would let everything through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pyoxigraph as ox
import shacl

from rsm_graph.namespaces import VOCABULARIES

_SH = VOCABULARIES["sh"]
_BEYOND = frozenset(_SH + name for name in ("target", "rule", "js", "expression"))
"""Properties of SHACL Advanced Features and SHACL JavaScript, which nothing here evaluates."""
_LISTS = frozenset(_SH + name for name in ("and", "or", "xone"))
_SINGLE = frozenset(_SH + name for name in ("property", "node", "not", "qualifiedValueShape"))


_BLANK = "urn:blank:"


class Fault(NamedTuple):
    """What is wrong, and with which node of the shapes graph (in the syntax of N-Triples)."""

    node: str
    reason: str


def faults(triples: list[ox.Triple]) -> Iterator[Fault]:
    """Yield what is wrong with a shapes graph."""
    selecting = {triple.subject for triple in triples if triple.predicate.value == _SH + "select"}
    for triple in triples:
        name = triple.predicate.value
        if name in _BEYOND:
            yield Fault(str(triple.subject), f"sh:{name[len(_SH) :]} is not of SHACL Core or SPARQL, and not evaluated")
        elif name.startswith(_SH) and name not in _vocabulary():
            yield Fault(str(triple.subject), f"sh:{name[len(_SH) :]} is no term of SHACL")
        elif name == _SH + "pattern" and isinstance(triple.object, ox.Literal):
            try:
                re.compile(triple.object.value)
            except re.error as error:
                yield Fault(str(triple.subject), f"the sh:pattern {triple.object.value!r} does not parse ({error})")
        elif name == _SH + "sparql" and triple.object not in selecting:
            yield Fault(str(triple.subject), "its sh:sparql has no sh:select")
    # Blank nodes get names, to be known again in the results.
    named = (ox.Triple(_name(t.subject), t.predicate, _name(t.object)) for t in triples)
    text = (ox.serialize(dict.fromkeys(named), format=ox.RdfFormat.N_TRIPLES) or b"").decode()
    for result in _shapes_of_shacl().validate_text(text, format="ntriples").results:
        node = result.focus_node
        blank = f"_:{node.removeprefix('<' + _BLANK).rstrip('>')}" if node.startswith("<" + _BLANK) else node
        of = f"its sh:{result.path.removeprefix('<' + _SH).rstrip('>')}" if result.path else "it"
        broken = result.component.removesuffix("ConstraintComponent")
        yield Fault(blank, f"{of} is not well-formed (SHACL, appendix B: {broken})")
    yield from _references(triples)


def _name(node: Any) -> Any:
    return ox.NamedNode(_BLANK + node.value) if isinstance(node, ox.BlankNode) else node


def _references(triples: list[ox.Triple]) -> Iterator[Fault]:
    """Yield what is wrong with the ways from shape to shape: those that lead nowhere, and those that lead back."""
    objects: dict[tuple[object, str], list[object]] = {}
    for triple in triples:
        objects.setdefault((triple.subject, triple.predicate.value), []).append(triple.object)
    described = {triple.subject for triple in triples}
    rdf = VOCABULARIES["rdf"]

    def members(head: object) -> Iterator[object]:
        seen = set()
        while head not in seen and (head, rdf + "first") in objects:
            seen.add(head)
            yield objects[head, rdf + "first"][0]
            head = objects.get((head, rdf + "rest"), [None])[0]

    links: dict[object, list[object]] = {}
    for triple in triples:
        name = triple.predicate.value
        if name in _SINGLE or name in _LISTS:
            inner = list(members(triple.object)) if name in _LISTS else [triple.object]
            links.setdefault(triple.subject, []).extend(inner)
            for node in inner:
                if node not in described:
                    yield Fault(str(triple.subject), f"it refers to the shape {node}, which is nowhere described")
    done: set[object] = set()

    def circle(shape: object, trail: tuple[object, ...]) -> object | None:
        if shape in trail:
            return shape
        if shape not in done:
            done.add(shape)
            for inner in links.get(shape, ()):
                if found := circle(inner, (*trail, shape)):
                    return found
        return None

    for shape in list(links):
        if found := circle(shape, ()):
            yield Fault(str(found), "it refers to itself; SHACL (3.4.3) leaves open what a recursive shape means")


def _assets() -> Path:
    spec = find_spec("pyshacl")  # not imported: that would take longer than all the rest
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "assets"


@cache
def _vocabulary() -> frozenset[str]:
    quads = ox.parse(path=_assets() / "shacl.ttl", format=ox.RdfFormat.TURTLE)
    return frozenset(quad.subject.value for quad in quads if isinstance(quad.subject, ox.NamedNode))


@cache
def _shapes_of_shacl() -> shacl.Shapes:
    """SHACL, appendix B: the shapes that a shapes graph has to conform to."""
    return shacl.Shapes.from_file(str(_assets() / "shacl-shacl.ttl"))
