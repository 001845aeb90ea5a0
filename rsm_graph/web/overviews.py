"""What the pages about the whole show: the mission at a glance, the vocabulary, shapes, code lists, the release."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyoxigraph as ox

from rsm_graph import catalog, project
from rsm_graph.errors import InputError
from rsm_graph.namespaces import KINDS, RDF_TYPE, RDFS_LABEL, VOCABULARIES
from rsm_graph.release import Distribution
from rsm_graph.shapes import Constraint
from rsm_graph.web import views
from rsm_graph.web.site import Site
from rsm_graph.web.views import Shown, Table

_OWL, _RDFS, _SKOS, _DCT, _ORG, _VOID = (VOCABULARIES[n] for n in ("owl", "rdfs", "skos", "dcterms", "org", "void"))
_TURNING_POINTS = {"Launch", "StandDown", "ChangeOfCommand", "Ceremony", "Withdrawal", "Signature", "Ratification"}
_PROPERTY_KINDS = (_OWL + "ObjectProperty", _OWL + "DatatypeProperty", _OWL + "AnnotationProperty")


@dataclass(frozen=True)
class Term:
    """One term of the ontology, as its documentation shows it."""

    iri: str
    name: str
    labels: tuple[Shown, ...]
    definition: str
    notes: tuple[str, ...]
    facts: tuple[tuple[str, tuple[Shown, ...]], ...]
    uses: int
    examples: tuple[tuple[Shown, ...], ...]

    @property
    def label(self) -> str:
        return self.labels[0].text if self.labels else self.name


@dataclass(frozen=True)
class Ontology:
    """The vocabulary: its header and its terms."""

    title: str
    facts: tuple[views.Property, ...]
    description: str
    classes: tuple[Term, ...]
    properties: tuple[Term, ...]
    others: tuple[Term, ...]
    prefixes: tuple[tuple[str, str, str], ...]
    """Fragment, prefix and namespace of each prefix that is declared."""


@dataclass(frozen=True)
class Scheme:
    """One code list."""

    thing: views.Thing
    name: str
    concepts: tuple[views.Thing, ...]


@dataclass(frozen=True)
class Documented:
    """A constraint with its two examples."""

    constraint: Constraint
    checks: int
    results: int
    valid: str
    invalid: str


@dataclass(frozen=True)
class Part:
    """A part of the release that VoID counts; ``id`` is the fragment of its IRI."""

    id: str
    shown: Shown
    number: int


@dataclass(frozen=True)
class Release:
    """The release: what it holds."""

    thing: views.Thing
    counts: tuple[tuple[str, int], ...]
    classes: tuple[Part, ...]
    properties: tuple[Part, ...]
    linksets: tuple[Part, ...]
    files: tuple[Distribution, ...]
    vocabularies: tuple[Shown, ...]


@dataclass(frozen=True)
class Kind:
    """A kind of thing with the number of them."""

    name: str
    heading: str
    count: int


@dataclass(frozen=True)
class Bar:
    """A contribution as a bar: ``share`` of the largest, in per cent."""

    nation: Shown
    troops: int
    share: float


@dataclass(frozen=True)
class Home:
    """The mission at a glance. Whatever the dataset does not say is empty, and its part of the page left out."""

    mission: views.Thing | None = None
    dates: str = ""
    leader: Shown | None = None
    purposes: tuple[Shown, ...] = ()
    predecessor: Shown | None = None
    figures: tuple[tuple[str, str, str], ...] = ()
    commands: tuple[tuple[Shown, tuple[Shown, ...], tuple[Shown, ...], tuple[Shown, ...]], ...] = ()
    bars: tuple[Bar, ...] = ()
    edition: Shown | None = None
    events: tuple[tuple[Shown, Shown], ...] = ()
    kinds: tuple[Kind, ...] = field(default=())


def license_of(site: Site) -> str:
    """Return the IRI of the dataset's licence; empty where it names none."""
    index, dataset = site.release.index, site.release.dataset
    found = index.values(dataset.iri("id/dataset/rsm"), _DCT + "license")
    return str(found[0].value) if found else ""


