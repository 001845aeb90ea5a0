"""Writes JSON-LD 1.1 as people like to read it: a context of prefixes, one node object a subject, ``@graph`` a graph.

pyoxigraph writes JSON-LD too, but with whole IRIs as keys. Values stay strings with their datatype, so that no
JSON parser rewrites a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any

import pyoxigraph as ox

from rsm_graph.namespaces import RDF_TYPE, XSD, shorten

Node = dict[str, Any]


def serialize(triples: Iterable[ox.Triple], prefixes: dict[str, str]) -> bytes:
    """Return ``triples`` as one JSON-LD document in UTF-8; equal input gives equal bytes.

    ``prefixes`` becomes the context, less the names that an absolute IRI in ``triples`` uses as its scheme
    (``geo:48.2,16.3`` would otherwise be read as a compact IRI; JSON-LD 1.1, 5.2.2).
    """
    statements = list(triples)
    schemes = {t.value.partition(":")[0] for s in statements for t in s if isinstance(t, ox.NamedNode)}
    context = {name: iri for name, iri in prefixes.items() if name not in schemes}
    known: dict[str, str] = {}

    def compact(iri: str) -> str:
        if iri not in known:
            known[iri] = shorten(iri, context)
        return known[iri]

    nodes = [
        _node(subject, group, compact) for subject, group in groupby(statements, key=lambda triple: triple.subject)
    ]
    return json.dumps({"@context": context, "@graph": nodes}, ensure_ascii=False, indent=1).encode() + b"\n"


def _node(subject: object, triples: Iterable[ox.Triple], compact: Callable[[str], str]) -> Node:
    node: Node = {"@id": _identifier(subject, compact)}
    for triple in triples:
        if triple.predicate.value == RDF_TYPE and isinstance(triple.object, ox.NamedNode):
            node.setdefault("@type", []).append(compact(triple.object.value))
        else:
            node.setdefault(compact(triple.predicate.value), []).append(_value(triple.object, compact))
    return {key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in node.items()}


def _value(term: object, compact: Callable[[str], str]) -> str | Node:
    if not isinstance(term, ox.Literal):
        return {"@id": _identifier(term, compact)}
    if term.language:
        return {"@value": term.value, "@language": term.language}
    if term.datatype.value == XSD + "string":
        return term.value
    return {"@value": term.value, "@type": compact(term.datatype.value)}


def _identifier(term: object, compact: Callable[[str], str]) -> str:
    return compact(term.value) if isinstance(term, ox.NamedNode) else str(term)
