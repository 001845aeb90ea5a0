"""The types and properties that reconciliation offers, and the values of a property of a thing."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import pyoxigraph as ox

from rsm_graph.describe import Index, Term
from rsm_graph.errors import InputError
from rsm_graph.namespaces import RDF_TYPE, VOCABULARIES, XSD, prefixes, shorten
from rsm_graph.search import Search, fold

RELATIONS = ("tenure", "lead-role", "alliance-status", "prospective-contribution", "contribution", "strength")
"""Kinds of things that have no name of their own; they, and documents, are found only when their type is asked for."""

WIKIDATA_SERVICE = "https://wikidata.reconci.link/en/api"
"""The reconciliation service whose identifiers the Wikidata items are (data extension wants it named)."""

_NUMBERS = frozenset(XSD + name for name in ("integer", "nonNegativeInteger", "positiveInteger", "int", "long"))
_DECIMALS = frozenset(XSD + name for name in ("decimal", "double", "float"))
_STEP = re.compile(r"(\^?)([\w-]+:[\w-]+)(?:\[([\w-]+:[\w-]+) ([\w-]+:[\w/-]+)\])?")

# Columns that are more than one step away: id, name, description, kinds of things that have it, path. A path is a
# sequence of properties; ^ goes against the arrow, [property value] keeps what has that value.
_PATHS = (
    ("commander", "Commander", "Who held the post of commander; narrowed by the setting “on”.", "command mission",
     "^org:postIn[org:role concept:role/commander] ^rsm:post rsm:holder"),
    ("commander-from", "Commander from", "When its commanders took over.", "command mission",
     "^org:postIn[org:role concept:role/commander] ^rsm:post rsm:startDate"),
    ("commander-until", "Commander until", "When its commanders handed over.", "command mission",
     "^org:postIn[org:role concept:role/commander] ^rsm:post rsm:endDate"),
    ("place", "Place of its headquarters", "", "command", "rsm:headquarters rsm:inPlace"),
    ("post", "Post held", "", "person", "^rsm:holder rsm:post"),
    ("command", "Command or mission served in", "", "person", "^rsm:holder rsm:post org:postIn"),
    ("from", "In post from", "", "person", "^rsm:holder rsm:startDate"),
    ("until", "In post until", "", "person", "^rsm:holder rsm:endDate"),
    ("rank", "Rank", "", "person", "^rsm:holder rsm:rank"),
    ("grade", "NATO grade", "", "person", "^rsm:holder rsm:rank rsm:natoGrade skos:notation"),
    ("nation", "Sending nation", "", "person", "^rsm:holder rsm:sendingNation"),
    ("holder", "Holder of the post", "Narrowed by the setting “on”.", "post", "^rsm:post rsm:holder"),
    ("status", "Ally or partner of NATO", "Narrowed by the setting “on”.", "nation", "^rsm:statusOf rsm:statusKind"),
    ("ally-since", "Ally of NATO since", "", "nation",
     "^rsm:statusOf[rsm:statusKind concept:status-kind/ally] rsm:startDate"),
    ("coordinates", "Point (WKT)", "", "place", "geo:hasDefaultGeometry geo:asWKT"),
    ("event", "What happened to it", "", "legal mission command", "^rsm:concerns"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path: along a property or against it, to things that have a certain value, if any is named."""

    predicate: str
    inverse: bool = False
    where: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Property:
    """A property on offer. ``path`` is empty for the two that are computed: ``iri`` and ``wikidata``."""

    id: str
    name: str
    description: str
    kinds: frozenset[str]
    path: tuple[Step, ...]
    uses: int = 0


@dataclass(frozen=True, slots=True)
class Type:
    """A type on offer: a class that has instances here, with its direct broader classes among these."""

    id: str
    iri: str
    name: str
    description: str
    broader: tuple[str, ...]
    members: frozenset[str]
    kinds: frozenset[str]


