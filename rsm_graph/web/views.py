"""What a page shows of the dataset: terms made readable, statements with their sources, things as tables."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyoxigraph as ox

from rsm_graph.describe import Statement, Term, point
from rsm_graph.links.seen import Link, links_of
from rsm_graph.namespaces import RDF_TYPE, RDFS_LABEL, VOCABULARIES
from rsm_graph.web.site import Site

_DCT, _SKOS, _RDFS, _XSD = (VOCABULARIES[name] for name in ("dcterms", "skos", "rdfs", "xsd"))
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DATE = re.compile(r"([0-9]{4})(?:-(0[1-9]|1[0-2])(?:-([0-9]{2}))?)?(?:T.*)?")
_INTEGERS = frozenset(_XSD + n for n in ("integer", "nonNegativeInteger", "positiveInteger", "int", "long", "short"))
_NUMBERS = _INTEGERS | {_XSD + n for n in ("decimal", "double", "float")}
_MAPPING = VOCABULARIES["sssom"] + "Mapping"

COLUMNS: dict[str, tuple[str, ...]] = {
    "Tenure": ("holder", "post", "startDate", "endDate", "attestedOn", "rank", "sendingNation"),
    "Contribution": ("nation", "edition", "troops", "asPrinted", "statusAtEdition"),
    "StrengthFigure": ("asOf", "nation", "command", "troops", "nationCount", "precision", "reportedIn"),
    "AllianceStatus": ("statusOf", "statusKind", "startDate", "endDate", "attestedOn"),
    "LeadRole": ("leadNation", "org:organization", "startDate", "endDate", "attestedOn"),
    "Event": ("date", "startDate", "endDate", "tookPlaceIn", "concerns"),
    "LegalInstrument": ("dcterms:identifier", "eli:passed_by", "party"),
    "Edition": ("asOf", "printedTotal", "printedNationCount", "transcription"),
    "Command": ("commandKind", "headquarters", "leadNation"),
    "Place": ("placeKind", "within"),
    "Location": ("inPlace", "sector"),
    "Post": ("org:postIn", "org:role"),
    "Nation": ("iso3",),
    "Passage": ("dcterms:isPartOf", "locator", "standing"),
    "SourceDocument": ("dcterms:publisher", "dcterms:issued", "reliability"),
    _MAPPING: (
        "sssom:subject_id", "sssom:predicate_id", "sssom:object_id", "sssom:object_label", "sssom:confidence",
        "linkState", "sssom:comment",
    ),
}  # fmt: skip
"""The properties that a table of things of a class shows beside their labels, where any thing has them."""

_UNNAMED = frozenset({"Tenure", "Contribution", "AllianceStatus", "LeadRole", "StrengthFigure", "Passage", _MAPPING})
"""Classes whose labels only repeat their columns."""

_PLURALS = {
    "entry into force": "entries into force",
    "period of time": "periods of time",
    "person": "people",
}
_FIRST = ("skos:altLabel", "skos:prefLabel", "skos:definition", "dcterms:title", "dcterms:identifier")
_HIDDEN = frozenset({RDFS_LABEL, VOCABULARIES["skos"] + "hiddenLabel"})
"""What is shown otherwise, or only to be searched by (SKOS 5.1: not otherwise visible)."""
_WORDS = {
    "rdf:type": "type",
    "foaf:Person": "person",
    "org:Organization": "organization",
    "skos:Concept": "concept",
    "skos:ConceptScheme": "code list",
    "skos:altLabel": "also called",
    "skos:prefLabel": "preferred label",
    "skos:notation": "code",
    "skos:inScheme": "code list",
    "skos:topConceptOf": "top of the code list",
    "dcterms:isPartOf": "part of",
    "dcterms:issued": "date",
    "dcterms:references": "cites",
    "schema:url": "address",
    "foaf:page": "page about it",
    "foaf:name": "name",
    "org:hasSite": "sites",
    "org:postIn": "post in",
    "org:role": "role",
    "org:organization": "organization",
    "org:subOrganizationOf": "part of",
    "eli:passed_by": "passed by",
    "qb:dataSet": "data set",
    "geo:hasDefaultGeometry": "geometry",
    "geo:asWKT": "coordinates",
    "sssom:Mapping": "mapping",
    "sssom:subject_id": "thing here",
    "sssom:predicate_id": "relation",
    "sssom:object_id": "thing there",
    "sssom:object_label": "its name there",
    "sssom:comment": "evidence",
    "prov:wasQuotedFrom": "copied from",
    "dcterms:isVersionOf": "version of",
    "owl:versionIRI": "version IRI",
    "vann:preferredNamespacePrefix": "preferred prefix",
    "vann:preferredNamespaceUri": "namespace",
}
"""What to call terms of other vocabularies, where their own local name is no good English."""
_STATEMENTS_ON_A_PAGE = 500


@dataclass(frozen=True)
class Shown:
    """A term as a page shows it. ``href`` is where it is described; ``when`` the machine's form of a date."""

    text: str
    href: str = ""
    external: bool = False
    language: str = ""
    when: str = ""
    title: str = ""
    numeric: bool = False
    key: str = ""
    """What it is sorted by."""


