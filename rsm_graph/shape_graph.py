"""A shapes graph as what its shapes are made of: the shapes inside them, those they refer to, and their paths.

Whatever is asked of it ends, even where a list, a path or a shape leads back to itself: :mod:`rsm_graph.wellformed`
says so afterwards.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import pyoxigraph as ox

from rsm_graph.namespaces import VOCABULARIES

SH = VOCABULARIES["sh"]
FIRST, REST = VOCABULARIES["rdf"] + "first", VOCABULARIES["rdf"] + "rest"

_LISTS = frozenset(SH + name for name in ("and", "or", "xone"))
SHAPE_LINKS = _LISTS | {SH + name for name in ("property", "node", "not", "qualifiedValueShape")}
"""Properties that lead from a shape into a shape inside it (SHACL 2.1); a result inside belongs to the outer one."""


class Graph:
    """Triples by subject and predicate."""

    def __init__(self, triples: Iterable[ox.Triple]) -> None:
        self._objects: dict[tuple[object, str], list[object]] = defaultdict(list)
        self._by_subject: dict[object, list[ox.Triple]] = defaultdict(list)
        for triple in triples:
            self._objects[triple.subject, triple.predicate.value].append(triple.object)
            self._by_subject[triple.subject].append(triple)

    def subjects(self) -> list[object]:
        """Return what the triples are about, in their order."""
        return list(self._by_subject)

    def objects(self, subject: object, predicate: str) -> list[object]:
        """Return the values of a property (an IRI) of a node."""
        return self._objects.get((subject, predicate), [])

    def triples(self, subject: object) -> list[ox.Triple]:
        """Return the triples about a node."""
        return self._by_subject.get(subject, [])

    def text(self, subject: object, predicate: str) -> str:
        """Return one value as text: the English one of several, the empty string where there is none."""
        values = self.objects(subject, predicate)
        english = [v for v in values if getattr(v, "language", None) == "en"]
        return str(getattr((english or values)[0], "value", "")) if values else ""

    def closure(self, node: object) -> tuple[ox.Triple, ...]:
        """Return the triples of a shape, of the blank nodes it is made of, and of the named shapes it refers to."""
        found: dict[ox.Triple, None] = {}
        waiting, seen = [node], {node}
        while waiting:
            for triple in self.triples(waiting.pop()):
                found[triple] = None
                inner = isinstance(triple.object, ox.BlankNode) or triple.predicate.value in SHAPE_LINKS
                if inner and triple.object not in seen:
                    seen.add(triple.object)
                    waiting.append(triple.object)
        return tuple(found)

    def members(self, head: object) -> Iterator[object]:
        """Yield the members of an RDF collection."""
        seen = set[object]()
        while head not in seen and self.objects(head, FIRST):
            seen.add(head)
            yield self.objects(head, FIRST)[0]
            head = (self.objects(head, REST) or [None])[0]

    def referred(self, shape: object) -> list[object]:
        """Return the shapes that a shape refers to, whether they are inside it or have a name."""
        found: list[object] = []
        for triple in self.triples(shape):
            if triple.predicate.value in SHAPE_LINKS:
                found += self.members(triple.object) if triple.predicate.value in _LISTS else [triple.object]
        return found

    def inside(self, shape: object) -> Iterator[object]:
        """Yield the shapes inside a shape, at any depth, and its SPARQL constraints; not those that have a name."""
        waiting, seen = [shape], {shape}
        while waiting:
            outer = waiting.pop()
            for node in (*self.referred(outer), *self.objects(outer, SH + "sparql")):
                if isinstance(node, ox.BlankNode) and node not in seen:
                    yield node
                    seen.add(node)
                    waiting.append(node)


_FORMS = {
    SH + "inversePath": "^{}",
    SH + "zeroOrMorePath": "{}*",
    SH + "oneOrMorePath": "{}+",
    SH + "zeroOrOnePath": "{}?",
}
PATH_LINKS = frozenset((*_FORMS, SH + "alternativePath", FIRST, REST))
"""Properties that lead from a path into a path inside it (SHACL 2.3.1), or along a list."""


def path_text(graph: Graph, paths: list[object]) -> str:
    """Return a SHACL property path (SHACL 2.3.1) in the syntax of SPARQL; empty for a node shape."""
    return _path(graph, paths[0]) if paths else ""


def _path(graph: Graph, node: object, around: tuple[object, ...] = ()) -> str:
    if isinstance(node, ox.NamedNode) or node in around:
        return str(node)
    around = (*around, node)
    for name, form in _FORMS.items():
        for inner in graph.objects(node, name):
            return form.format(_path(graph, inner, around))
    for inner in graph.objects(node, SH + "alternativePath"):
        return "(" + "|".join(_path(graph, part, around) for part in graph.members(inner)) + ")"
    return "(" + "/".join(_path(graph, part, around) for part in graph.members(node)) + ")"