def citation(site: Site, iri: str) -> str:
    """Return how to cite one thing of this release."""
    publisher = site.title or "rsm-graph"
    year = site.release.modified.year
    return f"“{views.name(site, iri)}”. {publisher}, release {site.release.version}, {year}. {iri}"


def kinds(site: Site) -> tuple[Kind, ...]:
    """Return the kinds of things that the dataset has, in the order of the model."""
    start = len(site.release.dataset.iri("id/"))
    counts = Counter(iri[start:].partition("/")[0] for iri in site.release.index.things)
    return tuple(Kind(kind, kind_heading(kind), counts[kind]) for kind in KINDS if counts[kind])


def kind_heading(kind: str) -> str:
    """Return the heading of a kind of thing."""
    words = {
        "legal": "Legal instruments",
        "strength": "Strength figures",
        "alliance-status": "Alliance statuses",
        "source": "Sources and passages",
        "person": "People",
        "place": "Places and points",
        "concept": "Concepts and rules",
        "dataset": "Datasets and their parts",
    }
    return words.get(kind) or views.plural(kind.replace("-", " ")).capitalize()


def of_kind(site: Site, kind: str) -> tuple[Table, ...]:
    """Return all things of a kind, a table for each class: the largest first, but passages after their documents."""
    start, passage = site.release.dataset.iri(f"id/{kind}/"), site.term("Passage")
    groups: dict[str, list[str]] = defaultdict(list)
    for iri in site.release.index.things:
        if iri.startswith(start):
            groups[views.main_class(site, iri)].append(iri)
    return tuple(
        views.table(site, iris, kind_class)
        for kind_class, iris in sorted(groups.items(), key=lambda g: (g[0] == passage, -len(g[1]), g[0]))
    )


def instances(site: Site, local: str) -> list[str]:
    """Return the instances of a class of the ontology or of a class below it, in order."""
    index, found = site.release.index, set()
    pending = [site.term(local)]
    while pending:
        current = pending.pop()
        for statement in index.mentioning(current):
            if not statement.accepted or not isinstance(statement.subject, ox.NamedNode):
                continue
            if statement.predicate == RDF_TYPE:
                found.add(statement.subject.value)
            elif statement.predicate == _RDFS + "subClassOf":
                pending.append(statement.subject.value)
    return sorted(found)


def main_mission(site: Site) -> str:
    """Return the mission that most statements are about; empty where there is none."""
    return max(instances(site, "Mission"), key=lambda iri: len(site.release.index.mentioning(iri)), default="")


def home(site: Site) -> Home:
    """Return the mission at a glance."""
    index = site.release.index
    mission = main_mission(site)
    if not mission:
        return Home(kinds=kinds(site))

    def values(iri: str, name: str) -> list[Shown]:
        return [views.term(site, v) for v in index.values(iri, views.property_iri(site, name))]

    def one(iri: str, name: str) -> Shown | None:
        return next(iter(values(iri, name)), None)

    start, end = one(mission, "startDate"), one(mission, "endDate")
    edition = _latest_edition(site, mission)
    bars = _bars(site, edition) if edition else ()
    return Home(
        mission=views.thing(site, mission),
        dates=" – ".join(d.text for d in (start, end) if d) if end else (f"since {start.text}" if start else ""),
        leader=one(mission, "ledBy"),
        purposes=tuple(values(mission, "purpose")),
        predecessor=one(mission, "predecessor"),
        figures=tuple(_figures(site, edition)),
        commands=tuple(_commands(site, mission)),
        bars=bars,
        edition=views.term(site, ox.NamedNode(edition)) if edition else None,
        events=tuple(_events(site, mission)),
        kinds=kinds(site),
    )


def _latest_edition(site: Site, mission: str) -> str:
    index = site.release.index
    editions = []
    for iri in instances(site, "Edition"):
        complete = any(v.value == "complete" for v in index.values(iri, site.term("transcription")))
        about = any(v.value == mission for v in index.values(iri, site.term("mission")))
        dates = [str(v.value) for v in index.values(iri, site.term("asOf"))]
        if complete and about:
            editions.append((max(dates, default=""), iri))
    return max(editions, default=("", ""))[1]


