"""The shapes: reads them, gives every constraint a name, and says which nodes each one is about.

A *constraint* here is a node of the shapes graph that has an IRI and a severity. It is one of three kinds:

``core``
    a shape of SHACL Core (SHACL, part 1);
``sparql``
    a shape with a SPARQL-based constraint (SHACL, 5);
``dataset``
    a check of the dataset with its named graphs, which SHACL does not see: a node of the class
    ``shapes:DatasetCheck`` with a ``sh:select`` that is evaluated over the dataset. It returns ``$this``, and
    may return ``?value``, ``?path``, ``?graph`` and variables for the message, as in SHACL 5.3.1 and 5.3.2.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal as OneOf
from typing import cast

import pyoxigraph as ox

from rsm_graph import formats, locate, project, wellformed
from rsm_graph.errors import InputError
from rsm_graph.namespaces import DEFAULT_BASE, RDF_TYPE, RDFS_LABEL, VOCABULARIES
from rsm_graph.shape_graph import SH, SHAPE_LINKS, Graph, path_text

Kind = OneOf["core", "sparql", "dataset"]
Severity = OneOf["violation", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("violation", "warning", "info")
ARROW = " → "
"""Parts a message: before it what is wrong, after it what to do."""

_RDFS = VOCABULARIES["rdfs"]
_SUBCLASSES = f"<{RDF_TYPE}>/<{_RDFS}subClassOf>*"
_TARGETS = {
    "targetClass": f"?node {_SUBCLASSES} {{0}}",
    "targetSubjectsOf": "?node {0} ?any",
    "targetObjectsOf": "?any {0} ?node",
}
"""SHACL 2.1.3: how each kind of target is found; ``sh:targetNode`` needs no query."""
TARGETS = frozenset(SH + name for name in (*_TARGETS, "targetNode", "target"))
"""Properties by which a shape says what it is about."""

_FORBIDDEN = re.compile(r"\b(MINUS|VALUES|SERVICE)\b|[?$](shapesGraph|currentShape)\b", re.IGNORECASE)
_SHAPES = ("NodeShape", "PropertyShape")


@dataclass(frozen=True)
class Constraint:
    """One named constraint, as the documentation shows it.

    ``message`` may hold variables in braces; ``select`` is the query of a SPARQL constraint or dataset check;
    ``path`` is the path of a property shape, in the syntax of SPARQL property paths.
    """

    iri: str
    name: str
    label: str
    description: str
    message: str
    severity: Severity
    kind: Kind
    topic: str
    targets: tuple[tuple[str, str], ...] = ()
    select: str = ""
    path: str = ""

    @property
    def problem(self) -> str:
        """The part of the message that says what is wrong."""
        return self.message.partition(ARROW)[0]

    @property
    def remedy(self) -> str:
        """The part of the message that says what to do about it; empty where the message has no such part."""
        return self.message.partition(ARROW)[2]


@dataclass(frozen=True)
class Shapes:
    """Shapes graphs by topic (one a file), re-based like the dataset that they are for."""

    base_iri: str
    topics: Mapping[str, tuple[ox.Triple, ...]]
    files: Mapping[str, Path]
    declarations: tuple[ox.Triple, ...]
    """The prefix declarations (SHACL 5.2.1) of all files; each topic needs them, whichever file holds them."""

    @cached_property
    def constraints(self) -> Mapping[str, Constraint]:
        """The constraints by IRI, in the order of topics and names. Raises :class:`InputError` for a faulty one."""
        found: dict[str, Constraint] = {}
        for topic, triples in self.topics.items():
            for constraint in sorted(_constraints(topic, Graph(triples), self.base_iri), key=lambda c: c.name):
                found[constraint.iri] = constraint
        return found

    @cached_property
    def owners(self) -> Mapping[str, str]:
        """The constraint to which each nested shape belongs: the nearest shape with a name that leads to it."""
        found: dict[str, str] = {}
        for triples in self.topics.values():
            graph = Graph(triples)
            for iri in self.constraints:
                for inner in graph.inside(ox.NamedNode(iri)):
                    found.setdefault(str(inner), iri)
        return found

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of the shapes, blank nodes under canonical names (RDFC-1.0)."""
        digest = hashlib.sha256()
        for topic in sorted(self.topics):
            graph = ox.Dataset(ox.Quad(*triple) for triple in self.topics[topic])
            graph.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
            digest.update("\n".join([topic, *sorted(map(str, graph))]).encode())
        return digest.hexdigest()

    def shacl(self, topic: str) -> tuple[ox.Triple, ...]:
        """Return the part of a topic that is a SHACL shapes graph: everything but the dataset checks.

        Named shapes of other topics that it refers to are part of it.
        """
        checks = {c.iri for c in self.constraints.values() if c.kind == "dataset"}
        own = [t for t in self.topics[topic] if getattr(t.subject, "value", "") not in checks]
        referred = {t.object for t in own if t.predicate.value in SHAPE_LINKS and isinstance(t.object, ox.NamedNode)}
        elsewhere = (t for shape in sorted(referred, key=str) for t in self.graph.closure(shape))
        severities = self._inherited(dict.fromkeys(t.subject for t in own))
        return tuple(dict.fromkeys((*self.declarations, *own, *elsewhere, *severities)))

    def _inherited(self, subjects: Iterable[object]) -> Iterator[ox.Triple]:
        """Yield the severity of constraints for the property shapes inside them that state none.

        Of these, unlike of those inside ``sh:not`` and the like, results are reported; SHACL would take Violation.
        """
        severity = ox.NamedNode(SH + "severity")
        for owner in subjects:
            for stated in self.graph.objects(owner, severity.value) if isinstance(owner, ox.NamedNode) else ():
                for node in self._properties(owner):
                    if not self.graph.objects(node, severity.value):
                        yield ox.Triple(node, severity, cast(ox.NamedNode, stated))

    def _properties(self, shape: object) -> Iterator[ox.BlankNode]:
        found = list(self.graph.objects(shape, SH + "property"))
        for node in found:
            if isinstance(node, ox.BlankNode):
                yield node
                found += [inner for inner in self.graph.objects(node, SH + "property") if inner not in found]

    def only(self, constraints: Iterable[str]) -> Shapes:
        """Return the shapes with these constraints (IRIs) alone, and what they are made of."""
        topics: dict[str, tuple[ox.Triple, ...]] = {}
        for constraint in (self.constraints[iri] for iri in constraints):
            triples = Graph(self.topics[constraint.topic]).closure(ox.NamedNode(constraint.iri))
            topics[constraint.topic] = (*topics.get(constraint.topic, ()), *triples)
        return replace(self, topics=topics)

    @cached_property
    def graph(self) -> Graph:
        """All topics as one graph."""
        every = (triple for triples in self.topics.values() for triple in triples)
        return Graph(dict.fromkeys((*self.declarations, *every)))

    def prologue(self) -> str:
        """Return all declared prefixes as SPARQL ``PREFIX`` lines, for the dataset checks."""
        graph = Graph(self.declarations)
        return _prologue(graph, {t.subject for t in self.declarations if t.predicate.value == SH + "declare"})

    def place(self, constraint: Constraint) -> str:
        """Return ``file:line`` where a constraint is written, or the topic where its file is not known."""
        path = self.files.get(constraint.topic)
        return locate.find([path], constraint.iri.replace(self.base_iri, DEFAULT_BASE)) if path else constraint.topic


