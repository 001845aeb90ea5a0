"""Says what is wrong with shapes before they judge: a shape that is not understood would let everything through."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pyoxigraph as ox
import shacl

from rsm_graph.shape_graph import PATH_LINKS, SH, Graph

_BEYOND = frozenset(SH + name for name in ("target", "rule", "js", "expression"))
"""Properties of SHACL Advanced Features and SHACL JavaScript, which nothing here evaluates."""
_BLANK = "urn:blank:"


class Fault(NamedTuple):
    """What is wrong, and with which node of the shapes graph (in the syntax of N-Triples)."""

    node: str
    reason: str


def faults(triples: list[ox.Triple]) -> Iterator[Fault]:
    """Yield what is wrong with a shapes graph."""
    selecting = {triple.subject for triple in triples if triple.predicate.value == SH + "select"}
    for triple in triples:
        name = triple.predicate.value
        if name in _BEYOND:
            yield Fault(str(triple.subject), f"sh:{name[len(SH) :]} is not of SHACL Core or SPARQL, and not evaluated")
        elif name.startswith(SH) and name not in _vocabulary():
            yield Fault(str(triple.subject), f"sh:{name[len(SH) :]} is no term of SHACL")
        elif name == SH + "pattern" and isinstance(triple.object, ox.Literal):
            try:
                re.compile(triple.object.value)
            except re.error as error:
                yield Fault(str(triple.subject), f"the sh:pattern {triple.object.value!r} does not parse ({error})")
        elif name == SH + "sparql" and triple.object not in selecting:
            yield Fault(str(triple.subject), "its sh:sparql has no sh:select")
    # Blank nodes get names, to be known again in the results.
    named = (ox.Triple(_name(t.subject), t.predicate, _name(t.object)) for t in triples)
    text = (ox.serialize(dict.fromkeys(named), format=ox.RdfFormat.N_TRIPLES) or b"").decode()
    for result in _shapes_of_shacl().validate_text(text, format="ntriples").results:
        node = result.focus_node
        blank = f"_:{node.removeprefix('<' + _BLANK).rstrip('>')}" if node.startswith("<" + _BLANK) else node
        of = f"its sh:{result.path.removeprefix('<' + SH).rstrip('>')}" if result.path else "it"
        broken = result.component.removesuffix("ConstraintComponent")
        yield Fault(blank, f"{of} is not well-formed (SHACL, appendix B: {broken})")
    yield from _references(triples)


def _name(node: Any) -> Any:
    return ox.NamedNode(_BLANK + node.value) if isinstance(node, ox.BlankNode) else node


def _references(triples: list[ox.Triple]) -> Iterator[Fault]:
    """Yield what is wrong with the ways through shapes, paths and lists: those that lead nowhere, and back."""
    graph = Graph(triples)
    links = {shape: graph.referred(shape) for shape in graph.subjects()}
    for shape, inner in links.items():
        for node in inner:
            if node not in links:
                yield Fault(str(shape), f"it refers to the shape {node}, which is nowhere described")
    for found in _circle(links):
        yield Fault(found, "it refers to itself; SHACL (3.4.3) leaves open what a recursive shape means")
    steps: dict[object, list[object]] = defaultdict(list)
    for triple in triples:
        if triple.predicate.value in PATH_LINKS:
            steps[triple.subject].append(triple.object)
    for found in _circle(steps):
        yield Fault(found, "a path or a list in them leads back to itself, and so has no end (SHACL, 2.3.1)")


def _circle(links: Mapping[object, Iterable[object]]) -> Iterator[str]:
    """Yield a node from which the links lead back to it, if there is one."""
    try:
        TopologicalSorter(links).prepare()
    except CycleError as error:
        yield str(error.args[1][0])


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
