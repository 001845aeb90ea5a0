"""Proposes Wikidata items for things without a link, with scores and reasons. It never writes a link."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rsm_graph.errors import RemoteError
from rsm_graph.links.ours import Evidence, Ours, Thing
from rsm_graph.links.wikidata import Item, Progress, Wikidata

KINDS = ("mission", "command", "nation", "organization", "person", "place", "legal", "event")
"""Kinds of things for which items are looked for: those that a Wikidata item can be about."""

WEIGHTS = {"title": 40, "name": 25, "alias": 15, "type": 15, "identifier": 30, "date": 15, "place": 15, "rank": 10}
"""What each sort of agreement adds to a score."""

AGAINST = 40
"""What each contradiction takes from it."""

_CANDIDATES = 8
_NAMES = 3


@dataclass(frozen=True)
class Suggestion:
    """One candidate for one thing, ``score`` from 0 to 100."""

    subject: str
    label: str
    item: str
    item_label: str
    description: str
    score: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """A thing about which Wikidata could not be asked."""

    subject: str
    label: str
    reason: str


def without_link(ours: Ours, kinds: Iterable[str] = KINDS) -> list[str]:
    """Return the things of some kinds that have a label and no link to Wikidata."""
    wanted = {ours.index.dataset.iri(f"id/{kind}/") for kind in kinds}
    return [
        iri
        for iri in ours.index.things
        if any(iri.startswith(start) for start in wanted) and ours.index.label(iri) and not ours.items(iri)
        and "/geometry" not in iri
    ]  # fmt: skip


def suggest(
    ours: Ours, iris: Iterable[str], remote: Wikidata, *, most: int = 3, progress: Progress | None = None
) -> Iterator[Suggestion | Failure]:
    """Yield the best candidates for each thing, as they are found, and what could not be asked."""
    things = list(iris)
    for number, iri in enumerate(things, start=1):
        thing = ours.thing(iri)
        if progress:
            progress(number, len(things), thing.label)
        try:
            found = [_judged(ours, thing, item, remote) for item in _candidates(thing, remote)]
        except RemoteError as error:
            yield Failure(iri, thing.label, error.message)
            continue
        found.sort(key=lambda one: (-one.score, one.item))
        yield from [one for one in found if one.score > 0][:most]


def _candidates(thing: Thing, remote: Wikidata) -> Iterator[Item]:
    """Yield items by the title of the article first (it has one item at most), then by names."""
    keys: dict[str, None] = {}
    for title in sorted(thing.titles):
        if key := remote.by_title(title):
            keys[key] = None
    others = sorted((name for name in thing.names if name.isascii() and name != thing.label), key=len, reverse=True)
    for name in (thing.label, *[name for name in others if " " in name][: _NAMES - 1]):
        keys.update(dict.fromkeys(remote.by_label(name)))
    for key in list(keys)[:_CANDIDATES]:
        item = remote.item(key)
        if item is not None:
            yield item


def _judged(ours: Ours, thing: Thing, item: Item, remote: Wikidata) -> Suggestion:
    evidence = ours.compare(thing, item, remote)
    return Suggestion(
        thing.iri,
        thing.label,
        item.id,
        item.label,
        item.description,
        score(evidence),
        (*evidence.agree, *(f"but {words}" for words in evidence.differ), *evidence.notes),
    )


def score(evidence: Evidence) -> int:
    """Return the score of some evidence; a type or a date alone says nothing without a name, title or identifier."""
    if not evidence.kinds & {"title", "name", "alias", "identifier"}:
        return 0
    points = sum(WEIGHTS[sort] for sort in evidence.kinds) - AGAINST * len(evidence.differ)
    return max(0, min(100, points))