def project_shapes(base_iri: str = DEFAULT_BASE, root: Path | None = None) -> Shapes:
    """Return the project's own shapes, ``ontology/shapes/*.ttl``; raises as :func:`load`."""
    return load(sorted(((root or project.root()) / "ontology" / "shapes").glob("*.ttl")), base_iri)


def load(paths: Iterable[Path], base_iri: str = DEFAULT_BASE) -> Shapes:
    """Return the shapes of files in any RDF syntax, re-based from :data:`DEFAULT_BASE`.

    Raises :class:`~rsm_graph.errors.RdfSyntaxError` with file, line and column, and :class:`InputError` for a
    file that cannot be read or holds no shape.
    """
    topics: dict[str, tuple[ox.Triple, ...]] = {}
    files: dict[str, Path] = {}
    for path in paths:
        topic = path.stem if path.stem not in topics else str(path)
        topics[topic] = _named([quad.triple for quad in formats.read(path, base_iri)], path)
        files[topic] = path
    declaring = {SH + "declare", SH + "prefix", SH + "namespace"}
    declarations = tuple(t for triples in topics.values() for t in triples if t.predicate.value in declaring)
    shapes = Shapes(base_iri, {n: t for n, t in topics.items() if set(t) - set(declarations)}, files, declarations)
    for fault in wellformed.faults([t for topic in shapes.topics for t in shapes.shacl(topic)]):
        raise InputError(f"{_whose(fault.node, shapes)}: the shapes cannot be used: {fault.reason}.")
    for constraint in shapes.constraints.values():
        _check_queries(constraint, shapes)
    if not shapes.constraints:
        raise InputError(
            f"{', '.join(map(str, files.values())) or 'The shapes folder'}: no shape with a target.",
            "A shape has sh:targetClass, sh:targetNode, sh:targetSubjectsOf or sh:targetObjectsOf.",
        )
    return shapes


