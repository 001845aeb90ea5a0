"""Describes a release in DCAT 3, VoID and PROV: what it holds, how much, under which licence, where to fetch it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import pyoxigraph as ox

from rsm_graph import __version__, derive, formats
from rsm_graph.dataset import Dataset
from rsm_graph.namespaces import RDF_TYPE, VOCABULARIES, prefixes, shorten
from rsm_graph.reports import Report

LINK_PREDICATES = frozenset(
    VOCABULARIES["skos"] + name for name in ("exactMatch", "closeMatch", "broadMatch", "narrowMatch", "relatedMatch")
)
"""Predicates of the links that make a linkset."""

_SHARED = ("title", "description", "creator", "publisher", "license", "issued", "modified")
"""What a release has in common with the dataset it is a version of."""

_MEDIA_TYPES = "https://www.iana.org/assignments/media-types/"


def describe(dataset: Dataset) -> Dataset:
    """Return ``dataset`` with the description of this release added to its graph ``graph/dataset``.

    The counts are those of the finished dataset, the description itself included. The release hash covers every
    graph but this one (a graph cannot hold the hash of itself).
    """
    bare = dataset.with_graph("graph/dataset", ())
    written = {quad.triple for quad in dataset.graphs.get(dataset.iri("graph/dataset"), ())}
    written |= set(derive.describe_rules(dataset))
    others = set(bare.default_triples)
    counted = _Counts.of(others)
    described = written
    while True:  # the counts are part of what they count: describe, count, and describe again until they agree
        counts = counted.and_those_of(described - others)
        again = written | set(_parse(_release(dataset, written, counts, len(bare.graphs) + 1, bare.hash), dataset))
        if again == described:
            return dataset.with_graph("graph/dataset", described)
        described = again


@dataclass(frozen=True)
class _Counts:
    """What VoID counts of a set of triples."""

    triples: int
    subjects: frozenset[object]
    objects: frozenset[object]
    classes: Counter[str]
    properties: Counter[str]
    links: Counter[tuple[str, str]]
    """Triples by predicate and host, of the mapping predicates."""

    @classmethod
    def of(cls, triples: Collection[ox.Triple]) -> _Counts:
        return cls(
            len(triples),
            frozenset(t.subject for t in triples),
            frozenset(t.object for t in triples),
            Counter(t.object.value for t in triples if t.predicate.value == RDF_TYPE),
            Counter(t.predicate.value for t in triples),
            Counter(
                (t.predicate.value, t.object.value.split("/")[2])
                for t in triples
                if t.predicate.value in LINK_PREDICATES
                and isinstance(t.object, ox.NamedNode)
                and "//" in t.object.value
            ),
        )

    def and_those_of(self, triples: Collection[ox.Triple]) -> _Counts:
        """Return the counts of these and of further triples, none of which is among these."""
        more = _Counts.of(triples)
        return _Counts(
            self.triples + more.triples,
            self.subjects | more.subjects,
            self.objects | more.objects,
            self.classes + more.classes,
            self.properties + more.properties,
            self.links + more.links,
        )


def release_iri(dataset: Dataset) -> str:
    """Return the IRI of this release of the dataset, ``{base}id/dataset/rsm/{version}``."""
    return dataset.iri(f"id/dataset/rsm/{__version__}")


def checksums(dataset: Dataset, files: Iterable[tuple[str, int, str]]) -> list[ox.Triple]:
    """Return size and SHA-256 of each distribution (name, bytes, hexadecimal digest) as DCAT and SPDX triples."""
    lines = []
    for name, size, digest in files:
        node = dataset.iri(f"dataset#{name}")
        lines.append(
            f'<{node}> dcat:byteSize "{size}"^^xsd:nonNegativeInteger ; spdx:checksum <{node}-checksum> .'
            f"<{node}-checksum> a spdx:Checksum ; spdx:algorithm spdx:checksumAlgorithm_sha256 ;"
            f' spdx:checksumValue "{digest}"^^xsd:hexBinary .'
        )
    return _parse(lines, dataset)


def of_report(dataset: Dataset, report: Report, day: date) -> list[ox.Triple]:
    """Return what a validation report is about: day, release, its hash, the validators, the checks of each constraint.

    The counts are quality measurements (Data Quality Vocabulary).
    """
    node, dqv = dataset.iri("validation"), "http://www.w3.org/ns/dqv#"
    lines = [
        f'<{node}> dcterms:issued "{day}"^^xsd:date ; prov:used <{release_iri(dataset)}> ;'
        f" spdx:checksum <{node}#checked> ; rdfs:comment {ox.Literal(report.summary(), language='en')} .",
        f"<{node}#checked> a spdx:Checksum ; spdx:algorithm spdx:checksumAlgorithm_sha256 ;"
        f' spdx:checksumValue "{report.data_hash}"^^xsd:hexBinary .',
        f'<{node}#checks> a <{dqv}Metric> ; rdfs:label "Checks of a constraint"@en ; skos:definition'
        ' "How many nodes the constraint was tried on; one for a check of the whole dataset."@en .',
    ]
    for number, validator in enumerate(report.validators, start=1):
        lines.append(
            f"<{node}> prov:wasAttributedTo <{node}#validator-{number}> ."
            f"<{node}#validator-{number}> a prov:SoftwareAgent ; rdfs:label {ox.Literal(validator, language='en')} ."
        )
    for constraint in report.constraints.values():
        lines.append(
            f"<{node}#checks-{constraint.name}> a <{dqv}QualityMeasurement> ; <{dqv}isMeasurementOf> <{node}#checks> ;"
            f" <{dqv}computedOn> <{release_iri(dataset)}> ; dcterms:subject <{constraint.iri}> ;"
            f" <{dqv}value> {report.checks.get(constraint.iri, 0)} ."
        )
    return _parse(lines, dataset)


def _parse(lines: Iterable[str], dataset: Dataset) -> list[ox.Triple]:
    head = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in prefixes(dataset.base_iri).items())
    text = head + "\n".join(lines)
    return [quad.triple for quad in formats.parse(text.encode(), formats.by_name("ttl"), "description of the release")]


def _release(
    dataset: Dataset, written: Collection[ox.Triple], counts: _Counts, graphs: int, content_hash: str
) -> Iterator[str]:
    release, part = release_iri(dataset), dataset.iri("dataset#")
    count = 'void:{} "{}"^^xsd:nonNegativeInteger'.format
    entities = sum(getattr(subject, "value", "").startswith(dataset.iri("id/")) for subject in counts.subjects)
    shared = {VOCABULARIES["dcterms"] + name for name in _SHARED}
    for triple in written:
        if triple.subject.value == dataset.iri("id/dataset/rsm") and triple.predicate.value in shared:
            yield f"<{release}> {triple.predicate} {triple.object} ."
    yield f"""<{release}> a dcat:Dataset, void:Dataset, prov:Entity ;
      rdfs:label "Release {__version__}"@en, "Version {__version__}"@fr ; dcat:version "{__version__}" ;
      dcat:isVersionOf dataset:rsm ;
      void:uriSpace "{dataset.iri("id/")}" ; void:sparqlEndpoint <{dataset.iri("sparql")}> ;
      void:exampleResource <{dataset.iri("id/mission/rsm")}> ;
      {count("triples", counts.triples)} ; {count("entities", entities)} ;
      {count("classes", len(counts.classes))} ; {count("properties", len(counts.properties))} ;
      {count("distinctSubjects", len(counts.subjects))} ; {count("distinctObjects", len(counts.objects))} ;
      {count("documents", graphs)} ;
      spdx:checksum <{part}checksum> .
    dataset:rsm dcat:hasVersion <{release}> ; dcat:hasCurrentVersion <{release}> .
    <{part}checksum> a spdx:Checksum ; spdx:algorithm spdx:checksumAlgorithm_sha256 ;
      spdx:checksumValue "{content_hash}"^^xsd:hexBinary ;
      rdfs:comment "Of the canonical N-Quads (RDFC-1.0, sorted) of every graph but this one."@en ."""
    names = prefixes(dataset.base_iri)
    used = {shorten(iri, names).partition(":")[0] for iri in counts.properties}
    for name in sorted(used & VOCABULARIES.keys()):
        yield f"<{release}> void:vocabulary <{VOCABULARIES[name]}> ."
    for iri, number in sorted(counts.classes.items()):
        yield _partition(release, part, "classPartition", "class", iri, count("entities", number), names)
    for iri, number in sorted(counts.properties.items()):
        yield _partition(release, part, "propertyPartition", "property", iri, count("triples", number), names)
    for (predicate, host), number in sorted(counts.links.items()):
        if dataset.base_iri.split("/")[2] != host:
            yield _linkset(release, part, shorten(predicate, names), host, count("triples", number))
    for fmt in (*formats.TRIPLES, *formats.QUADS):
        for encoding in (None, *formats.ENCODINGS):
            yield _distribution(dataset, release, fmt, encoding)


def _partition(release: str, part: str, kind: str, of: str, iri: str, figure: str, names: dict[str, str]) -> str:
    """Return the partition of one class or property (VoID, 4.5); one without a prefixed name gets none."""
    name = shorten(iri, names)
    node = f"{part}{of}-{name.replace(':', '-', 1)}"
    return f"<{release}> void:{kind} <{node}> . <{node}> void:{of} <{iri}> ; {figure} ." if name != iri else ""


def _linkset(release: str, part: str, predicate: str, host: str, figure: str) -> str:
    """Return the ``void:Linkset`` of one predicate and one foreign host (VoID, 5)."""
    node = f"{part}{host}-{predicate.partition(':')[2]}"
    return (
        f"<{release}> void:subset <{node}> . <{node}> a void:Linkset ; void:linkPredicate {predicate} ;"
        f' rdfs:label "Links to {host}, {predicate}"@en ; void:subjectsTarget <{release}> ; {figure} .'
    )


def _distribution(dataset: Dataset, release: str, fmt: formats.Format, encoding: formats.Encoding | None) -> str:
    name, label, compressed = f"rsm-graph.{fmt.name}", fmt.label, ""
    if encoding:
        name, label = f"{name}.{encoding.ending}", f"{label} ({encoding.ending})"
        compressed = f" ; dcat:compressFormat <{_MEDIA_TYPES}{encoding.media_type}>"
    node = dataset.iri(f"dataset#{name}")
    return (
        f"<{release}> dcat:distribution <{node}> ; void:dataDump <{dataset.iri('download/' + name)}> ."
        f'<{node}> a dcat:Distribution ; rdfs:label "{label}"@en ;'
        f" dcat:accessURL <{dataset.iri('download/')}> ; dcat:downloadURL <{dataset.iri('download/' + name)}> ;"
        f" dcterms:license <https://creativecommons.org/licenses/by/4.0/> ;"
        f" dcat:mediaType <{_MEDIA_TYPES}{fmt.media_type}>{compressed} ."
    )