@dataclass(frozen=True)
class Source:
    """Who makes a statement: a passage, or one of the project's own graphs."""

    graph: str
    text: str
    href: str
    locator: str = ""
    reliability: str = ""
    standing: str = "accepted"
    ruling: str = ""
    copy: bool = False
    """Whether the document is a copy of another."""


@dataclass(frozen=True)
class Value:
    """One object of a property with its sources."""

    shown: Shown
    sources: tuple[Source, ...]
    coarser: bool = False
    """Whether another source has the same date more precisely."""


@dataclass(frozen=True)
class Property:
    """A property with its values."""

    iri: str
    label: str
    title: str
    values: tuple[Value, ...]

    @property
    def rows(self) -> list[tuple[list[Shown], bool, tuple[Source, ...]]]:
        """The values, those with the same sources together: shown, whether coarser, sources."""
        found: dict[tuple[bool, tuple[Source, ...]], list[Shown]] = {}
        for value in self.values:
            found.setdefault((value.coarser, value.sources), []).append(value.shown)
        return [(shown, coarser, sources) for (coarser, sources), shown in found.items()]


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    label: str
    iri: str
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """Things of one class, one a row."""

    heading: str
    by: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[tuple[Shown, ...], ...], ...]
    anchor: str = ""
    ids: tuple[str, ...] = ()
    """Where the things are parts of the page's own document: the fragment of each, by which it is addressed."""


@dataclass(frozen=True)
class Solutions:
    """The answer to a SELECT or ASK query; ``more`` rows were left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Shown | None, ...], ...]
    total: int
    verdict: bool | None = None

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers and nothing else."""
        cells = [[row[n] for row in self.rows if row[n]] for n in range(len(self.columns))]
        return tuple(bool(column) and all(cell.numeric for cell in column if cell) for column in cells)


@dataclass(frozen=True)
class Thing:
    """Everything that a page says about one IRI."""

    iri: str
    label: str
    other_labels: tuple[Shown, ...]
    kinds: tuple[Shown, ...]
    definition: str
    properties: tuple[Property, ...]
    contested: tuple[Property, ...]
    tables: tuple[Table, ...]
    parts: tuple[Table, ...]
    """For a graph: what is said in it of things whose IRIs are its own with a fragment."""
    says: tuple[tuple[Shown, Shown, Shown], ...]
    """For a graph: the other statements in it, as many as a page bears."""
    says_in_all: int
    standing: Source | None
    links: tuple[Link, ...] = field(default=())