def number(site: Site, iri: str, name: str) -> int | None:
    """Return a figure that a property of the ontology gives for a thing; nothing where it is no plain number."""
    values = (str(v.value) for v in site.release.index.values(iri, site.term(name)))
    return next((int(text) for text in values if re.fullmatch("[0-9]{1,18}", text)), None)


def _bars(site: Site, edition: str) -> tuple[Bar, ...]:
    index = site.release.index
    found = []
    for statement in index.mentioning(edition):
        if statement.predicate == site.term("edition") and isinstance(statement.subject, ox.NamedNode):
            troops = number(site, statement.subject.value, "troops")
            nations = index.values(statement.subject.value, site.term("nation"))
            if troops is not None and nations:
                found.append((troops, views.term(site, nations[0])))
    largest = max((troops for troops, _ in found), default=1)
    ordered = sorted(found, key=lambda pair: (-pair[0], pair[1].key))
    return tuple(Bar(nation, troops, 100 * troops / largest) for troops, nation in ordered)


def _figures(site: Site, edition: str) -> Iterator[tuple[str, str, str]]:
    """Yield figures worth knowing first: number, what it counts, where it leads."""
    if edition:
        total, nations = number(site, edition, "printedTotal"), number(site, edition, "printedNationCount")
        if total is not None:
            yield f"{total:,}", f"troops, {views.name(site, edition)}", site.address(edition)
        if nations is not None:
            yield f"{nations}", "contributing nations", site.address(edition)
    for words, local, kind in (
        ("tenures of posts", "Tenure", "tenure"),
        ("events", "Event", "event"),
        ("source documents", "SourceDocument", "source"),
    ):
        count = len(instances(site, local))
        if count:
            yield f"{count:,}", words, f"{site.prefix}/browse/{kind}"


def _commands(
    site: Site, mission: str
) -> Iterator[tuple[Shown, tuple[Shown, ...], tuple[Shown, ...], tuple[Shown, ...]]]:
    """Yield the commands of a mission with headquarters, lead nation and the holder of their post known last."""
    index = site.release.index
    parts = {
        s.subject.value
        for s in index.mentioning(mission)
        if s.predicate == _ORG + "subOrganizationOf"
        and s.accepted
        and site.term("Command") in index.types(s.subject.value)
    }
    for command in sorted(parts, key=lambda iri: views.name(site, iri)):
        sites = tuple(views.term(site, v) for v in index.values(command, site.term("headquarters")))
        leads = tuple(views.term(site, v) for v in index.values(command, site.term("leadNation")))
        yield views.term(site, ox.NamedNode(command)), sites, leads, tuple(_last_holder(site, command))


def _last_holder(site: Site, command: str) -> Iterator[Shown]:
    index = site.release.index
    tenures = []
    for post in index.mentioning(command):
        commands_it = any("commander" in str(v.value) for v in index.values(post.subject.value, _ORG + "role"))
        if post.predicate == _ORG + "postIn" and commands_it:
            for tenure in index.mentioning(post.subject.value):
                if tenure.predicate == site.term("post") and tenure.accepted:
                    names = ("startDate", "attestedOn", "endDate")
                    dates = [str(v.value) for n in names for v in index.values(tenure.subject.value, site.term(n))]
                    tenures.append((max(dates, default=""), tenure.subject.value))
    if tenures:
        for holder in index.values(max(tenures)[1], site.term("holder")):
            yield views.term(site, holder)


def _events(site: Site, mission: str) -> Iterator[tuple[Shown, Shown]]:
    """Yield the turning points of a mission in order: its events, meetings and declarations left out."""
    index = site.release.index
    found = []
    for iri in instances(site, "Event"):
        dates = [v for name in ("date", "startDate") for v in index.values(iri, site.term(name))]
        concerns = {str(v.value) for v in index.values(iri, site.term("concerns"))}
        kinds = {kind.removeprefix(site.term("")) for kind in index.types(iri)}
        if dates and mission in concerns and kinds & _TURNING_POINTS:
            found.append((str(dates[0].value), iri, dates[0]))
    for _, iri, date in sorted(found):
        yield views.term(site, date), views.term(site, ox.NamedNode(iri))


