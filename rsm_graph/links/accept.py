"""Adds a row to the mapping set: a person has looked, and says who and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rsm_graph import sssom
from rsm_graph.errors import InputError
from rsm_graph.links import files
from rsm_graph.links.ours import Ours
from rsm_graph.links.wikidata import ITEM
from rsm_graph.namespaces import DEFAULT_BASE, VOCABULARIES, shorten

EXACT = VOCABULARIES["skos"] + "exactMatch"


@dataclass(frozen=True)
class Decision:
    """What a person decided: ``subject`` (``mission/rsm`` or its IRI), ``item`` (``Q183``), who, why, how sure."""

    subject: str
    item: str
    label: str
    author: str
    reason: str
    predicate: str = "skos:exactMatch"
    confidence: float = 0.95


def accept(path: Path, ours: Ours, decision: Decision, today: date) -> str:
    """Add the row to the mapping set at ``path`` and return it; the file is replaced whole or not at all.

    Raises :class:`InputError` for a subject that does not exist, an item that is none, an exact match that either
    side has already, and for whatever the gate of the mapping set refuses.
    """
    base = ours.index.dataset.base_iri
    subject = decision.subject if decision.subject.startswith(base) else f"{base}id/{decision.subject}"
    if subject not in ours.index:
        raise InputError(f"There is no {decision.subject!r} in the dataset.", "Name it like mission/rsm.")
    if not ITEM.fullmatch(decision.item):
        raise InputError(f"{decision.item!r} is no Wikidata item.", "Items look like Q183.")
    for name in ("label", "author", "reason"):
        if not getattr(decision, name).strip():
            raise InputError(f"The {name} is empty.", "A link needs the label that was seen, who decided, and why.")
    rows = sssom.read(path, base)
    target = VOCABULARIES["wd"] + decision.item
    if decision.predicate == "skos:exactMatch":
        for row in rows:
            if row.predicate == EXACT and row.object == target and row.subject != subject:
                raise InputError(f"{decision.item} is the exact match of <{row.subject}> already.", "Use closeMatch.")
            same_side = row.object.startswith(VOCABULARIES["wd"]) and row.object != target
            if row.predicate == EXACT and row.subject == subject and same_side:
                raise InputError(f"{decision.subject} has the exact match <{row.object}> already.", "Use closeMatch.")
    text = path.read_text(encoding="utf-8")
    columns = next(line for line in text.splitlines() if not line.startswith("#")).split("\t")
    cells = {
        "subject_id": shorten(subject.replace(base, DEFAULT_BASE, 1), sssom.curie_map(text)),
        "subject_label": ours.index.label(subject),
        "predicate_id": decision.predicate,
        "object_id": f"wd:{decision.item}",
        "object_label": decision.label,
        "mapping_justification": "semapv:ManualMappingCuration",
        "confidence": f"{decision.confidence:g}",
        "author_label": decision.author,
        "mapping_date": today.isoformat(),
        "comment": decision.reason,
    }
    line = "\t".join(" ".join(cells.get(column, "").split()) for column in columns)
    files.replace(path, f"{text.rstrip(chr(10))}\n{line}\n", lambda fresh: sssom.read(fresh, base))
    return line
