"""What the dataset says about one thing, and who says it: the content of ``/doc/…`` in every format."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import pyoxigraph as ox

from rsm_graph.dataset import Dataset, order
from rsm_graph.namespaces import RDF_TYPE, RDFS_LABEL, VOCABULARIES

Term = ox.NamedNode | ox.BlankNode | ox.Literal

_POINT = re.compile(r"POINT\s*\(\s*(-?\d+(?:\.\d+)?)\s+(-?\d+(?:\.\d+)?)\s*\)", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """One statement with the graphs that make it; ``accepted`` when the default graph holds it."""

    subject: Term
    predicate: str
    object: Term
    graphs: tuple[str, ...]
    accepted: bool


def point(wkt: str) -> tuple[float, float] | None:
    """Return longitude and latitude of a point in WKT, which GeoSPARQL takes in this order; else nothing."""
    found = _POINT.search(wkt)
    return (float(found[1]), float(found[2])) if found else None


class Index:
    """A dataset indexed by what its statements are about; built once, then only read (safe between threads)."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._accepted = frozenset(dataset.default_triples)
        self._by_subject: dict[str, list[ox.Quad]] = defaultdict(list)
        self._by_object: dict[str, list[ox.Quad]] = defaultdict(list)
        for quad in dataset.quads:
            self._by_subject[quad.subject.value].append(quad)
            if isinstance(quad.object, ox.NamedNode):
                self._by_object[quad.object.value].append(quad)

    def __contains__(self, iri: str) -> bool:
        """Whether the dataset has a statement about ``iri``, or ``iri`` is one of its graphs."""
        return iri in self._by_subject or iri in self.dataset.graphs

    def about(self, iri: str) -> list[Statement]:
        """Return the statements whose subject is ``iri``, from every graph, disputed ones too."""
        return self._merge(self._by_subject.get(iri, ()))

    def mentioning(self, iri: str) -> list[Statement]:
        """Return the statements whose object is ``iri``."""
        return self._merge(self._by_object.get(iri, ()))

    def values(self, iri: str, predicate: str) -> list[Term]:
        """Return the accepted objects of ``iri`` and ``predicate``, in order."""
        return [s.object for s in self.about(iri) if s.predicate == predicate and s.accepted]

    def label(self, iri: str, language: str = "en") -> str:
        """Return the label of ``iri`` in a language, else in English, else any, else ``""``."""
        labels = {v.language or "": v.value for v in self.values(iri, RDFS_LABEL) if isinstance(v, ox.Literal)}
        return labels.get(language) or labels.get("en") or next(iter(labels.values()), "")

    def types(self, iri: str) -> list[str]:
        """Return the classes that ``iri`` is an instance of, in order."""
        return [str(v.value) for v in self.values(iri, RDF_TYPE)]

    @cached_property
    def things(self) -> tuple[str, ...]:
        """Every IRI under ``{base}id/`` that has a statement about it, in order."""
        start = self.dataset.iri("id/")
        return tuple(sorted(iri for iri in self._by_subject if iri.startswith(start)))

    def triples(self, iri: str) -> tuple[ox.Triple, ...]:
        """Return the description of ``iri`` from the default graph.

        It holds the statements about it and those that mention it, with blank nodes followed and, so that a
        client can show names at once, the labels of the things mentioned. For the IRI of a graph: its content.
        """
        graph = self.dataset.graphs.get(iri, ())
        if graph and iri.startswith(self.dataset.iri("graph/")):
            return tuple(quad.triple for quad in graph)
        stated = [quad.triple for quad in self._quads(iri)]
        found = [triple for triple in stated if triple in self._accepted] or stated
        return tuple(sorted({*found, *self._labels(found)}, key=order))

    def quads(self, iri: str) -> tuple[ox.Quad, ...]:
        """Return the description of ``iri`` with its graphs, whatever their standing.

        The passages that make the statements, and their documents, are described along with it. For the IRI of
        a passage: also what the passage says.
        """
        found = [*self._quads(iri), *self.dataset.graphs.get(iri, ())]
        passages = {quad.graph_name.value for quad in found} | {iri}
        described = [quad for passage in passages for quad in self._by_subject.get(passage, ())]
        part_of = VOCABULARIES["dcterms"] + "isPartOf"
        documents = {quad.object.value for quad in described if quad.predicate.value == part_of}
        described += [quad for document in documents for quad in self._by_subject.get(document, ())]
        return tuple(sorted({*found, *described}, key=lambda quad: (str(quad.graph_name), *order(quad))))

    def _quads(self, iri: str) -> list[ox.Quad]:
        found = [*self._by_subject.get(iri, ()), *self._by_object.get(iri, ())]
        pending = [q.object.value for q in found if isinstance(q.object, ox.BlankNode)]
        seen = set(pending)
        while pending:  # blank nodes have no page of their own, so their statements come along
            for quad in self._by_subject.get(pending.pop(), ()):
                found.append(quad)
                if isinstance(quad.object, ox.BlankNode) and quad.object.value not in seen:
                    seen.add(quad.object.value)
                    pending.append(quad.object.value)
        return found

    def _labels(self, triples: Iterable[ox.Triple]) -> list[ox.Triple]:
        mentioned = {t.value for triple in triples for t in triple if isinstance(t, ox.NamedNode)}
        quads = (quad for iri in sorted(mentioned) for quad in self._by_subject.get(iri, ()))
        return [quad.triple for quad in quads if quad.predicate.value == RDFS_LABEL and quad.triple in self._accepted]

    def _merge(self, quads: Iterable[ox.Quad]) -> list[Statement]:
        graphs: dict[ox.Triple, list[str]] = defaultdict(list)
        for quad in quads:
            graphs[quad.triple].append(quad.graph_name.value)
        return [
            Statement(cast(Term, t.subject), t.predicate.value, cast(Term, t.object), tuple(names), t in self._accepted)
            for t, names in graphs.items()
        ]