def thing(site: Site, iri: str) -> Thing:
    """Return the view of one IRI of the dataset."""
    index = site.release.index
    statements = index.about(iri)
    labels = [s.object for s in statements if s.predicate == RDFS_LABEL and isinstance(s.object, ox.Literal)]
    label = name(site, iri)
    excluded = site.release.dataset.excluded_graphs
    usable = [s for s in statements if s.predicate not in _HIDDEN]
    contested = [s for s in usable if not s.accepted and set(s.graphs) <= excluded]
    plain = [s for s in usable if s not in contested]
    definitions = [str(v.value) for v in index.values(iri, _SKOS + "definition") if _language(v) in ("en", "")]
    links = site.release.dataset.iri("graph/links")
    graph = site.release.dataset.graphs.get(iri, ())
    own = [quad for quad in graph if quad.subject.value.startswith(iri + "#")]
    rest = [quad for quad in graph if not quad.subject.value.startswith(iri + "#")] if own else graph
    local = main_class(site, iri).removeprefix(site.term(""))
    return Thing(
        iri=iri,
        label=label,
        other_labels=tuple(term(site, v) for v in labels if v.value != label),
        kinds=tuple(term(site, ox.NamedNode(kind)) for kind in index.types(iri)),
        definition=definitions[0] if definitions else "",
        properties=_properties(site, [s for s in plain if links not in s.graphs], COLUMNS.get(local, ())),
        contested=_properties(site, contested),
        tables=tuple(_mentions(site, iri)),
        parts=tuple(_parts(site, iri, [quad.subject.value for quad in own])),
        says=tuple(_row(site, quad.triple) for quad in rest[:_STATEMENTS_ON_A_PAGE]),
        says_in_all=len(rest),
        standing=source(site, iri) if graph and index.values(iri, _DCT + "isPartOf") else None,
        links=links_of(index, iri),
    )


def _parts(site: Site, iri: str, subjects: Iterable[str]) -> Iterator[Table]:
    groups: dict[str, list[str]] = defaultdict(list)
    for subject in subjects:
        groups[main_class(site, subject)].append(subject)
    for kind, found in sorted(groups.items()):
        yield table(site, found, kind, document=iri)


def _row(site: Site, triple: ox.Triple) -> tuple[Shown, Shown, Shown]:
    return term(site, triple.subject), term(site, triple.predicate), term(site, triple.object)


def name(site: Site, iri: str) -> str:
    """Return what to call an IRI: its label; for a passage, its document's label; else a short form of itself.

    What only disputed and rejected passages tell of is called by the label that they give it.
    """
    index = site.release.index
    found = index.label(iri)
    if not found:
        labels = [s.object for s in index.about(iri) if s.predicate == RDFS_LABEL]
        found = next((str(v.value) for v in _english(labels)), "")
    if found:
        return found
    for document in index.values(iri, _DCT + "isPartOf"):
        title = index.label(document.value)
        if title:
            locators = [str(v.value) for v in index.values(iri, site.term("locator"))]
            return ", ".join([title, *locators])
    for predicate in (_DCT + "title", _SKOS + "prefLabel", VOCABULARIES["foaf"] + "name"):
        values = index.values(iri, predicate)
        if values:
            return str(values[0].value)
    return site.short(iri).removeprefix(site.base) or iri


def term(site: Site, node: Term | ox.Triple) -> Shown:
    """Return a term as people read it."""
    if isinstance(node, ox.NamedNode):
        return _named(site, node.value)
    if isinstance(node, ox.Literal):
        return _literal(node)
    if isinstance(node, ox.BlankNode):
        return Shown("(unnamed)", title=f"_:{node.value}")
    return Shown(str(node))


def _named(site: Site, iri: str) -> Shown:
    known = iri in site.release.index
    text = name(site, iri) if known else site.short(iri)
    if iri.startswith(site.base):
        return Shown(text, site.address(iri) if known or "/id/" not in iri else "", title=iri, key=text.casefold())
    text = _WORDS.get(text, text)
    if text == iri:
        text = iri.partition("://")[2].removeprefix("www.").rstrip("/") or iri
    safe = iri.startswith(("http://", "https://"))
    return Shown(text, iri if safe else "", external=True, title=iri, key=text.casefold())