class Catalogue:
    """What can be asked about the things of one dataset."""

    def __init__(self, index: Index, search: Search) -> None:
        self.index = index
        self.search = search
        self.base = index.dataset.base_iri
        self.names = prefixes(self.base)
        self._by_value: dict[str, Mapping[str, frozenset[str]]] = {}
        self._described: dict[str, str] = {}
        self._typed: dict[str, list[Type]] = {}

    # Identifiers

    def key(self, iri: str) -> str:
        """Return the identifier of a thing: its IRI without the identifier space (``nation/DEU``)."""
        return iri.removeprefix(f"{self.base}id/")

    def iri(self, key: str) -> str:
        """Return the IRI behind an identifier, which may be a whole IRI; ``""`` if there is no such thing."""
        iri = key if key.startswith(self.base) else f"{self.base}id/{key}"
        return iri if iri in self.search else ""

    def kind(self, iri: str) -> str:
        """Return the kind of a thing (``nation``)."""
        return self.key(iri).partition("/")[0]

    @cached_property
    def _things(self) -> tuple[str, ...]:
        """Everything that can be found but the dataset's description of itself."""
        return tuple(iri for iri in self.search.things if self.kind(iri) != "dataset")

    # Types

    @cached_property
    def types(self) -> Mapping[str, Type]:
        """The types on offer by identifier (``rsm:Nation``), the most used first."""
        members = defaultdict[str, set[str]](set)
        for iri in self._things:
            for cls in self._classes(iri):
                members[cls].add(iri)
        found = {}
        for cls, iris in sorted(members.items(), key=lambda pair: (-len(pair[1]), pair[0])):
            broader = tuple(self._short(b) for b in self._broader(cls) if b in members)
            description = self._definition(cls)
            kinds = frozenset(map(self.kind, iris))
            found[self._short(cls)] = Type(
                self._short(cls), cls, self._name(cls), description, broader, frozenset(iris), kinds
            )
        return found

    def type(self, text: str) -> Type:
        """Return a type by its identifier, IRI, local name or label.

        Raises :class:`InputError` naming the types there are.
        """
        wanted = text.casefold()
        for found in self.types.values():
            if wanted in (found.id.casefold(), found.iri.casefold(), found.name.casefold(), _local(found.id)):
                return found
        known = ", ".join(self.types)
        raise InputError(f"There is no type {text[:80]!r} here.", f"The types are: {known}.")

    def types_of(self, iri: str) -> list[Type]:
        """Return the types of a thing, the narrowest first."""
        if iri not in self._typed:
            found = [t for t in (self.types.get(self._short(cls)) for cls in self._classes(iri)) if t]
            self._typed[iri] = sorted(found, key=lambda t: (len(t.members), t.id))
        return self._typed[iri]

    def _classes(self, iri: str) -> set[str]:
        found, pending = set[str](), self.index.types(iri)
        while pending:
            cls = pending.pop()
            if cls not in found:
                found.add(cls)
                pending.extend(self._broader(cls))
        return found

    def _broader(self, cls: str) -> list[str]:
        """Return the direct superclasses that have a label here; others are stubs of foreign vocabularies."""
        above = self.index.values(cls, VOCABULARIES["rdfs"] + "subClassOf")
        return [v.value for v in above if isinstance(v, ox.NamedNode) and self.index.label(v.value)]

    # Properties

    @cached_property
    def properties(self) -> Mapping[str, Property]:
        """The properties on offer by identifier, the most used first."""
        uses: dict[str, Counter[str]] = defaultdict(Counter)
        for iri in self._things:
            kind = self.kind(iri)
            for predicate in {s.predicate for s in self.index.about(iri) if s.accepted}:
                uses[predicate][kind] += 1
        all_kinds = frozenset(kind for counter in uses.values() for kind in counter)
        found = [
            Property("iri", "IRI", "The permanent identifier of the thing.", all_kinds, ()),
            Property("wikidata", "Wikidata item", "The item that the thing is linked to.", all_kinds, ()),
        ]
        found += [
            Property(key, name, text, frozenset(kinds.split()), self._path(path))
            for key, name, text, kinds, path in _PATHS
        ]
        found += self._editions()
        for predicate, counter in sorted(uses.items(), key=lambda pair: (-pair[1].total(), pair[0])):
            if predicate != RDF_TYPE:
                path, kinds = (Step(predicate),), frozenset(counter)
                text = self._definition(predicate)
                found.append(
                    Property(self._short(predicate), self._name(predicate), text, kinds, path, counter.total())
                )
        return {p.id: p for p in found}

    def property(self, text: str) -> Property:
        """Return a property by its identifier or IRI; raises :class:`InputError` for one that is not on offer."""
        found = self.properties.get(text) or self.properties.get(self._short(text))
        if found is None:
            raise InputError(
                f"There is no property {text[:80]!r} here.",
                "The service that suggests properties, suggest/property, lists them.",
            )
        return found

    def _editions(self) -> list[Property]:
        """Return a property for the troops in each edition that has contributions."""
        rsm = self.names["rsm"]
        counts = Counter[str]()
        for edition in self._things:
            if self.kind(edition) == "edition":
                counts[edition] = sum(s.predicate == rsm + "edition" for s in self.index.mentioning(edition))
        return [
            Property(
                f"troops/{self.key(edition).partition('/')[2]}",
                f"Troops: {self.index.label(edition)}",
                "",
                frozenset({"nation"}),
                (Step(rsm + "nation", True, (rsm + "edition", edition)), Step(rsm + "troops")),
            )
            for edition, count in sorted(counts.items())
            if count
        ]

    def _path(self, text: str) -> tuple[Step, ...]:
        steps = []
        for against, predicate, where, value in _STEP.findall(text):
            condition = (self._expand(where), self._expand(value)) if where else None
            steps.append(Step(self._expand(predicate), bool(against), condition))
        return tuple(steps)

    # Values

    def values(self, iri: str, wanted: Property, on: str = "") -> list[Term]:
        """Return the values of a property of a thing; ``on`` (a date) leaves out tenures and such of other days."""
        if wanted.id == "iri":
            return [ox.Literal(iri)]
        if wanted.id == "wikidata":
            return [ox.NamedNode(item) for item in self.wikidata(iri)]
        found: list[Term] = [ox.NamedNode(iri)]
        for step in wanted.path:
            reached: dict[Term, None] = {}
            for term in found:
                if isinstance(term, ox.NamedNode):
                    reached.update(dict.fromkeys(self._reach(term.value, step)))
            found = [term for term in reached if not on or self._running(term, on)]
            if step.inverse:
                found.sort(key=self._since)
        return found

    def wikidata(self, iri: str) -> list[str]:
        """Return the Wikidata entities that a thing is linked to, exact matches first."""
        skos = VOCABULARIES["skos"]
        linked = (v.value for name in ("exactMatch", "closeMatch") for v in self.index.values(iri, skos + name))
        return [item for item in linked if item.startswith(VOCABULARIES["wd"])]

    def remote_label(self, item: str) -> str:
        """Return the label that a linked entity was seen with, or ``""``."""
        for statement in self.index.mentioning(item):
            if statement.predicate == VOCABULARIES["sssom"] + "object_id":
                for label in self.index.values(statement.subject.value, VOCABULARIES["sssom"] + "object_label"):
                    return str(label.value)
        return ""

    def _reach(self, iri: str, step: Step) -> Iterable[Term]:
        if step.inverse:
            ends: list[Term] = [
                s.subject for s in self.index.mentioning(iri) if s.predicate == step.predicate and s.accepted
            ]
        else:
            ends = self.index.values(iri, step.predicate)
        if step.where is None:
            return ends
        predicate, value = step.where
        return [e for e in ends if value in [v.value for v in self.index.values(e.value, predicate)]]

    def _running(self, term: Term, on: str) -> bool:
        """Whether something possibly ran on a day: neither surely begun later nor surely ended before."""
        bounds = [
            [str(v.value) for v in self.index.values(term.value, self.names["rsm"] + name)]
            for name in ("earliestStart", "latestEnd")
        ]
        return all(b <= on for b in bounds[0]) and all(b >= on for b in bounds[1])

    def _since(self, term: Term) -> str:
        names = ("startDate", "earliestStart", "attestedOn", "endDate", "date")
        dates = (v.value for name in names for v in self.index.values(term.value, self.names["rsm"] + name))
        return next(dates, "9999")

    def having(self, wanted: Property, value: str) -> frozenset[str]:
        """Return the things that have a value of a property, given as text: a literal, a name, a key or an IRI.

        A date is had by whatever happened within it: ``2019`` finds 2019-12-11.
        """
        table = self._by_value.get(wanted.id)
        if table is None:
            table = self._by_value[wanted.id] = self._table(wanted)
        return table.get(fold(value), frozenset())

    def _table(self, wanted: Property) -> Mapping[str, frozenset[str]]:
        found = defaultdict[str, set[str]](set)
        for iri in self._things:
            if self.kind(iri) in wanted.kinds:
                for term in self.values(iri, wanted):
                    for text in self._forms(term):
                        found[fold(text)].add(iri)
        return {text: frozenset(iris) for text, iris in found.items()}

    def _forms(self, term: Term) -> Iterable[str]:
        yield str(term.value)
        if isinstance(term, ox.Literal):
            if re.fullmatch(r"\d{4}-\d\d(-\d\d)?", term.value):
                yield term.value[:4]
                yield term.value[:7]
            return
        yield from self.search.names_of(str(term.value))
        if str(term.value).startswith(VOCABULARIES["wd"]):
            yield str(term.value).removeprefix(VOCABULARIES["wd"])

    def cell(self, term: Term, content: str = "") -> dict[str, object]:
        """Return a value as data extension gives it (0.2, Data Extension Responses).

        ``content`` chooses what stands for an entity: itself (default), its ``name``, ``id`` or ``iri``.
        """
        if isinstance(term, ox.Literal):
            return _literal(term)
        iri = str(term.value)
        if iri.startswith(VOCABULARIES["wd"]):
            key, name = iri.removeprefix(VOCABULARIES["wd"]), self.remote_label(iri)
        elif iri in self.search:
            key, name = self.key(iri), self.index.label(iri)
        else:
            return {"str": iri}
        forms = {"name": name or key, "id": key, "iri": iri}
        return {"str": forms[content]} if content in forms else {"id": key, "name": name or key}

    # Words about things

    def description(self, iri: str) -> str:
        """Return a few words that tell a thing from its namesakes: its narrowest type, and what stands near it."""
        if iri not in self._described:
            self._described[iri] = self._described_anew(iri)
        return self._described[iri]

    def _described_anew(self, iri: str) -> str:
        kind = self.kind(iri)
        words = [self.types_of(iri)[0].name] if self.types_of(iri) else []
        for path in _NEAR.get(kind, ()):
            near = self.values(iri, Property("", "", "", frozenset(), self._path(path)))
            words += [self.index.label(v.value) if isinstance(v, ox.NamedNode) else str(v.value) for v in near[:2]]
        return ", ".join(dict.fromkeys(filter(None, words)))

    def _name(self, iri: str) -> str:
        return self.index.label(iri) or re.split(r"[/#]", iri)[-1]

    def _definition(self, iri: str) -> str:
        found = self.index.values(iri, VOCABULARIES["skos"] + "definition")
        return next((str(v.value) for v in found if getattr(v, "language", None) == "en"), "")

    def _short(self, iri: str) -> str:
        return shorten(iri, self.names)

    def _expand(self, name: str) -> str:
        prefix, _, local = name.partition(":")
        return self.names[prefix] + local


