"""Describes a release in DCAT 3, VoID and PROV: what it holds, how much, under which licence, where to fetch it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pyoxigraph as ox

from rsm_graph import __version__, derive, formats
from rsm_graph.dataset import Dataset
from rsm_graph.namespaces import RDF_TYPE, VOCABULARIES, prefixes, shorten

ENCODINGS = {"": "", "gz": "application/gzip", "zst": "application/zstd"}
"""File endings of the compressed variants, with the media type that ``dcat:compressFormat`` names."""

LINK_PREDICATES = ("skos:exactMatch", "skos:closeMatch", "skos:broadMatch", "skos:narrowMatch", "skos:relatedMatch")

_SHARED = ("title", "description", "creator", "publisher", "license", "issued", "modified")
"""What a release has in common with the dataset it is a version of."""

_MEDIA_TYPES = "https://www.iana.org/assignments/media-types/"


def describe(dataset: Dataset) -> Dataset:
    """Return ``dataset`` with the description of this release added to its graph ``graph/dataset``.

    The counts are those of the finished dataset, the description itself included. The release hash covers every
    graph but this one (a graph cannot hold the hash of itself).
    """
    bare = dataset.with_graph("graph/dataset", ())
    content, others, graphs = bare.hash, set(bare.default_triples), len(bare.graphs) + 1
    written = {quad.triple for quad in dataset.graphs.get(dataset.iri("graph/dataset"), ())}
    described = written | set(derive.describe_rules(dataset))
    while True:  # the counts are part of what they count: describe, count, and describe again until they agree
        lines = _release(dataset, others | described, graphs, content)
        again = written | set(derive.describe_rules(dataset)) | set(_parse(lines, dataset))
        if again == described:
            return dataset.with_graph("graph/dataset", described)
        described = again


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


def _parse(lines: Iterable[str], dataset: Dataset) -> list[ox.Triple]:
    head = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in prefixes(dataset.base_iri).items())
    text = head + "\n".join(lines)
    return [quad.triple for quad in formats.parse(text.encode(), formats.by_name("ttl"), "description of the release")]


def _release(dataset: Dataset, triples: set[ox.Triple], graphs: int, content_hash: str) -> Iterator[str]:
    release, part = release_iri(dataset), dataset.iri("dataset#")
    count = 'void:{} "{}"^^xsd:nonNegativeInteger'.format
    subjects = {t.subject for t in triples}
    entities = [s for s in subjects if s.value.startswith(dataset.iri("id/"))]
    classes = Counter(t.object.value for t in triples if t.predicate.value == RDF_TYPE)
    properties = Counter(t.predicate.value for t in triples)
    shared = {VOCABULARIES["dcterms"] + name for name in _SHARED}
    for triple in triples:
        if triple.subject.value == dataset.iri("id/dataset/rsm") and triple.predicate.value in shared:
            yield f"<{release}> {triple.predicate} {triple.object} ."
    yield f"""<{release}> a dcat:Dataset, void:Dataset, prov:Entity ;
      rdfs:label "Release {__version__}"@en, "Version {__version__}"@fr ; dcat:version "{__version__}" ;
      dcat:isVersionOf dataset:rsm ;
      void:uriSpace "{dataset.iri("id/")}" ; void:sparqlEndpoint <{dataset.iri("sparql")}> ;
      void:exampleResource <{dataset.iri("id/mission/rsm")}> ;
      {count("triples", len(triples))} ; {count("entities", len(entities))} ;
      {count("classes", len(classes))} ; {count("properties", len(properties))} ;
      {count("distinctSubjects", len(subjects))} ; {count("distinctObjects", len({t.object for t in triples}))} ;
      {count("documents", graphs)} ;
      spdx:checksum <{part}checksum> .
    dataset:rsm dcat:hasVersion <{release}> ; dcat:hasCurrentVersion <{release}> .
    <{part}checksum> a spdx:Checksum ; spdx:algorithm spdx:checksumAlgorithm_sha256 ;
      spdx:checksumValue "{content_hash}"^^xsd:hexBinary ;
      rdfs:comment "Of the canonical N-Quads (RDFC-1.0, sorted) of every graph but this one."@en ."""
    for vocabulary in sorted(
        {VOCABULARIES.get(shorten(p, VOCABULARIES).partition(":")[0], "") for p in properties} - {""}
    ):
        yield f"<{release}> void:vocabulary <{vocabulary}> ."
    names = prefixes(dataset.base_iri)
    for iri, number in sorted(classes.items()):
        yield _partition(release, part, "classPartition", "class", iri, f"{count('entities', number)}", names)
    for iri, number in sorted(properties.items()):
        yield _partition(release, part, "propertyPartition", "property", iri, f"{count('triples', number)}", names)
    yield from _linksets(dataset, triples, release)
    for fmt in (*formats.TRIPLES, *formats.QUADS):
        for ending in ENCODINGS:
            yield _distribution(dataset, release, fmt, ending)


def _partition(release: str, part: str, kind: str, of: str, iri: str, figure: str, names: dict[str, str]) -> str:
    """Return the partition of one class or property (VoID, 4.5); one without a prefixed name gets none."""
    name = shorten(iri, names)
    node = f"{part}{of}-{name.replace(':', '-', 1)}"
    return f"<{release}> void:{kind} <{node}> . <{node}> void:{of} <{iri}> ; {figure} ." if name != iri else ""


def _linksets(dataset: Dataset, triples: set[ox.Triple], release: str) -> Iterator[str]:
    """Yield a ``void:Linkset`` for each predicate and each foreign host that this dataset links to."""
    by_name = {VOCABULARIES["skos"] + name.partition(":")[2]: name for name in LINK_PREDICATES}
    pairs: Counter[tuple[str, str]] = Counter()
    for triple in triples:
        name = by_name.get(triple.predicate.value)
        if name and isinstance(triple.object, ox.NamedNode) and not triple.object.value.startswith(dataset.base_iri):
            pairs[name, triple.object.value.split("/")[2]] += 1
    for (name, host), number in sorted(pairs.items()):
        node = dataset.iri(f"dataset#{host}-{name.partition(':')[2]}")
        yield (
            f"<{release}> void:subset <{node}> . <{node}> a void:Linkset ; void:linkPredicate {name} ;"
            f' rdfs:label "Links to {host}, {name}"@en ; void:subjectsTarget <{release}> ;'
            f' void:triples "{number}"^^xsd:nonNegativeInteger .'
        )


def _distribution(dataset: Dataset, release: str, fmt: formats.Format, ending: str) -> str:
    name = f"rsm-graph.{fmt.name}" + (f".{ending}" if ending else "")
    node = dataset.iri(f"dataset#{name}")
    compressed = f" ; dcat:compressFormat <{_MEDIA_TYPES}{ENCODINGS[ending]}>"
    return (
        f"<{release}> dcat:distribution <{node}> ; void:dataDump <{dataset.iri('download/' + name)}> ."
        f'<{node}> a dcat:Distribution ; rdfs:label "{fmt.label}{" (" + ending + ")" if ending else ""}"@en ;'
        f" dcat:accessURL <{dataset.iri('download/')}> ; dcat:downloadURL <{dataset.iri('download/' + name)}> ;"
        f" dcterms:license <https://creativecommons.org/licenses/by/4.0/> ;"
        f" dcat:mediaType <{_MEDIA_TYPES}{fmt.media_type}>{compressed if ending else ''} ."
    )