def _literal(node: ox.Literal) -> Shown:
    kind, text = node.datatype.value, node.value
    if kind in (_XSD + "date", _XSD + "gYearMonth", _XSD + "gYear", _XSD + "dateTime"):
        return Shown(date(text), when=text, title=text, key=text)
    if kind in _INTEGERS and re.fullmatch(r"-?[0-9]{1,18}", text):
        return Shown(f"{int(text):,}", numeric=True, title=text, key=f"{int(text):020d}")
    if kind == VOCABULARIES["geo"] + "wktLiteral" and (at := point(text)):
        east, north = at
        words = f"{abs(north):.4g}° {'N' if north >= 0 else 'S'}, {abs(east):.4g}° {'E' if east >= 0 else 'W'}"
        return Shown(words, title=text, key=text)
    if kind == _XSD + "anyURI" and text.startswith(("http://", "https://")):
        return Shown(text, text, external=True, key=text)
    return Shown(text, language=node.language or "", key=text.casefold())


def date(text: str) -> str:
    """Return an ISO date of any precision in words: ``2015-01-01`` as "1 January 2015"; another text as it is."""
    found = _DATE.fullmatch(text)
    if found is None:
        return text
    year, month, day = found.groups()
    return " ".join([*([str(int(day))] if day else []), *([_MONTHS[int(month) - 1]] if month else []), year])


def source(site: Site, graph: str) -> Source:
    """Return who stands behind a named graph."""
    index = site.release.index
    documents = index.values(graph, _DCT + "isPartOf")
    href = site.address(graph)

    def first(subject: str, local: str) -> str:
        return next((str(v.value) for v in index.values(subject, site.term(local))), "")

    if documents:
        document = documents[0].value
        return Source(
            graph,
            name(site, document),
            href,
            first(graph, "locator"),
            first(document, "reliability"),
            first(graph, "standing") or "accepted",
            first(graph, "ruling"),
            any(index.values(document, iri) for iri in (VOCABULARIES["prov"] + "wasQuotedFrom", _DCT + "isVersionOf")),
        )
    return Source(graph, _own_graph(site, graph), href)


def _own_graph(site: Site, graph: str) -> str:
    """Return what to call a graph that is no passage, shorter than its label."""
    words = {
        "identity": "assigned by this project",
        "links": "mapping set of this project",
        "derived": "derived by rule",
        "sources": "description of sources",
        "ontology": "vocabulary",
        "concepts": "code lists",
        "dataset": "description of the release",
    }
    local = graph.removeprefix(site.release.dataset.iri("graph/"))
    return words.get(local) or site.release.index.label(graph) or site.short(graph)


def _properties(site: Site, statements: Iterable[Statement], columns: Sequence[str] = ()) -> tuple[Property, ...]:
    """Return statements by property: those that name a thing, those of ``columns``, the rest, what rules derive."""
    grouped: dict[str, list[Statement]] = defaultdict(list)
    for statement in statements:
        grouped[statement.predicate].append(statement)
    derived = site.release.dataset.iri("graph/derived")
    first = {property_iri(site, name): n for n, name in enumerate((*_FIRST, *columns))}

    def order(iri: str) -> tuple[int, int, str]:
        computed = all(set(s.graphs) == {derived} for s in grouped[iri])
        own = 0 if iri.startswith(site.base) or iri in first else 1
        last = 2 if iri == RDF_TYPE else 1 if computed else 0  # the type stands above the heading already
        return last, first.get(iri, len(first) + own), property_label(site, iri).casefold()

    return tuple(
        Property(
            iri,
            property_label(site, iri),
            site.short(iri),
            tuple(sorted((_value(site, s) for s in grouped[iri]), key=_by_language)),
        )
        for iri in sorted(grouped, key=order)
    )


def _by_language(value: Value) -> tuple[bool, bool, str]:
    return value.coarser, value.shown.language not in ("", "en"), value.shown.key


def property_label(site: Site, iri: str) -> str:
    """Return what to call a property: its label, else its local name in words."""
    label = site.release.index.label(iri)
    if label:
        return label
    if site.short(iri) in _WORDS:
        return _WORDS[site.short(iri)]
    local = re.split(r"[#/]", iri)[-1]
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", local).lower() or iri


