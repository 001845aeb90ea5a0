"""Looks at every linked Wikidata item: is it there, is it still the thing meant, and since which revision."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import date
from pathlib import Path

from rsm_graph.errors import RemoteError
from rsm_graph.links import files
from rsm_graph.links.ours import Evidence, Ours
from rsm_graph.links.wikidata import Item, Progress, Wikidata
from rsm_graph.namespaces import VOCABULARIES
from rsm_graph.sssom import CHECKS, CONFIRMED, CONTRADICTED, UNREACHABLE, Check, Mapping, read_checks


@dataclass(frozen=True)
class Outcome:
    """What a check saw: a verdict for every link, in the order of the mapping set."""

    checks: tuple[Check, ...]

    @property
    def counts(self) -> Counter[str]:
        """Number of links by state."""
        return Counter(check.state for check in self.checks)

    def summary(self) -> str:
        """Return the outcome in a sentence."""
        counts = self.counts
        return (
            f"{len(self.checks)} links to Wikidata: {counts[CONFIRMED]} confirmed, {counts[CONTRADICTED]} "
            f"contradicted, {counts[UNREACHABLE]} unreachable."
        )


def check(
    ours: Ours, rows: Iterable[Mapping], remote: Wikidata, today: date, progress: Progress | None = None
) -> Outcome:
    """Return what Wikidata says of the linked items among ``rows`` now.

    Raises :class:`RemoteError` when not one of them could be reached.
    """
    links = [row for row in rows if row.object.startswith(VOCABULARIES["wd"])]
    checks, fault = list[Check](), None
    for number, row in enumerate(links, start=1):
        if progress:
            progress(number, len(links), f"{row.cells['subject_id']} {row.cells['object_id']}")
        try:
            checks.append(_one(ours, row, remote, today))
        except RemoteError as error:
            fault = fault or error
            checks.append(_verdict(row, UNREACHABLE, [error.message], None, today))
    if fault and all(one.state == UNREACHABLE for one in checks):
        raise RemoteError(f"None of {len(checks)} links could be checked: {fault.message}", fault.remedy)
    return Outcome(tuple(checks))


def _one(ours: Ours, row: Mapping, remote: Wikidata, today: date) -> Check:
    item = remote.item(row.object.removeprefix(VOCABULARIES["wd"]))
    if item is None:
        return _verdict(row, CONTRADICTED, ["there is no such item (any more)"], None, today)
    if item.redirected:
        words = f"it was merged into {item.id} ({item.label})"
        return _verdict(row, CONTRADICTED, [words], item, today)
    predicate = row.predicate.removeprefix(VOCABULARIES["skos"])
    if predicate in ("broadMatch", "narrowMatch", "relatedMatch"):
        # The item is another thing by intention: that it is there is all that can be checked.
        return _verdict(row, CONFIRMED, [f"it is called {item.label}"], item, today)
    evidence = ours.compare(ours.thing(row.subject), item, remote, strict=predicate == "exactMatch")
    state = CONTRADICTED if evidence.differ else CONFIRMED
    return _verdict(row, state, _words(evidence), item, today)


def _words(evidence: Evidence) -> Sequence[str]:
    return [*evidence.differ, *evidence.agree, *evidence.notes]


def _verdict(row: Mapping, state: str, findings: Iterable[str], item: Item | None, today: date) -> Check:
    return Check(
        subject_id=row.cells["subject_id"],
        predicate_id=row.cells["predicate_id"],
        object_id=row.cells["object_id"],
        state=state,
        findings="; ".join(findings),
        object_label=item.label if item else "",
        object_description=item.description if item else "",
        revision=str(item.revision or "") if item else "",
        modified=item.modified if item else "",
        checked_on=today.isoformat(),
    )


def write(outcome: Outcome, path: Path) -> None:
    """Write what was seen beside the mapping set; what could not be reached keeps an earlier verdict.

    Raises :class:`InputError` when the file cannot be written.
    """
    earlier = {one.link: one for one in read_checks(path)} if path.exists() else {}
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
    writer.writerow(CHECKS)
    for one in outcome.checks:
        kept = earlier.get(one.link, one) if one.state == UNREACHABLE else one
        writer.writerow([" ".join(cell.split()) for cell in astuple(kept)])
    files.replace(path, out.getvalue(), read_checks)
