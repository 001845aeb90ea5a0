"""Computes the derived graph: what rules add to the accepted facts, each rule one SPARQL CONSTRUCT file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import pyoxigraph as ox

from rsm_graph import project
from rsm_graph.dataset import Dataset
from rsm_graph.namespaces import RDF_TYPE, RDFS_LABEL, VOCABULARIES

ROUNDS = 4
"""How often rules may build on one another's results; the rules of this project need two rounds."""


def rules(base_iri: str) -> dict[str, project.Text]:
    """Return the rules by name, re-based; each has a title, a description and a CONSTRUCT query."""
    return project.texts(project.RULES, base_iri)


def derive(dataset: Dataset) -> Dataset:
    """Return ``dataset`` with its graph ``graph/derived``, which holds what the rules conclude and nothing else.

    The rules see the default graph only, so a disputed or rejected passage derives nothing. Raises
    ``RuntimeError`` when the rules have not come to rest after :data:`ROUNDS` rounds.
    """
    known = set(dataset.default_triples)
    store = ox.Store()
    store.extend(ox.Quad(*triple) for triple in known)
    derived: set[ox.Triple] = set()
    for _ in range(ROUNDS):
        answers = (cast(ox.QueryTriples, store.query(rule.text)) for rule in rules(dataset.base_iri).values())
        concluded = {triple for answer in answers for triple in answer} - known
        if concluded <= derived:
            return dataset.with_graph("graph/derived", derived)
        derived |= concluded
        store.extend(ox.Quad(*triple) for triple in concluded)
    raise RuntimeError("the rules have not come to rest")


def describe_rules(dataset: Dataset) -> Iterator[ox.Triple]:
    """Return the description of the derived graph: each rule a ``prov:Plan`` (PROV-O), used by the derivation."""
    prov, description = VOCABULARIES["prov"], ox.NamedNode(VOCABULARIES["dcterms"] + "description")
    derivation = ox.NamedNode(dataset.iri("id/concept/rule"))
    graph = ox.NamedNode(dataset.iri("graph/derived"))
    yield ox.Triple(graph, ox.NamedNode(RDF_TYPE), ox.NamedNode(prov + "Entity"))
    yield ox.Triple(graph, ox.NamedNode(RDFS_LABEL), ox.Literal("Derived statements", language="en"))
    yield ox.Triple(derivation, ox.NamedNode(RDF_TYPE), ox.NamedNode(VOCABULARIES["skos"] + "ConceptScheme"))
    yield ox.Triple(derivation, ox.NamedNode(RDFS_LABEL), ox.Literal("Rules of derivation", language="en"))
    yield ox.Triple(derivation, ox.NamedNode(RDFS_LABEL), ox.Literal("Règles de dérivation", language="fr"))
    for name, rule in rules(dataset.base_iri).items():
        plan = ox.NamedNode(dataset.iri(f"id/concept/rule/{name}"))
        yield ox.Triple(plan, ox.NamedNode(RDF_TYPE), ox.NamedNode(prov + "Plan"))
        yield ox.Triple(plan, ox.NamedNode(RDFS_LABEL), ox.Literal(rule.title, language="en"))
        yield ox.Triple(plan, description, ox.Literal(rule.description, language="en"))
        yield ox.Triple(plan, ox.NamedNode(VOCABULARIES["rdf"] + "value"), ox.Literal(rule.text))
        yield ox.Triple(graph, ox.NamedNode(prov + "wasDerivedFrom"), plan)
