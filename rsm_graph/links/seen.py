"""What is known of the other side of a thing's links: for its page, which asks nobody."""

from __future__ import annotations

from dataclasses import dataclass

from rsm_graph.describe import Index
from rsm_graph.namespaces import VOCABULARIES

_ORDER = ("exactMatch", "closeMatch", "broadMatch", "narrowMatch", "relatedMatch", "page")


@dataclass(frozen=True, slots=True)
class Link:
    """One link: ``label`` and ``description`` as seen there, ``state`` confirmed, contradicted or unchecked.

    ``finding`` and ``checked_on`` are empty unless a check reached the other side.
    """

    target: str
    predicate: str
    label: str
    description: str
    confidence: float
    comment: str
    state: str
    finding: str
    checked_on: str


def links_of(index: Index, iri: str) -> tuple[Link, ...]:
    """Return the links that lead from a thing, exact matches first."""
    sssom, schema, rsm = VOCABULARIES["sssom"], VOCABULARIES["schema"], index.dataset.iri("ontology#")
    found = []
    for statement in index.mentioning(iri):
        if statement.predicate != sssom + "subject_id":
            continue
        cells = {s.predicate: str(s.object.value) for s in index.about(str(statement.subject.value))}
        found.append(
            Link(
                target=cells[sssom + "object_id"],
                predicate=cells[sssom + "predicate_id"],
                label=cells.get(sssom + "object_label", ""),
                description=cells.get(schema + "description", ""),
                confidence=float(cells.get(sssom + "confidence", "0")),
                comment=cells.get(sssom + "comment", ""),
                state=cells.get(rsm + "linkState", "unchecked"),
                finding=cells.get(rsm + "linkFinding", ""),
                checked_on=cells.get(rsm + "checkedOn", ""),
            )
        )
    return tuple(sorted(found, key=lambda link: (_rank(link.predicate), link.target)))


def _rank(predicate: str) -> int:
    name = predicate.rpartition("#")[2].rpartition("/")[2]
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)