def ontology(site: Site) -> Ontology:
    """Return the vocabulary with an example of each term from the data."""
    index, dataset = site.release.index, site.release.dataset
    header = dataset.iri("ontology")
    start = site.term("")
    own = sorted({q.subject.value for q in dataset.graphs.get(dataset.iri("graph/ontology"), ())
                  if isinstance(q.subject, ox.NamedNode) and q.subject.value.startswith(start)})  # fmt: skip
    classes, properties, others = [], [], []
    for iri in own:
        types = set(index.types(iri))
        if _OWL + "Class" in types:
            classes.append(iri)
        elif types & set(_PROPERTY_KINDS):
            properties.append(iri)
        elif index.label(iri):
            others.append(iri)
    described = views.thing(site, header) if header in index else None
    hidden = {_DCT + "title", _DCT + "description", VOCABULARIES["sh"] + "declare"}
    return Ontology(
        title=described.label if described else "Vocabulary",
        facts=tuple(p for p in described.properties if p.iri not in hidden) if described else (),
        description=_english(site, header, _DCT + "description"),
        classes=tuple(_term(site, iri) for iri in classes),
        properties=tuple(_term(site, iri) for iri in properties),
        others=tuple(_term(site, iri) for iri in others),
        prefixes=tuple(
            (node.value.partition("#")[2], _text(site, node.value, "prefix"), _text(site, node.value, "namespace"))
            for node in sorted(index.values(header, VOCABULARIES["sh"] + "declare"), key=lambda node: node.value)
        ),
    )


def _text(site: Site, iri: str, local: str) -> str:
    return next((str(v.value) for v in site.release.index.values(iri, VOCABULARIES["sh"] + local)), "")


def _english(site: Site, iri: str, predicate: str) -> str:
    values = site.release.index.values(iri, predicate)
    best = sorted(values, key=lambda v: getattr(v, "language", "") not in ("en", None))
    return str(best[0].value) if best else ""


def _term(site: Site, iri: str) -> Term:
    index = site.release.index
    labels = sorted(index.values(iri, RDFS_LABEL), key=lambda v: getattr(v, "language", "") != "en")
    facts = []
    for heading, predicate in (
        ("subclass of", _RDFS + "subClassOf"),
        ("subproperty of", _RDFS + "subPropertyOf"),
        ("domain", _RDFS + "domain"),
        ("range", _RDFS + "range"),
        ("inverse of", _OWL + "inverseOf"),
        ("disjoint with", _OWL + "disjointWith"),
    ):
        values = tuple(_short(site, v.value) for v in index.values(iri, predicate))
        if values:
            facts.append((heading, values))
    for heading, predicate in (
        ("subclasses", _RDFS + "subClassOf"),
        ("subproperties", _RDFS + "subPropertyOf"),
        ("properties of it", _RDFS + "domain"),
        ("properties that lead to it", _RDFS + "range"),
    ):
        values = tuple(_short(site, s.subject.value) for s in index.mentioning(iri) if s.predicate == predicate)
        if values:
            facts.append((heading, values))
    if _OWL + "FunctionalProperty" in index.types(iri):
        facts.append(("at most one value", (Shown("yes"),)))
    of_type = [s for s in index.mentioning(iri) if s.predicate == RDF_TYPE and s.accepted]
    statements = site.statements_by_predicate.get(iri, ())
    examples: list[tuple[Shown, ...]] = [(views.term(site, s.subject),) for s in of_type[:2]]
    for triple in statements[:1]:
        examples.append((views.term(site, triple.subject), _short(site, iri), views.term(site, triple.object)))
    return Term(
        iri=iri,
        name=iri.removeprefix(site.term("")),
        labels=tuple(views.term(site, v) for v in labels),
        definition=_english(site, iri, _SKOS + "definition"),
        notes=tuple(str(v.value) for v in index.values(iri, _SKOS + "scopeNote")),
        facts=tuple(facts),
        uses=len(of_type) + len(statements),
        examples=tuple(examples),
    )


