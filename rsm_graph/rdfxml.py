"""Writes RDF/XML (RDF 1.1 XML Syntax), the flat form: one ``rdf:Description`` a subject, in the order given."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

import pyoxigraph as ox

from rsm_graph.errors import InputError
from rsm_graph.namespaces import VOCABULARIES

_RDF = VOCABULARIES["rdf"]
# NCName of XML Names 1.0, 4: the longest tail of a predicate that can be an element's local name.
_START = (
    r"A-Z_a-z\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u02FF\u0370-\u037D\u037F-\u1FFF\u200C-\u200D"
    r"\u2070-\u218F\u2C00-\u2FEF\u3001-\uD7FF"
)
_LOCAL_NAME = re.compile(rf"[{_START}][{_START}0-9.\-\u00B7]*$")
_NOT_XML = re.compile(r"[\x00-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]")


def serialize(triples: Iterable[ox.Triple], prefixes: dict[str, str]) -> bytes:
    """Return ``triples`` as one RDF/XML document in UTF-8; equal input gives equal bytes.

    Neighbouring triples of one subject share a ``rdf:Description``. Raises :class:`InputError` for what XML 1.0
    cannot carry: a predicate without a local name, a literal with a control character.
    """
    known = {iri: name for name, iri in prefixes.items()}
    names = {_RDF: "rdf"}
    body: list[str] = []
    for subject, group in groupby(triples, key=lambda triple: triple.subject):
        body.append(f" <rdf:Description {_node(subject, 'rdf:about')}>\n")
        body.extend(_property(triple.predicate.value, triple.object, known, names) for triple in group)
        body.append(" </rdf:Description>\n")
    declared = sorted((name, iri) for iri, name in names.items())
    namespaces = "".join(f"\n  xmlns:{name}={quoteattr(iri)}" for name, iri in declared)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<rdf:RDF{namespaces}>\n'
    return "".join([head, *body, "</rdf:RDF>\n"]).encode()


def _property(predicate: str, value: object, known: dict[str, str], names: dict[str, str]) -> str:
    match = _LOCAL_NAME.search(predicate)
    if match is None:
        raise InputError(f"RDF/XML cannot carry the predicate <{predicate}>.", "Ask for another format.")
    namespace = predicate[: match.start()]
    # The root element, written last, declares the namespaces that were met.
    prefix = names.setdefault(namespace, known.get(namespace, f"ns{len(names)}"))
    name = f"{prefix}:{match[0]}"
    if isinstance(value, ox.Literal):
        if _NOT_XML.search(value.value):
            raise InputError("RDF/XML cannot carry a literal with a control character.", "Ask for another format.")
        if value.language:
            kind = f" xml:lang={quoteattr(value.language)}"
        elif value.datatype.value != f"{VOCABULARIES['xsd']}string":
            kind = f" rdf:datatype={quoteattr(value.datatype.value)}"
        else:
            kind = ""
        # A bare carriage return would come back as a line feed (XML 1.0, 2.11).
        return f"  <{name}{kind}>{escape(value.value, {chr(13): '&#13;'})}</{name}>\n"
    return f"  <{name} {_node(value, 'rdf:resource')}/>\n"


def _node(term: object, attribute: str) -> str:
    if isinstance(term, ox.NamedNode):
        return f"{attribute}={quoteattr(term.value)}"
    if isinstance(term, ox.BlankNode):
        return f'rdf:nodeID="b{term.value}"'
    raise InputError("RDF/XML 1.1 cannot carry a triple term.", "Ask for another format.")
