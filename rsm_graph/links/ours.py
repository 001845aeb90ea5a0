"""What this dataset knows of a thing that an item elsewhere can be compared with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rsm_graph.describe import Index, point
from rsm_graph.links.wikidata import Date, Item, Point, Wikidata
from rsm_graph.namespaces import RDFS_LABEL, VOCABULARIES
from rsm_graph.search import Search, fold, similarity
from rsm_graph.sssom import Mapping as Row

HUMAN = "Q5"
AFGHANISTAN = "Q889"
CLASSES = {"Mission": "Q645883", "SecurityCouncilResolution": "Q877358"}
"""Items that items are compared with: people, the country, and the class of our classes."""

IDENTIFIERS = {"P297": "iso2", "P298": "iso3", "P299": "m49", "P2082": "m49", "P1566": "geonames", "P239": "icao"}
"""Properties that hold identifiers, and which of ours they should equal."""

FAR = 100.0
"""Kilometres from which two points cannot be of one place; a province's point may lie anywhere in it."""

_BORN = "1930"
"""Who was born before is only a namesake of people in this dataset."""

_GEONAMES = "https://sws.geonames.org/"
_WIKIPEDIA = "https://en.wikipedia.org/wiki/"


@dataclass(frozen=True)
class Thing:
    """One thing: its names, identifiers, dates and place."""

    iri: str
    kind: str
    classes: frozenset[str]
    label: str
    names: frozenset[str]
    identifiers: Mapping[str, frozenset[str]]
    titles: frozenset[str]
    dates: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()
    in_afghanistan: bool = False
    ranks: frozenset[str] = frozenset()


@dataclass
class Evidence:
    """What speaks for, and what against, an item being the thing meant; and what is only worth knowing."""

    agree: list[str] = field(default_factory=list)
    differ: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    """Which sorts of evidence agree: name, alias, title, type, identifier, date, place."""

    def speaks_for(self, sort: str, words: str) -> None:
        self.agree.append(words)
        self.kinds.add(sort)