def _value(site: Site, statement: Statement) -> Value:
    sources = tuple(source(site, graph) for graph in statement.graphs)
    rank = {"primary": 0, "secondary": 1, "tertiary": 2, "": 3}
    coarser = not statement.accepted and not set(statement.graphs) <= site.release.dataset.excluded_graphs
    ordered = sorted(sources, key=lambda s: (s.standing != "accepted", rank.get(s.reliability, 3), s.copy, s.text))
    return Value(term(site, statement.object), tuple(ordered), coarser)


def _mentions(site: Site, iri: str) -> Iterator[Table]:
    """Yield the things that mention ``iri``, a table for each pair of property and class.

    Last come those that do so in disputed and rejected passages only, a table for each property.
    """
    index, excluded = site.release.index, site.release.dataset.excluded_graphs
    mapping = VOCABULARIES["sssom"] + "subject_id"  # links have a section of their own
    derived = (site.release.dataset.iri("graph/derived"),)
    mentions = [
        s
        for s in index.mentioning(iri)
        if s.subject.value != iri and s.predicate != mapping and isinstance(s.subject, ox.NamedNode)
    ]
    stated = [s for s in mentions if s.accepted]
    told = {s.subject.value for s in stated if s.graphs != derived}
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for statement in stated:
        subject = statement.subject.value
        if statement.graphs != derived or subject not in told:  # a rule that only generalises says nothing new
            groups[statement.predicate, main_class(site, subject)].append(subject)
    tables = [
        table(site, subjects, kind, by=property_label(site, predicate), skip=predicate)
        for (predicate, kind), subjects in groups.items()
    ]
    posts = [s.subject.value for s in stated if s.predicate == VOCABULARIES["org"] + "postIn"]
    tenures = [s for post in posts for s in index.mentioning(post) if s.predicate == site.term("post")]
    held = {s.subject.value for s in tenures if s.accepted}
    if held:
        tables.append(table(site, held, site.term("Tenure"), by=property_label(site, site.term("post"))))
    yield from sorted(tables, key=lambda t: (t.heading.casefold(), t.by))
    claimed: dict[str, list[str]] = defaultdict(list)
    for statement in mentions:
        if not statement.accepted and set(statement.graphs) <= excluded:
            claimed[property_label(site, statement.predicate)].append(statement.subject.value)
    for label, subjects in sorted(claimed.items()):
        yield table(site, subjects, "", by=label)


def main_class(site: Site, iri: str) -> str:
    """Return the class under which a thing is listed: for an event of any kind, the class of events."""
    types = site.release.index.types(iri)
    own = [t for t in types if t.startswith(site.term(""))]
    for kind in own:
        for ancestor in ancestors(site, kind):
            if ancestor.removeprefix(site.term("")) in COLUMNS:
                return ancestor
    return (own or types or [""])[0]


def ancestors(site: Site, kind: str) -> Iterator[str]:
    """Yield a class and the classes above it, nearest first."""
    pending, seen = [kind], set()
    while pending:
        current = pending.pop(0)
        if current not in seen:
            seen.add(current)
            yield current
            pending += [v.value for v in site.release.index.values(current, _RDFS + "subClassOf")]


def plural(label: str) -> str:
    """Return the plural of an English class label."""
    if label in _PLURALS:
        return _PLURALS[label]
    if label.endswith(("s", "ch", "x")):
        return label + "es"
    return label[:-1] + "ies" if re.search(r"[^aeiou]y$", label) else label + "s"


def class_heading(site: Site, kind: str) -> str:
    """Return the heading for things of a class; what no accepted passage tells of has none."""
    if not kind:
        return "Disputed and rejected"
    label = site.release.index.label(kind) or property_label(site, kind)
    return plural(label)[:1].upper() + plural(label)[1:]


