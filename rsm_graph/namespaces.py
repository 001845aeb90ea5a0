"""The one prefix map, and what depends on the base IRI."""

from __future__ import annotations

from collections.abc import Iterable

DEFAULT_BASE = "https://w3id.org/rsm-graph/"
"""Base IRI under which the files in ``ontology/`` and ``data/`` are written; the loader re-bases them."""

KINDS = (
    "mission", "command", "location", "place", "nation", "organization", "post", "person", "tenure",
    "lead-role", "alliance-status", "prospective-contribution", "contribution", "strength", "edition",
    "legal", "event", "roadmap", "concept", "source", "dataset",
)  # fmt: skip
"""The kinds of things, in the order of the model; each is a folder under ``{base}id/`` and a prefix."""

VOCABULARIES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "dcterms": "http://purl.org/dc/terms/",
    "org": "http://www.w3.org/ns/org#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "prov": "http://www.w3.org/ns/prov#",
    "qb": "http://purl.org/linked-data/cube#",
    "geo": "http://www.opengis.net/ont/geosparql#",
    "eli": "http://data.europa.eu/eli/ontology#",
    "dcat": "http://www.w3.org/ns/dcat#",
    "void": "http://rdfs.org/ns/void#",
    "schema": "https://schema.org/",
    "sh": "http://www.w3.org/ns/shacl#",
    "vann": "http://purl.org/vocab/vann/",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "spdx": "http://spdx.org/rdf/terms#",
    "sd": "http://www.w3.org/ns/sparql-service-description#",
    "sssom": "https://w3id.org/sssom/",
    "semapv": "https://w3id.org/semapv/vocab/",
    "wd": "http://www.wikidata.org/entity/",
}
"""Prefixes of the vocabularies that the dataset reuses."""

XSD = VOCABULARIES["xsd"]
RDF_TYPE = VOCABULARIES["rdf"] + "type"
RDFS_LABEL = VOCABULARIES["rdfs"] + "label"


def prefixes(base_iri: str) -> dict[str, str]:
    """Return the whole prefix map for a base IRI: ``rsm:``, ``graph:``, one a kind, and the vocabularies."""
    own = {"rsm": f"{base_iri}ontology#", "graph": f"{base_iri}graph/", "shapes": f"{base_iri}shapes#"}
    return own | {kind: f"{base_iri}id/{kind}/" for kind in KINDS} | VOCABULARIES


def prologue(base_iri: str) -> str:
    """Return the prefix map as SPARQL ``PREFIX`` lines, so that a query need not declare any of them."""
    return "".join(f"PREFIX {name}: <{iri}>\n" for name, iri in prefixes(base_iri).items())


def shorten(iri: str, prefix_map: dict[str, str]) -> str:
    """Return ``iri`` as a prefixed name where a prefix covers all but its last plain segment, else ``iri``."""
    cut = max(iri.rfind("/"), iri.rfind("#")) + 1
    for name, namespace in prefix_map.items():
        if namespace == iri[:cut] and cut < len(iri) and not set(iri[cut:]) & set("?%:"):
            return f"{name}:{iri[cut:]}"
    return iri


def used(prefix_map: dict[str, str], iris: Iterable[str]) -> dict[str, str]:
    """Return the part of ``prefix_map`` that shortens one of ``iris``, so that a small document stays small."""
    namespaces = {iri[: max(iri.rfind("/"), iri.rfind("#")) + 1] for iri in iris}
    return {name: iri for name, iri in prefix_map.items() if iri in namespaces}