def _short(site: Site, iri: str) -> Shown:
    """Return a term of a vocabulary by its prefixed name."""
    return Shown(site.short(iri), site.address(iri), external=not iri.startswith(site.base), title=iri)


def shapes(site: Site) -> dict[str, list[Documented]]:
    """Return the constraints by topic, each with its examples where they are at hand."""
    report = site.release.report
    found: dict[str, list[Documented]] = defaultdict(list)
    results = Counter(result.constraint for result in report.results)
    for constraint in report.constraints.values():
        found[constraint.topic].append(
            Documented(
                constraint,
                report.checks.get(constraint.iri, 0),
                results[constraint.iri] + report.truncated.get(constraint.iri, 0),
                _example(constraint.name, "valid"),
                _example(constraint.name, "invalid"),
            )
        )
    return dict(found)


def shapes_words(site: Site) -> list[tuple[str, str, str]]:
    """Return what else the shapes define, beside constraints: name, label and comment."""
    dataset, start = site.release.dataset, site.release.dataset.iri("shapes#")
    known = site.release.report.constraints
    subjects = {q.subject.value for q in dataset.graphs.get(dataset.iri("graph/shapes"), ())}
    return [
        (iri.removeprefix(start), site.release.index.label(iri), _english(site, iri, _RDFS + "comment"))
        for iri in sorted(subjects)
        if iri.startswith(start) and iri not in known
    ]


def _example(name: str, kind: str) -> str:
    for folder in _example_folders():
        for ending in ("ttl", "trig"):
            path = folder / name / f"{kind}.{ending}"
            if path.is_file():
                lines = path.read_text(encoding="utf-8").splitlines()
                return "\n".join(line for line in lines if not line.lower().startswith("@prefix")).strip()
    return ""


def _example_folders() -> list[Path]:
    try:
        root = project.root()
    except InputError:
        return []
    return [root / "shape-examples", root / "tests" / "shapes"]


def checked(site: Site, iri: str) -> list[Constraint]:
    """Return the constraints whose targets (SHACL 2.1.3) a thing is among."""
    index = site.release.index
    classes = {c for kind in index.types(iri) for c in views.ancestors(site, kind)}
    has = {s.predicate for s in index.about(iri) if s.accepted}
    ends = {s.predicate for s in index.mentioning(iri) if s.accepted}
    among = {"targetClass": classes, "targetSubjectsOf": has, "targetObjectsOf": ends, "targetNode": {iri}}
    return [
        constraint
        for constraint in site.release.report.constraints.values()
        if any(term.strip("<>") in among[kind] for kind, term in constraint.targets)
    ]


def schemes(site: Site) -> list[Scheme]:
    """Return the code lists."""
    index = site.release.index
    stated = index.mentioning(_SKOS + "ConceptScheme")
    of_class = [s.subject.value for s in stated if s.predicate == RDF_TYPE and s.accepted]
    return sorted((scheme(site, iri) for iri in dict.fromkeys(of_class)), key=lambda s: s.thing.label)


def scheme(site: Site, iri: str) -> Scheme:
    """Return one code list with its concepts."""
    index = site.release.index
    members = [s.subject.value for s in index.mentioning(iri) if s.predicate == _SKOS + "inScheme" and s.accepted]
    name = iri.removeprefix(site.release.dataset.iri("id/concept/"))

    def order(concept: str) -> list[tuple[int, str]]:
        notations = index.values(concept, _SKOS + "notation")
        key = str(notations[0].value) if notations else f"~{concept}"
        return [(int(part) if part.isdigit() else 0, part) for part in re.split(r"([0-9]+)", key)]  # 10 follows 9

    things = tuple(views.thing(site, concept) for concept in sorted(dict.fromkeys(members), key=order))
    return Scheme(views.thing(site, iri), name, things)