_NEAR = {
    "nation": ("rsm:iso3",),
    "person": ("^rsm:holder rsm:post",),
    "command": ("rsm:headquarters", "org:subOrganizationOf"),
    "location": ("rsm:inPlace",),
    "place": ("rsm:placeKind", "rsm:within"),
    "post": ("org:postIn",),
    "organization": ("org:subOrganizationOf",),
    "event": ("rsm:date", "rsm:startDate", "rsm:tookPlaceIn"),
    "legal": ("dcterms:identifier", "^rsm:concerns rsm:date"),
    "edition": ("rsm:asOf",),
    "mission": ("rsm:startDate",),
    "concept": ("skos:inScheme",),
    "source": ("dcterms:publisher", "dcterms:issued"),
    "tenure": ("rsm:startDate", "rsm:endDate"),
    "contribution": ("rsm:troops",),
    "strength": ("rsm:asOf", "rsm:troops"),
}
"""What is said of a thing beside its type, by kind."""


def _literal(term: ox.Literal) -> dict[str, object]:
    datatype, text = term.datatype.value, term.value
    if datatype in _NUMBERS and re.fullmatch(r"[+-]?\d{1,18}", text):
        return {"int": int(text)}
    if datatype in _DECIMALS and re.fullmatch(r"[+-]?\d{1,18}(\.\d{1,18})?", text):
        return {"float": float(text)}
    if datatype == XSD + "date" and re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return {"date": f"{text}T00:00:00Z"}
    return {"str": text}


def _local(identifier: str) -> str:
    return identifier.rpartition(":")[2].casefold()