def _named(triples: list[ox.Triple], path: Path) -> tuple[ox.Triple, ...]:
    """Return a shapes graph in which shapes with targets have names: those without one are numbered."""
    nameless = dict.fromkeys(
        t.subject for t in triples if t.predicate.value in TARGETS and isinstance(t.subject, ox.BlankNode)
    )
    names: dict[object, ox.NamedNode] = {
        node: ox.NamedNode(f"{path.resolve().as_uri()}#shape{n}") for n, node in enumerate(nameless, start=1)
    }
    return tuple(
        ox.Triple(names.get(t.subject, t.subject), t.predicate, names.get(t.object, t.object)) for t in triples
    )


def _whose(node: str, shapes: Shapes) -> str:
    """Return the file, and the line where it is known, of a node of the shapes graph, and the name of its shape."""
    owner = node.strip("<>") if node.strip("<>") in shapes.constraints else shapes.owners.get(node, "")
    if constraint := shapes.constraints.get(owner):
        return f"{shapes.place(constraint)}, {constraint.name}"
    topics = [n for n, triples in shapes.topics.items() if any(str(t.subject) == node for t in triples)]
    file = shapes.files[(topics or list(shapes.files))[0]]
    line = locate.find([file], node.strip("<>").replace(shapes.base_iri, DEFAULT_BASE))
    return f"{line}, {node}" if node.startswith("<") else str(file)


def _check_queries(constraint: Constraint, shapes: Shapes) -> None:
    """Raise :class:`InputError` for a query that does not parse, or is none for a constraint (SHACL 5.2.1)."""
    graph = shapes.graph
    node = ox.NamedNode(constraint.iri)
    for query in (node, *graph.objects(node, SH + "sparql")) if constraint.select else ():
        for select in graph.objects(query, SH + "select"):
            text = str(getattr(select, "value", select))
            bare = re.sub(r'"[^"\n]*"|<[^<>\s]*>|#.*', " ", text)
            word = _FORBIDDEN.search(bare) if constraint.kind == "sparql" else None
            if word:
                raise InputError(
                    f"{shapes.place(constraint)}: the query of {constraint.name} uses {word[0]}, which SHACL does not "
                    "allow in a SPARQL constraint, or leaves optional (SHACL, 5.2.1 and 5.3.1).",
                    "Write it with UNION, BIND and FILTER NOT EXISTS.",
                )
            declared = (
                shapes.prologue() if constraint.kind == "dataset" else _prologue(graph, _ontologies(graph, query))
            )
            try:
                ox.Store().query(declared + text.replace("$PATH", constraint.path or "?path"))
            except SyntaxError as error:
                raise InputError(
                    f"{shapes.place(constraint)}: the query of {constraint.name} does not parse "
                    f"({_complaint(error.msg, declared)}).",
                    "Correct it; the prefixes it uses are to be declared where its sh:prefixes points.",
                ) from error


