"""Writes what this dataset knows of linked things and Wikidata does not, as QuickStatements 1 with references.

Only statements that stand in a passage whose document has an address are given: the reference is that address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyoxigraph as ox

from rsm_graph.describe import Statement
from rsm_graph.errors import RemoteError
from rsm_graph.links.ours import Ours
from rsm_graph.links.wikidata import Date, Item, Progress, Wikidata
from rsm_graph.namespaces import VOCABULARIES

_REFERENCE = "S854"
_PRECISION = {1: 9, 2: 10, 3: 11}
"""Of a date by its number of parts: 9 is a year, 10 a month, 11 a day."""

PROPERTIES = {
    "startDate": ("P580", "mission"),
    "endDate": ("P582", "mission"),
    "predecessor": ("P1365", "mission"),
    "date": ("P585", "event"),
    "within": ("P131", "place"),
    "icaoCode": ("P239", "place"),
    "headquarters": ("P159", "command"),
    "rank": ("P410", "person"),
}
"""Properties of ours that say the same as one of Wikidata's, for things of a kind."""


@dataclass(frozen=True)
class Line:
    """One statement to give: ``text`` is the line of QuickStatements, ``item`` what it is about."""

    item: str
    text: str


@dataclass(frozen=True)
class Left:
    """A statement that is not given, and why: Wikidata has another value, or could not be asked."""

    item: str
    reason: str


def export(
    ours: Ours, iris: Iterable[str], remote: Wikidata, progress: Progress | None = None
) -> Iterator[Line | Left]:
    """Yield a line for every statement that an exactly linked item lacks, and what was left out.

    A property that the item has with another value is left to people: sources differ, or we are wrong.
    """
    linked = [(iri, key) for iri in iris for key in exact_items(ours, iri)]
    for number, (iri, key) in enumerate(linked, start=1):
        if progress:
            progress(number, len(linked), key)
        given = list(_given(ours, iri))
        if not given:
            continue
        try:
            item = remote.item(key)
        except RemoteError as error:
            yield Left(key, error.message)
            continue
        if item is None or item.redirected:
            yield Left(key, "the item is gone; run `rsm-graph link check`")
            continue
        for prop, value, references in given:
            reason = _why_not(item, prop, value)
            if reason is None:
                yield Line(key, "\t".join([key, prop, _written(value), _REFERENCE, _quoted(references[0])]))
            elif reason:
                yield Left(key, reason)


def exact_items(ours: Ours, iri: str) -> list[str]:
    """Return the items that a thing is exactly matched with."""
    wd = VOCABULARIES["wd"]
    exact = VOCABULARIES["skos"] + "exactMatch"
    return [r.object.removeprefix(wd) for r in ours.rows(iri) if r.predicate == exact and r.object.startswith(wd)]


def _given(ours: Ours, iri: str) -> Iterator[tuple[str, str | Date, tuple[str, ...]]]:
    """Yield the statements about a thing that Wikidata has a property for, with the addresses that say so."""
    kind = iri.removeprefix(ours.index.dataset.iri("id/")).partition("/")[0]
    rsm = ours.index.dataset.iri("ontology#")
    statements = [(s.predicate.removeprefix(rsm), s) for s in ours.index.about(iri) if s.accepted]
    if kind == "person":
        tenures = [s for s in ours.index.mentioning(iri) if s.predicate == rsm + "holder" and s.accepted]
        ranks = [s for t in tenures for s in ours.index.about(str(t.subject.value)) if s.predicate == rsm + "rank"]
        statements += [("rank", s) for s in ranks if s.accepted]
    seen = set[tuple[str, str]]()
    for name, statement in statements:
        prop, of_kind = PROPERTIES.get(name, ("", ""))
        references = addresses(ours, statement)
        if of_kind != kind or not references:
            continue
        for value in _values(ours, statement):
            if (prop, str(value)) not in seen:
                seen.add((prop, str(value)))
                yield prop, value, references


def _values(ours: Ours, statement: Statement) -> Iterator[str | Date]:
    value = statement.object
    if isinstance(value, ox.Literal):
        yield Date(value.value) if re.fullmatch(r"\d{4}(-\d\d){0,2}", value.value) else value.value
        return
    reached = [str(value.value)]
    if statement.predicate.endswith("#headquarters"):
        places = ours.index.values(str(value.value), ours.index.dataset.iri("ontology#inPlace"))
        reached = [str(place.value) for place in places]
    for iri in reached:
        yield from exact_items(ours, iri)


def addresses(ours: Ours, statement: Statement) -> tuple[str, ...]:
    """Return the addresses of the documents whose accepted passages make a statement."""
    index = ours.index
    found: dict[str, None] = {}
    for graph in statement.graphs:
        if graph in index.dataset.excluded_graphs:
            continue
        for document in index.values(graph, VOCABULARIES["dcterms"] + "isPartOf"):
            for url in index.values(str(document.value), VOCABULARIES["schema"] + "url"):
                found[str(url.value)] = None
    return tuple(url for url in found if url.startswith(("http://", "https://")))


def _why_not(item: Item, prop: str, value: str | Date) -> str | None:
    """Return ``None`` for a statement that the item lacks, ``""`` for one that it has, else what it has instead."""
    theirs = item.values(prop)
    if not theirs:
        return None
    texts = {v.text if isinstance(v, Date) else str(v) for v in theirs}
    ours = value.text if isinstance(value, Date) else value
    if any(ours == text or (isinstance(value, Date) and text.startswith(ours)) for text in texts):
        return ""
    return f"{prop} is {', '.join(sorted(texts)[:3])} there, {ours} here"


def _written(value: str | Date) -> str:
    """Return a value as QuickStatements writes it."""
    if isinstance(value, Date):
        parts = value.text.split("-")
        whole = "-".join([*parts, "00", "00"][:3])
        return f"+{whole}T00:00:00Z/{_PRECISION[len(parts)]}"
    return value if re.fullmatch(r"Q[1-9]\d*", value) else _quoted(value)


def _quoted(text: str) -> str:
    clean = " ".join(text.replace('"', "'").split())
    return f'"{clean}"'
