"""Files become one RDF dataset: named graphs that are passages of sources, and the default graph drawn from them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pyoxigraph as ox

from rsm_graph import formats, project, sssom
from rsm_graph.namespaces import DEFAULT_BASE, RDF_TYPE

POINT_PROPERTIES = ("startDate", "endDate", "date", "asOf")
"""Date properties of which the default graph keeps the most precise of the values that agree."""


@dataclass(frozen=True)
class Dataset:
    """An RDF dataset (RDF 1.1 Concepts, 4) whose named graphs say who says so.

    ``quads`` holds the named graphs, sorted and with canonical blank nodes (RDFC-1.0), literals exactly as they
    stand in the files. ``files`` says which file each graph came from. The default graph is drawn from them:
    everything but the shapes and the passages that are disputed or rejected.
    """

    base_iri: str
    quads: tuple[ox.Quad, ...]
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    def iri(self, path: str) -> str:
        """Return the IRI of ``path`` under the base."""
        return self.base_iri + path

    @cached_property
    def excluded_graphs(self) -> frozenset[str]:
        """Graphs that the default graph leaves out: the shapes, and passages that are not accepted."""
        standing, shapes = self.iri("ontology#standing"), self.iri("graph/shapes")
        return frozenset(
            quad.subject.value
            for quad in self.quads
            if quad.predicate.value == standing and quad.object.value != "accepted"
        ) | {shapes}

    @cached_property
    def default_triples(self) -> tuple[ox.Triple, ...]:
        """The default graph, sorted: each triple once, of dates that agree only the most precise."""
        accepted = {quad.triple for quad in self.quads if quad.graph_name.value not in self.excluded_graphs}
        return tuple(sorted(accepted - self._coarser_dates(accepted), key=order))

    def _coarser_dates(self, triples: Iterable[ox.Triple]) -> set[ox.Triple]:
        points = {self.iri(f"ontology#{name}") for name in POINT_PROPERTIES}
        dates = defaultdict(list)
        for triple in triples:
            if triple.predicate.value in points and isinstance(triple.object, ox.Literal):
                dates[triple.subject, triple.predicate].append(triple)
        return {
            coarse
            for group in dates.values()
            if len(group) > 1
            for coarse in group
            if any(fine.object.value.startswith(coarse.object.value + "-") for fine in group)
        }

    @cached_property
    def graphs(self) -> Mapping[str, tuple[ox.Quad, ...]]:
        """The quads of each named graph, by graph IRI in order."""
        found: dict[str, list[ox.Quad]] = defaultdict(list)
        for quad in self.quads:
            found[quad.graph_name.value].append(quad)
        return {name: tuple(quads) for name, quads in sorted(found.items())}

    def with_graph(self, name: str, triples: Iterable[ox.Triple]) -> Dataset:
        """Return this dataset with the graph ``name`` (a path under the base) added, or replaced.

        ``triples`` hold no blank nodes: those of the dataset keep their canonical names.
        """
        graph = ox.NamedNode(self.iri(name))
        before = [quad for quad in self.quads if str(quad.graph_name) < str(graph)]
        after = [quad for quad in self.quads if str(quad.graph_name) > str(graph)]
        added = [ox.Quad(t.subject, t.predicate, t.object, graph) for t in sorted(set(triples), key=order)]
        return replace(self, quads=(*before, *added, *after))

    @cached_property
    def nquads(self) -> bytes:
        """The named graphs as canonical N-Quads: sorted lines, blank nodes as RDFC-1.0 names them."""
        lines = formats.serialize(self.quads, formats.by_name("nq"), {}).splitlines(keepends=True)
        return b"".join(sorted(lines))

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hexadecimal) of :attr:`nquads`: what the release is identified by."""
        return hashlib.sha256(self.nquads).hexdigest()


def load_project(base_iri: str = DEFAULT_BASE, root: Path | None = None) -> Dataset:
    """Return the project's own dataset: ontology, concepts, shapes, data and links; nothing derived yet.

    The files are written under :data:`DEFAULT_BASE`; another base is put in its place as they are read. Raises
    :class:`~rsm_graph.errors.RdfSyntaxError` naming file and line, :class:`InputError` for a missing folder.
    """
    root = root or project.root()
    graph = f"{base_iri}graph/"
    places = (
        ("ontology", "*.ttl", graph + "ontology"),
        ("ontology/concepts", "*.ttl", graph + "concepts"),
        ("ontology/shapes", "*.ttl", graph + "shapes"),
        ("data", "*.ttl", graph + "dataset"),
        ("data", "*.trig", graph + "default"),  # for what stands in no graph; it is no passage, as validation says
    )
    named = [(path, name) for folder, pattern, name in places for path in sorted((root / folder).glob(pattern))]
    dataset = load_files(named, base_iri)
    mappings, checks = (root / "data" / name for name in (sssom.MAPPINGS, sssom.CHECKED))
    seen = sssom.read_checks(checks) if checks.exists() else ()
    links = sssom.triples(sssom.read(mappings, base_iri), base_iri, seen) if mappings.exists() else ()
    linked = dataset.with_graph("graph/links", links)
    return replace(linked, files={**linked.files, graph + "links": (mappings,)})


def load_files(named: Iterable[tuple[Path, str]], base_iri: str) -> Dataset:
    """Return the dataset of RDF files, each with the IRI of the graph for statements outside any ``GRAPH``.

    They are re-based from :data:`DEFAULT_BASE`. An empty graph IRI leaves such statements in the default graph.
    Raises as :func:`load_project`.
    """
    quads: list[ox.Quad] = []
    files: dict[str, tuple[Path, ...]] = defaultdict(tuple)
    for path, name in named:
        graph = ox.NamedNode(name) if name else ox.DefaultGraph()
        found = [
            ox.Quad(q.subject, q.predicate, q.object, graph) if isinstance(q.graph_name, ox.DefaultGraph) else q
            for q in formats.read(path, base_iri)
        ]
        for graph_iri in {getattr(q.graph_name, "value", "") for q in found}:
            files[graph_iri] += (path,)
        quads += found
    return Dataset(base_iri, _canonical(quads), dict(files))


def _canonical(quads: Iterable[ox.Quad]) -> tuple[ox.Quad, ...]:
    found: Iterable[ox.Quad] = set(quads)
    if any(isinstance(term, ox.BlankNode) for quad in found for term in quad):  # else there is nothing to name
        dataset = ox.Dataset(found)
        dataset.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
        found = dataset
    return tuple(sorted(found, key=lambda quad: (str(quad.graph_name), *order(quad))))


def order(statement: ox.Triple | ox.Quad) -> tuple[str, str, str]:
    """Sort by subject, then ``rdf:type`` first, as people write it."""
    predicate = statement.predicate.value
    return str(statement.subject), "" if predicate == RDF_TYPE else predicate, str(statement.object)