def _complaint(message: str, prologue: str) -> str:
    """Return what the parser says of a query that stands behind a prologue, without all that it would have taken."""
    if found := re.match(r"error at (\d+):(\d+)", message):
        return f"line {int(found[1]) - prologue.count(chr(10))}, column {found[2]} of the query"
    return message.partition("\n")[0]


def _ontologies(graph: Graph, query: object) -> list[object]:
    """Return the nodes whose ``sh:declare`` a query uses: those of ``sh:prefixes``, and what they import."""
    found = list(graph.objects(query, SH + "prefixes"))
    for node in found:
        found += [other for other in graph.objects(node, VOCABULARIES["owl"] + "imports") if other not in found]
    return found


def _prologue(graph: Graph, ontologies: Iterable[object]) -> str:
    pairs = {
        (graph.text(node, SH + "prefix"), graph.text(node, SH + "namespace"))
        for ontology in ontologies
        for node in graph.objects(ontology, SH + "declare")
    }
    return "".join(f"PREFIX {name}: <{iri}>\n" for name, iri in sorted(pairs))


def target_queries(constraint: Constraint) -> Iterator[str]:
    """Yield, for each target of a shape, a SPARQL pattern that binds ``?node`` to its focus nodes."""
    for kind, term in constraint.targets:
        yield f"VALUES ?node {{ {term} }}" if kind == "targetNode" else _TARGETS[kind].format(term)


def _constraints(topic: str, graph: Graph, base_iri: str) -> Iterator[Constraint]:
    check = ox.NamedNode(f"{base_iri}shapes#DatasetCheck")
    for node in graph.subjects():
        targets = tuple(
            (kind, str(term)) for kind in (*_TARGETS, "targetNode") for term in graph.objects(node, SH + kind)
        )
        types = graph.objects(node, RDF_TYPE)
        if ox.NamedNode(_RDFS + "Class") in types and {ox.NamedNode(SH + n) for n in _SHAPES} & set(types):
            targets += (("targetClass", str(node)),)  # an implicit class target (SHACL 2.1.3.3)
        is_check = check in types
        if not (targets or is_check or graph.objects(node, SH + "target")):
            continue
        queries = [graph.text(inner, SH + "select") for inner in graph.objects(node, SH + "sparql")]
        iri = node.value if isinstance(node, ox.NamedNode) else str(node)
        messages = [graph.text(inner, SH + "message") for inner in (node, *graph.objects(node, SH + "sparql"))]
        name = iri.rpartition("#")[2].rpartition("/")[2]
        yield Constraint(
            iri=iri,
            name=name,
            label=graph.text(node, RDFS_LABEL) or graph.text(node, SH + "name") or name,
            description=graph.text(node, SH + "description") or graph.text(node, _RDFS + "comment"),
            message=next((m for m in messages if m), ""),
            severity=severity_of(graph.text(node, SH + "severity")),
            kind="dataset" if is_check else "sparql" if queries else "core",
            topic=topic,
            targets=targets,
            select=graph.text(node, SH + "select") if is_check else "\0".join(queries),
            path=path_text(graph, graph.objects(node, SH + "path")),
        )


def severity_of(iri: str) -> Severity:
    """Return the severity that an IRI or its last part names; one of somebody's own counts as a violation."""
    return next((severity for severity in SEVERITIES if severity == iri.removeprefix(SH).lower()), "violation")