def release(site: Site) -> Release:
    """Return what the release holds, by its own description."""
    index, dataset = site.release.index, site.release.dataset
    iri = catalog.release_iri(dataset)
    counted = ("triples", "entities", "distinctSubjects", "distinctObjects", "classes", "properties", "documents")
    counts = []
    for name in counted:
        for value in index.values(iri, _VOID + name):
            counts.append((views.property_label(site, _VOID + name), int(value.value)))

    def partitions(kind: str, of: str, figure: str) -> Iterator[Part]:
        for node in index.values(iri, _VOID + kind):
            terms = index.values(node.value, _VOID + of)
            numbers = index.values(node.value, _VOID + figure)
            if terms and numbers:
                shown = _short(site, str(terms[0].value))
                yield Part(node.value.partition("#")[2], shown, int(numbers[0].value))

    linksets = []
    for node in index.values(iri, _VOID + "subset"):
        numbers = index.values(node.value, _VOID + "triples")
        if numbers:
            label = Shown(index.label(node.value) or node.value)
            linksets.append(Part(node.value.partition("#")[2], label, int(numbers[0].value)))
    return Release(
        thing=views.thing(site, dataset.iri("id/dataset/rsm")),
        counts=tuple(counts),
        classes=_largest(partitions("classPartition", "class", "entities")),
        properties=_largest(partitions("propertyPartition", "property", "triples")),
        linksets=tuple(linksets),
        files=tuple(d for d in site.release.distributions if dataset.iri(f"dataset#{d.name}") in index),
        vocabularies=tuple(_short(site, str(v.value)) for v in index.values(iri, _VOID + "vocabulary")),
    )


def _largest(parts: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: (-part.number, part.shown.text)))


@dataclass(frozen=True)
class Document:
    """A source document with what it supports."""

    shown: Shown
    publisher: tuple[Shown, ...]
    issued: tuple[Shown, ...]
    reliability: str
    passages: int
    statements: int
    contested: int


def sources(site: Site) -> dict[str, list[Document]]:
    """Return the source documents by reliability."""
    index, dataset = site.release.index, site.release.dataset
    found: dict[str, list[Document]] = {"primary": [], "secondary": [], "tertiary": []}
    for iri in instances(site, "SourceDocument"):
        passages = [s.subject.value for s in index.mentioning(iri) if s.predicate == _DCT + "isPartOf"]
        issued = [
            views.term(site, v)
            for p in (_DCT + "issued", site.term("issuedNotBefore"), site.term("issuedNotAfter"))
            for v in index.values(iri, p)
        ]
        reliability = next((str(v.value) for v in index.values(iri, site.term("reliability"))), "")
        found.setdefault(reliability, []).append(
            Document(
                views.term(site, ox.NamedNode(iri)),
                tuple(views.term(site, v) for v in index.values(iri, _DCT + "publisher")),
                tuple(issued),
                reliability,
                len(passages),
                sum(len(dataset.graphs.get(p, ())) for p in passages),
                sum(len(dataset.graphs.get(p, ())) for p in passages if p in dataset.excluded_graphs),
            )
        )
    for documents in found.values():
        documents.sort(key=lambda d: (-d.statements, d.shown.key))
    return {name: documents for name, documents in found.items() if documents}


@dataclass(frozen=True)
class Hit:
    """One search result: the thing, its class, and the name that matched when it is not the label."""

    shown: Shown
    kind: str
    score: float
    matched: str = ""


def search(site: Site, wanted: str, limit: int = 50) -> list[Hit]:
    """Return the things whose names are like ``wanted``, the likest first."""
    hits = []
    for found in site.release.search.search(wanted, limit=limit, prefix=True):
        shown = views.term(site, ox.NamedNode(found.iri))
        kind = views.main_class(site, found.iri)
        kind = views.property_label(site, kind) if kind else ""
        hits.append(Hit(shown, kind, found.score, found.name if found.name != shown.text else ""))
    return hits
