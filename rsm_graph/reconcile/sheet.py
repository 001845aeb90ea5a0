"""Reconciles a list, or a column of a CSV file: who is meant, the Wikidata item, how sure, and why."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from rsm_graph.errors import InputError
from rsm_graph.namespaces import VOCABULARIES
from rsm_graph.reconcile.catalogue import Catalogue, Type
from rsm_graph.reconcile.matching import Candidate, Question, candidates

ADDED = ("iri", "wikidata", "score", "reason")
"""The columns that are added to a file; where it has one of that name, ``rsm_`` stands before ours."""

_TOGETHER = 1000
"""Rows that are looked up together; within them, what occurs twice is looked up once."""

_REASONS = {
    "label": "name",
    "code": "code",
    "identifier": "identifier",
    "name": "also called “{name}”",
    "translation": "in another language, “{name}”",
    "acronym": "initials of its name",
    "similar": "like “{name}”",
}


@dataclass(frozen=True, slots=True)
class Found:
    """What was found for one text; ``iri`` is empty unless one candidate stands clear."""

    text: str
    iri: str
    label: str
    wikidata: str
    score: float
    reason: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """How a file came out: rows, rows with a match, rows with several candidates, rows with none."""

    rows: int
    matched: int
    several: int
    none: int

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows: {self.matched:,} matched, {self.several:,} with candidates but no clear match, "
            f"{self.none:,} without candidates."
        )


def look_up(catalogue: Catalogue, texts: Iterable[str], types: Sequence[Type] = ()) -> Iterator[Found]:
    """Yield what each text names; what occurs twice is looked up once."""
    known: dict[str, Found] = {}
    for text in texts:
        name = text.strip()
        if name not in known:
            known[name] = _found(catalogue, name, tuple(types))
        yield known[name]


def _found(catalogue: Catalogue, text: str, types: tuple[Type, ...]) -> Found:
    listed = tuple(candidates(catalogue, Question(text, types)))
    if not listed:
        return Found(text, "", "", "", 0.0, "nothing like it" if text else "empty", ())
    best = listed[0]
    if best.match:
        items = " ".join(item.removeprefix(VOCABULARIES["wd"]) for item in catalogue.wikidata(best.iri))
        reason = _REASONS[best.reason].format(name=best.name)
        return Found(text, best.iri, best.label, items, best.score, reason, listed)
    near = "; ".join(f"{catalogue.key(c.iri)} ({c.score:g})" for c in listed[:3])
    return Found(text, "", "", "", best.score, f"no clear match: {near}", listed)


def reconcile_file(catalogue: Catalogue, path: Path, column: str, out: TextIO, types: Sequence[Type] = ()) -> Tally:
    """Copy a CSV file to ``out`` with :data:`ADDED` columns about one of its columns.

    The delimiter (comma, semicolon, tab) is recognised, and kept. Raises :class:`InputError` for a file that cannot
    be read, is no CSV in UTF-8, or has no such column, naming those it has.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).", "Check the name and the rights.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 (at byte {error.start}).", "Save it as CSV (UTF-8).") from error
    delimiter = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    try:
        header = next(reader, [])
        if column not in header:
            shown = ", ".join(header[:30]) or "none"
            raise InputError(f"{path}: no column {column!r}.", f"Its columns: {shown}.")
        place = header.index(column)
        writer.writerow([*header, *(f"rsm_{added}" if added in header else added for added in ADDED)])
        rows, matched, none = 0, 0, 0
        while chunk := list(islice(reader, _TOGETHER)):
            texts = [row[place] if place < len(row) else "" for row in chunk]
            for row, found in zip(chunk, look_up(catalogue, texts, types), strict=True):
                if len(row) > len(header):
                    raise InputError(
                        f"{path}: a row has {len(row)} cells, the header {len(header)}: {row[0][:40]!r} …",
                        "Put quotation marks around cells that hold the delimiter.",
                    )
                score = f"{found.score:g}" if found.candidates else ""
                padding = [""] * (len(header) - len(row))
                writer.writerow([*row, *padding, found.iri, found.wikidata, score, found.reason])
                rows, matched, none = rows + 1, matched + bool(found.iri), none + (not found.candidates)
    except csv.Error as error:
        raise InputError(
            f"{path}: not CSV near line {reader.line_num} ({error}).", "Save it as CSV (UTF-8)."
        ) from error
    return Tally(rows, matched, rows - matched - none, none)