class Ours:
    """Reads things from a dataset and its mapping set."""

    def __init__(self, index: Index, search: Search, rows: Iterable[Row]) -> None:
        self.index = index
        self._search = search
        self._rows: dict[str, list[Row]] = {}
        for row in rows:
            self._rows.setdefault(row.subject, []).append(row)
        self._rsm = index.dataset.iri("ontology#")

    def rows(self, iri: str) -> list[Row]:
        """Return the rows of the mapping set about a thing."""
        return self._rows.get(iri, [])

    def items(self, iri: str) -> list[str]:
        """Return the Wikidata items that a thing is linked to (``Q183``)."""
        return [row.object.removeprefix(VOCABULARIES["wd"]) for row in self.rows(iri) if _is_item(row.object)]

    def thing(self, iri: str) -> Thing:
        """Return what is known of a thing, or of a term of the ontology."""
        kind = iri.removeprefix(self.index.dataset.iri("id/")).partition("/")[0] if "/id/" in iri else "term"
        classes = frozenset(t.removeprefix(self._rsm) for t in self.index.types(iri))
        names = {name for name in self._search.names_of(iri) if not name.startswith(("http://", "https://"))}
        labels = {str(v.value) for v in self.index.values(iri, RDFS_LABEL)}
        identifiers = {
            name: frozenset(self._literals(iri, prop))
            for name, prop in (("iso2", "iso2"), ("iso3", "iso3"), ("m49", "m49"), ("icao", "icaoCode"))
        }
        objects = [row.object for row in self.rows(iri)]
        identifiers["geonames"] = frozenset(
            target.removeprefix(_GEONAMES).strip("/") for target in objects if target.startswith(_GEONAMES)
        )
        titles = frozenset(
            target.removeprefix(_WIKIPEDIA).replace("_", " ") for target in objects if target.startswith(_WIKIPEDIA)
        )
        ranks = {
            item
            for tenure in self._subjects(iri, "holder")
            for rank in self.index.values(tenure, self._rsm + "rank")
            for item in self.items(str(rank.value))
        }
        return Thing(
            iri, kind, classes, self.index.label(iri), frozenset(names | labels), identifiers, titles,
            self._dates(iri), self._points(iri), self._in_afghanistan(iri), frozenset(ranks),
        )  # fmt: skip

    def compare(self, thing: Thing, item: Item, remote: Wikidata, *, strict: bool = True) -> Evidence:
        """Return the evidence whether ``item`` is ``thing``.

        With ``strict`` (exact matches), a name or an identifier that differs speaks against it. Raises as
        :meth:`Wikidata.is_a`.
        """
        found = Evidence()
        _compare_names(thing, item, found, strict)
        _compare_identifiers(thing, item, found, strict)
        if "wikimedia disambiguation page" in item.description.casefold():
            found.differ.append("it is a disambiguation page")
        self._compare_type(thing, item, remote, found)
        theirs = {v.text for prop in ("P580", "P571", "P585", "P577") for v in item.values(prop) if isinstance(v, Date)}
        same = next((a for a in thing.dates for b in sorted(theirs) if a.startswith(b) or b.startswith(a)), "")
        if same:
            found.speaks_for("date", f"its date is {same} too")
        elif thing.dates and theirs:
            found.notes.append(f"its dates are {', '.join(sorted(theirs)[:3])}, ours {', '.join(thing.dates[:3])}")
        points = [v for v in item.values("P625") if isinstance(v, Point)]
        if points and thing.points:
            gap = min(kilometres(a, b) for a in points for b in thing.points)
            if gap > FAR:
                found.differ.append(f"its point lies {gap:,.0f} km away")
            else:
                found.speaks_for("place", f"its point lies {gap:,.0f} km away")
        others = [v for v in item.values("P1889") if isinstance(v, str)]
        rivals = [other for other in others if other in self.items(thing.iri)]
        if rivals and strict:
            found.differ.append(f"it is declared different from {', '.join(rivals)}, which {thing.label} is linked to")
        elif others:
            found.notes.append(f"declared different from {', '.join(others[:6])}")
        return found

    def _compare_type(self, thing: Thing, item: Item, remote: Wikidata, found: Evidence) -> None:
        human = HUMAN in item.values("P31")
        if thing.kind == "person":
            born = sorted(v.text for v in item.values("P569") if isinstance(v, Date))
            if not human:
                found.differ.append("it is no human")
            elif born and born[0] < _BORN:
                found.differ.append(f"born in {born[0][:4]}")
            else:
                found.speaks_for("type", "it is a human")
            if thing.ranks.intersection(v for v in item.values("P410") if isinstance(v, str)):
                found.speaks_for("rank", "its military rank is one of ours")
            return
        if human:
            found.differ.append("it is a human")
        for name, root in CLASSES.items():
            if name in thing.classes:
                below = remote.is_a(item.id, root)
                if below:
                    found.speaks_for("type", f"it is an instance of {root}")
                elif below is False:
                    found.differ.append(f"it is no instance of {root}")
        countries = [v for v in item.values("P17") if isinstance(v, str)]
        if thing.in_afghanistan and countries:
            if AFGHANISTAN in countries:
                found.speaks_for("type", "it lies in Afghanistan")
            else:
                found.differ.append(f"it lies in {', '.join(countries[:3])}, not in {AFGHANISTAN}")

    def _literals(self, iri: str, prop: str) -> list[str]:
        return [str(v.value) for v in self.index.values(iri, self._rsm + prop)]

    def _subjects(self, iri: str, prop: str) -> list[str]:
        found = self.index.mentioning(iri)
        return [str(s.subject.value) for s in found if s.predicate == self._rsm + prop and s.accepted]

    def _dates(self, iri: str) -> tuple[str, ...]:
        dates = [d for prop in ("startDate", "date") for d in self._literals(iri, prop)]
        for event in self._subjects(iri, "concerns"):
            if self._rsm + "Adoption" in self.index.types(event) or self._rsm + "Signature" in self.index.types(event):
                dates += self._literals(event, "date")
        return tuple(dict.fromkeys(dates))

    def _points(self, iri: str) -> tuple[Point, ...]:
        geo = VOCABULARIES["geo"]
        found = []
        for geometry in self.index.values(iri, geo + "hasDefaultGeometry"):
            for wkt in self.index.values(str(geometry.value), geo + "asWKT"):
                if at := point(str(wkt.value)):
                    found.append(Point(latitude=at[1], longitude=at[0]))
        return tuple(found)

    def _in_afghanistan(self, iri: str) -> bool:
        country = self.index.dataset.iri("id/place/afghanistan")
        seen, pending = set[str](), [iri]
        while pending:
            place = pending.pop()
            if place not in seen:
                seen.add(place)
                pending += [str(v.value) for v in self.index.values(place, self._rsm + "within")]
        return country in seen and iri != country


def _compare_names(thing: Thing, item: Item, found: Evidence, strict: bool) -> None:
    ours = {fold(name) for name in thing.names}
    if item.wikipedia and item.wikipedia in thing.titles:
        found.speaks_for("title", f"its article is {item.wikipedia}")
    if fold(item.label) in ours:
        found.speaks_for("name", f"its label is {item.label}")
        return
    shared = sorted(name for name in item.names if fold(name) in ours)
    if shared:
        found.speaks_for("alias", f"it is called {shared[0]} too")
        return
    near = max((similarity(fold(name).split(), other.split(), len) for name in item.names for other in ours), default=0)
    words = f"no name in common; it is called {item.label or 'nothing in English'}"
    if near >= 0.85 or not strict:
        found.notes.append(words)
    else:
        found.differ.append(words)


def _compare_identifiers(thing: Thing, item: Item, found: Evidence, strict: bool) -> None:
    for prop, name in IDENTIFIERS.items():
        ours = thing.identifiers.get(name, frozenset())
        theirs = {v for v in item.values(prop) if isinstance(v, str)}
        if ours & theirs:
            found.speaks_for("identifier", f"{prop} is {min(ours & theirs)}")
        elif ours and theirs:
            words = f"{prop} is {', '.join(sorted(theirs)[:3])}, ours {', '.join(sorted(ours))}"
            (found.differ if strict else found.notes).append(words)


def kilometres(a: Point, b: Point) -> float:
    """Return the distance of two points on the globe (haversine formula)."""
    lat_a, lat_b = math.radians(a.latitude), math.radians(b.latitude)
    half = math.sin((lat_b - lat_a) / 2) ** 2
    half += math.cos(lat_a) * math.cos(lat_b) * math.sin(math.radians(b.longitude - a.longitude) / 2) ** 2
    return 2 * 6371.0 * math.asin(math.sqrt(min(1.0, half)))


def _is_item(target: str) -> bool:
    return target.startswith(VOCABULARIES["wd"])
