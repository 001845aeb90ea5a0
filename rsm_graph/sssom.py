"""Reads the mapping set, ``data/mappings.sssom.tsv`` (SSSOM 1.0), through a gate, and turns it into triples.

The gate is ours because the SSSOM tools let faulty rows through in silence: an empty justification, a misspelt
predicate, an impossible item number, a row too short.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pyoxigraph as ox

from rsm_graph.errors import InputError
from rsm_graph.namespaces import DEFAULT_BASE, RDF_TYPE, VOCABULARIES, XSD

MAPPINGS = "mappings.sssom.tsv"
CHECKED = "mappings.checked.tsv"
"""The names of the mapping set, and of what the last check of its links saw."""

PREDICATES = (
    "skos:exactMatch",
    "skos:closeMatch",
    "skos:broadMatch",
    "skos:narrowMatch",
    "skos:relatedMatch",
    "foaf:page",
)
"""The closed list of predicates; ``owl:sameAs`` is not on it, for it would import every statement of the other side."""

JUSTIFICATIONS = (
    "ManualMappingCuration",
    "MappingReview",
    "CompositeMatching",
    "LexicalMatching",
    "UnspecifiedMatching",
)
"""The mapping justifications (SEMAPV) in use."""

REQUIRED = (
    "subject_id",
    "predicate_id",
    "object_id",
    "mapping_justification",
    "confidence",
    "author_label",
    "mapping_date",
    "object_label",
)
_WIKIDATA = VOCABULARIES["wd"]
_SHAPES_OF_OBJECTS = {
    "http://www.wikidata.org/": re.compile(r"http://www\.wikidata\.org/entity/Q[1-9][0-9]*"),
    "https://sws.geonames.org/": re.compile(r"https://sws\.geonames\.org/[1-9][0-9]*/"),
}
"""How the objects of well-known targets look; the commonest faults are the page's address and the property's number."""

CONFIRMED, CONTRADICTED, UNREACHABLE = STATES = ("confirmed", "contradicted", "unreachable")
"""The three states of a link: it leads to the thing meant; something speaks against it; nobody could tell."""


@dataclass(frozen=True)
class Check:
    """What a check of one link saw, as the columns of its row: texts, empty where nothing was seen."""

    subject_id: str
    predicate_id: str
    object_id: str
    state: str
    findings: str
    object_label: str
    object_description: str
    revision: str
    modified: str
    checked_on: str

    @property
    def link(self) -> tuple[str, str, str]:
        """The row of the mapping set that was checked: subject, predicate and object as written there."""
        return self.subject_id, self.predicate_id, self.object_id


CHECKS = tuple(column.name for column in fields(Check))
"""Columns of the file beside the mapping set in which ``rsm-graph link check`` writes what it saw."""


@dataclass(frozen=True)
class Mapping:
    """One row: ``subject``, ``predicate`` and ``object`` as whole IRIs, ``cells`` as they were read."""

    subject: str
    predicate: str
    object: str
    cells: dict[str, str]


def read(path: Path, base_iri: str = DEFAULT_BASE) -> tuple[Mapping, ...]:
    """Return the rows of an SSSOM/TSV file, subjects re-based to ``base_iri``.

    Raises :class:`InputError` naming file, line and cell for whatever the gate does not let through: a required
    cell that is empty, a predicate or justification outside the closed lists, a prefix that the header does not
    declare, an object that is no identifier of its target, a confidence outside 0 to 1, a row given twice, a row
    with more or fewer cells than the header.
    """
    try:
        text = path.read_text(encoding="utf-8").replace(DEFAULT_BASE, base_iri)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    lines = text.splitlines()
    header = [line for line in lines if line.startswith("#")]
    curies = curie_map(text)
    rows = list(
        csv.reader((line for line in lines if not line.startswith("#")), delimiter="\t", quoting=csv.QUOTE_NONE)
    )
    if not rows:
        raise InputError(f"{path}: holds no table.", "The first line after the header names the columns.")
    columns, found = rows[0], dict[tuple[str, str, str], Mapping]()
    for number, row in enumerate(rows[1:], start=len(header) + 2):
        mapping = _mapping(columns, row, curies, f"{path}:{number}")
        key = (mapping.subject, mapping.predicate, mapping.object)
        if key in found:
            raise InputError(f"{path}:{number}: this mapping stands in an earlier row as well.", "Keep one of the two.")
        found[key] = mapping
    return tuple(found.values())


def read_checks(path: Path) -> tuple[Check, ...]:
    """Return what the last check of the links saw.

    Raises :class:`InputError` naming file and line for a row that is no such thing.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    rows = list(csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows or tuple(rows[0]) != CHECKS:
        raise InputError(f"{path}: its columns are not {', '.join(CHECKS)}.", "Run `rsm-graph link check` again.")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(CHECKS) or Check(*row).state not in STATES:
            raise InputError(f"{path}:{number}: no row of a check.", "Run `rsm-graph link check` again.")
    return tuple(Check(*row) for row in rows[1:])


def triples(mappings: Iterable[Mapping], base_iri: str, checks: Iterable[Check] = ()) -> Iterator[ox.Triple]:
    """Return each mapping as a plain triple, with ``schema:sameAs`` beside the exact matches of individuals.

    Each mapping is described as well, as a ``sssom:Mapping`` named ``{base}graph/links#…``, so that a query finds
    its justification, and what the last check of the link saw, if there was one. Concepts (``id/concept/``) get no
    ``schema:sameAs``: they are classes of things elsewhere.
    """
    seen = {check.link: check for check in checks}
    same_as = ox.NamedNode(VOCABULARIES["schema"] + "sameAs")
    for mapping in mappings:
        subject, target = ox.NamedNode(mapping.subject), ox.NamedNode(mapping.object)
        yield ox.Triple(subject, ox.NamedNode(mapping.predicate), target)
        exact = mapping.predicate == VOCABULARIES["skos"] + "exactMatch"
        if exact and not mapping.subject.startswith(f"{base_iri}id/concept/"):
            yield ox.Triple(subject, same_as, target)
        cells = mapping.cells
        yield from _description(
            mapping, base_iri, seen.get((cells["subject_id"], cells["predicate_id"], cells["object_id"]))
        )


def _description(mapping: Mapping, base_iri: str, check: Check | None) -> Iterator[ox.Triple]:
    key = re.sub(r"[^A-Za-z0-9.-]+", "-", f"{mapping.cells['subject_id']}-{mapping.cells['object_id']}")
    node = ox.NamedNode(f"{base_iri}graph/links#{key}")
    justification = mapping.cells["mapping_justification"].removeprefix("semapv:")
    values: dict[str, ox.NamedNode | ox.Literal] = {
        "subject_id": ox.NamedNode(mapping.subject),
        "predicate_id": ox.NamedNode(mapping.predicate),
        "object_id": ox.NamedNode(mapping.object),
        "mapping_justification": ox.NamedNode(VOCABULARIES["semapv"] + justification),
        "confidence": ox.Literal(str(float(mapping.cells["confidence"])), datatype=ox.NamedNode(XSD + "decimal")),
        "mapping_date": ox.Literal(mapping.cells["mapping_date"], datatype=ox.NamedNode(XSD + "date")),
    }
    texts = ("author_label", "object_label", "mapping_source", "comment")
    values |= {name: ox.Literal(mapping.cells[name]) for name in texts if mapping.cells.get(name)}
    yield ox.Triple(node, ox.NamedNode(RDF_TYPE), ox.NamedNode(VOCABULARIES["sssom"] + "Mapping"))
    for slot, value in values.items():
        yield ox.Triple(node, ox.NamedNode(VOCABULARIES["sssom"] + slot), value)
    yield from _seen(node, check, f"{base_iri}ontology#")


def _seen(node: ox.NamedNode, check: Check | None, rsm: str) -> Iterator[ox.Triple]:
    """Return the state of a link: unchecked until somebody has looked, and reached the other side."""
    looked = check if check and check.state in (CONFIRMED, CONTRADICTED) else None
    yield ox.Triple(node, ox.NamedNode(rsm + "linkState"), ox.Literal(looked.state if looked else "unchecked"))
    if looked:
        schema = VOCABULARIES["schema"]
        values = (
            (rsm + "checkedOn", ox.Literal(looked.checked_on, datatype=ox.NamedNode(XSD + "date"))),
            (rsm + "linkFinding", ox.Literal(looked.findings, language="en")),
            (schema + "description", ox.Literal(looked.object_description, language="en")),
            (schema + "version", ox.Literal(looked.revision)),
        )
        yield from (ox.Triple(node, ox.NamedNode(name), value) for name, value in values if value.value)


def curie_map(text: str) -> dict[str, str]:
    """Return the prefixes that the header of an SSSOM/TSV file declares with their IRIs.

    The header is YAML behind ``#``; ``curie_map`` is a key there with indented lines ``prefix: IRI`` under it.
    """
    found: dict[str, str] = {}
    inside = False
    for line in text.splitlines():
        if line.startswith("#"):
            content = line.lstrip("#")
            entry = re.fullmatch(r"\s+([\w.-]+):\s+\"?([^\"\s]+)\"?\s*", content) if inside else None
            if entry:
                found[entry[1]] = entry[2]
            elif content.strip():
                inside = content.strip() == "curie_map:"
    return found


def _mapping(columns: list[str], row: list[str], curies: dict[str, str], place: str) -> Mapping:
    if len(row) != len(columns):
        raise InputError(f"{place}: {len(row)} cells where the header has {len(columns)}.", "Mind the tabs.")
    cells = dict(zip(columns, row, strict=True))
    for name in REQUIRED:
        if not cells.get(name, "").strip():
            raise InputError(
                f"{place}: {name} is empty.", "Every mapping needs it; leave out the row if it is unknown."
            )
    if cells["predicate_id"] not in PREDICATES:
        raise InputError(f"{place}: predicate_id is {cells['predicate_id']!r}.", f"Known: {', '.join(PREDICATES)}.")
    if cells["mapping_justification"].removeprefix("semapv:") not in JUSTIFICATIONS:
        raise InputError(
            f"{place}: mapping_justification is {cells['mapping_justification']!r}.",
            f"Known: {', '.join('semapv:' + name for name in JUSTIFICATIONS)}.",
        )
    try:
        in_range = 0 <= float(cells["confidence"]) <= 1
    except ValueError:
        in_range = False
    if not in_range:
        raise InputError(f"{place}: confidence is {cells['confidence']!r}.", "It is a number from 0 to 1.")
    subject, predicate, target = (
        _expand(cells[name], curies, place) for name in ("subject_id", "predicate_id", "object_id")
    )
    for start, form in _SHAPES_OF_OBJECTS.items():
        if target.startswith(start) and not form.fullmatch(target):
            raise InputError(f"{place}: <{target}> is no identifier of {start}.", f"It looks like {form.pattern}.")
    if "wikidata.org" in target and not target.startswith(_WIKIDATA):
        raise InputError(f"{place}: <{target}> is a page.", f"Link to the entity, {_WIKIDATA}Q….")
    return Mapping(subject, predicate, target, cells)


def _expand(curie: str, curies: dict[str, str], place: str) -> str:
    prefix, colon, local = curie.partition(":")
    if local.startswith("//"):
        return curie
    if not colon or prefix not in curies:
        raise InputError(f"{place}: the prefix of {curie!r} is not in curie_map.", "Declare it in the header.")
    return curies[prefix] + local