def table(site: Site, iris: Iterable[str], kind: str, by: str = "", skip: str = "", document: str = "") -> Table:
    """Return things of one class as a table.

    ``skip`` is a property that all of them share, ``document`` the one whose page this is and whose parts they are.
    """
    index = site.release.index
    local = kind.removeprefix(site.term(""))
    wanted = [property_iri(site, column) for column in COLUMNS.get(local, ())]
    subjects = list(dict.fromkeys(iris))
    values = {(s, p): index.values(s, p) for s in subjects for p in wanted}
    used = [p for p in wanted if p != skip and any(values[s, p] for s in subjects)]
    cells = {s: [tuple(term(site, v) for v in _english(values[s, p])) for p in used] for s in subjects}
    named = local not in _UNNAMED or not used
    dated = [i for i, p in enumerate(used) if p.rpartition("#")[2] in ("date", "startDate", "asOf", "attestedOn")]
    numeric = [i for i, p in enumerate(used) if p.rpartition("#")[2] == "troops"]

    def order(subject: str) -> tuple[object, ...]:
        row = cells[subject]
        when = next((c.key for i in dated for c in row[i]), "")
        troops = next((int(c.title) for i in numeric for c in row[i] if c.numeric), 0) if not dated else 0
        return (not when, when, -troops, name(site, subject).casefold())

    subjects.sort(key=order)
    first = Column(property_label(site, kind) if kind else "thing", kind)
    columns = [first] + [
        Column(property_label(site, p), p, all(c.numeric for s in subjects for c in cells[s][i]))
        for i, p in enumerate(used)
    ]
    rows = []
    for subject in subjects:
        lead = _named(site, subject)
        if not named:
            lead = Shown("→", lead.href, title=lead.text)
        rows.append(((lead,), *cells[subject]))
    if not named:  # the link to the thing itself goes last, as a small arrow
        columns = [*columns[1:], Column("", "")]
        rows = [(*row[1:], row[0]) for row in rows]
    anchor = re.sub(r"[^a-z0-9]+", "-", f"{class_heading(site, kind)} {by}".lower()).strip("-")
    ids = tuple(subject.removeprefix(document + "#") for subject in subjects) if document else ()
    return Table(class_heading(site, kind), by, tuple(columns), tuple(rows), anchor, ids)


def property_iri(site: Site, column: str) -> str:
    """Return the IRI of a property written as a prefixed name, or as the bare name of one of the ontology's own."""
    prefix, colon, local = column.partition(":")
    return site.names[prefix] + local if colon else site.term(column)


def _english(values: Sequence[Term]) -> list[Term]:
    """Return the English ones of texts in several languages, everything else as it is."""
    tagged = [v for v in values if _language(v)]
    return [v for v in values if _language(v) in ("", "en")] if any(_language(v) == "en" for v in tagged) else [*values]


def _language(node: Term) -> str:
    return (node.language or "") if isinstance(node, ox.Literal) else ""


def solutions(site: Site, answer: dict[str, Any], limit: int) -> Solutions:
    """Return an answer in SPARQL 1.1 Query Results JSON as a table of at most ``limit`` rows."""
    if "boolean" in answer:
        return Solutions((), (), 1, answer["boolean"])
    columns = tuple(answer["head"]["vars"])
    bindings = answer["results"]["bindings"]
    rows = tuple(
        tuple(_binding(site, row[name]) if name in row else None for name in columns) for row in bindings[:limit]
    )
    return Solutions(columns, rows, len(bindings))


def _binding(site: Site, value: dict[str, str]) -> Shown:
    if value["type"] == "uri":
        iri = value["value"]
        shown = _named(site, iri)
        short = site.short(iri).removeprefix(site.release.dataset.iri("id/"))
        text = shown.text if shown.external and short == iri else short  # as in a query, so that it can be put into one
        return Shown(text, shown.href, shown.external, title=iri)
    if value["type"] == "bnode":
        return Shown(f"_:{value['value']}")
    if value["type"] != "literal":
        return Shown(str(value["value"]))
    kind = value.get("datatype")
    text = value["value"]
    title = site.short(kind) if kind else ""
    return Shown(text, language=value.get("xml:lang", ""), numeric=kind in _NUMBERS, title=title)
