"""One table of formats: media type, extension, what each can carry, and which library reads and writes it.

RDF is parsed and written by pyoxigraph, which keeps every literal as it stands (rdflib and an Oxigraph *store*
rewrite some of them). RDF/XML and JSON-LD are written by modules of our own: pyoxigraph's RDF/XML lets control
characters and impossible element names through and its JSON-LD has no compact names; the output of rdflib changes with
the hash seed.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple, cast
from typing import Literal as OneOf

import pyoxigraph as ox
import zstandard

from rsm_graph import jsonld, namespaces, rdfxml
from rsm_graph.errors import InputError, RdfSyntaxError

Carries = OneOf["triples", "quads", "solutions"]


@dataclass(frozen=True)
class Format:
    """One row: ``name`` is the word on the command line and the file extension in addresses."""

    name: str
    label: str
    media_type: str
    carries: Carries
    aliases: tuple[str, ...] = ()
    """Other media types by which clients ask for the same thing."""
    extensions: tuple[str, ...] = ()
    """Other file extensions by which it is recognised."""

    @property
    def content_type(self) -> str:
        """The value of ``Content-Type``: UTF-8 is named where the media type has a charset parameter."""
        return f"{self.media_type}; charset=utf-8" if self.media_type.startswith("text/") else self.media_type


_XML = ("application/xml", "text/xml")

FORMATS = (
    Format("ttl", "Turtle", "text/turtle", "triples", ("application/x-turtle",), ("turtle",)),
    Format("jsonld", "JSON-LD", "application/ld+json", "triples", ("application/json",), ("json-ld", "json")),
    Format("nt", "N-Triples", "application/n-triples", "triples", ("text/plain",), ("ntriples",)),
    Format("rdf", "RDF/XML", "application/rdf+xml", "triples", _XML, ("xml", "owl", "rdfxml")),
    Format("trig", "TriG", "application/trig", "quads", ("application/x-trig",)),
    Format("nq", "N-Quads", "application/n-quads", "quads", ("text/x-nquads",), ("nquads",)),
    Format("json", "SPARQL JSON", "application/sparql-results+json", "solutions", ("application/json",), ("srj",)),
    Format("xml", "SPARQL XML", "application/sparql-results+xml", "solutions", _XML, ("srx",)),
    Format("csv", "CSV", "text/csv", "solutions"),
    Format("tsv", "TSV", "text/tab-separated-values", "solutions"),
)  # fmt: skip
"""The rows. Within what a row carries, the first one is the answer to a client that has no wish."""

TRIPLES = tuple(f for f in FORMATS if f.carries == "triples")
QUADS = tuple(f for f in FORMATS if f.carries == "quads")
SOLUTIONS = tuple(f for f in FORMATS if f.carries == "solutions")


class Encoding(NamedTuple):
    """How a file may be compressed: its name in HTTP (RFC 9110, 8.4.1), its file ending, its media type."""

    coding: str
    ending: str
    media_type: str


ENCODINGS = (Encoding("gzip", "gz", "application/gzip"), Encoding("zstd", "zst", "application/zstd"))
"""The compressions of every dump."""

COMPRESSED = frozenset(f".{encoding.ending}" for encoding in ENCODINGS)
"""Suffixes of files that :func:`opened` unpacks."""

_OXIGRAPH = {
    "ttl": ox.RdfFormat.TURTLE,
    "jsonld": ox.RdfFormat.JSON_LD,
    "nt": ox.RdfFormat.N_TRIPLES,
    "rdf": ox.RdfFormat.RDF_XML,
    "trig": ox.RdfFormat.TRIG,
    "nq": ox.RdfFormat.N_QUADS,
}


def by_name(name: str, offered: Iterable[Format] = FORMATS) -> Format:
    """Return the row called ``name``, or with this extension or media type; raises :class:`InputError` for none."""
    rows = tuple(offered)
    for row in rows:
        if name == row.name:
            return row
    for row in rows:
        if name in (*row.extensions, row.media_type, *row.aliases):
            return row
    raise InputError(f"Unknown format {name!r}.", f"Known here: {', '.join(r.name for r in rows)}.")


def of_file(path: Path) -> Format:
    """Return the RDF format of a file by its name, a compression aside; raises :class:`InputError` when unknown."""
    suffixes = [s.lstrip(".").lower() for s in path.suffixes if s not in COMPRESSED]
    try:
        return by_name(suffixes[-1] if suffixes else "", TRIPLES + QUADS)
    except InputError:
        known = ", ".join("." + f.name for f in TRIPLES + QUADS)
        raise InputError(f"{path}: cannot tell the RDF format from the file's name.", f"Known: {known}.") from None


def read(path: Path, base_iri: str = namespaces.DEFAULT_BASE) -> list[ox.Quad]:
    """Return the quads of an RDF file, which may be compressed, re-based from the base that the project's files have.

    Raises :class:`InputError` when it cannot be read or its name tells no format, :class:`RdfSyntaxError` with line and
    column when it does not parse.
    """
    try:
        with opened(path) as stream:
            data = stream.read()
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    data = data.replace(namespaces.DEFAULT_BASE.encode(), base_iri.encode())
    return parse(data, of_file(path), str(path), base_iri=path.resolve().as_uri())


UNREADABLE = (OSError, EOFError, zlib.error, zstandard.ZstdError)
"""What reading from :func:`opened` may raise."""


def opened(path: Path) -> IO[bytes]:
    """Return a stream over the bytes of a file, unpacked if its name says that it is compressed.

    Opening it, or reading from it, raises one of :data:`UNREADABLE`.
    """
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    return io.BytesIO(_frames(path.read_bytes())) if path.suffix == ".zst" else path.open("rb")


def unreadable(path: Path, error: Exception) -> InputError:
    """Return what one of :data:`UNREADABLE` means for the file."""
    reason = getattr(error, "strerror", None) or error
    return InputError(f"{path}: cannot be read ({reason}).", "Check the file, its name and the rights.")


def _frames(data: bytes) -> bytes:
    parts = []
    while data:  # frame by frame, for only so does the library tell that one is not whole
        frame = zstandard.ZstdDecompressor().decompressobj()
        parts.append(frame.decompress(data))
        if not frame.eof:
            raise EOFError("the file ends too early")
        data = frame.unused_data
    return b"".join(parts)


def parse(data: bytes, fmt: Format, place: str, base_iri: str | None = None, *, rename: bool = True) -> list[ox.Quad]:
    """Return the quads of an RDF document, literals exactly as they stand in it.

    ``place`` names the document in errors. ``rename`` gives blank nodes fresh names, so that those of two documents
    never meet. Raises :class:`RdfSyntaxError` with line and column.
    """
    try:
        return list(ox.parse(data, format=_OXIGRAPH[fmt.name], base_iri=base_iri, rename_blank_nodes=rename))
    except SyntaxError as error:
        line = f":{error.lineno}:{error.offset}" if error.lineno else ""
        raise RdfSyntaxError(f"{place}{line}", str(error.msg).partition(": ")[2] or str(error.msg)) from error


def serialize(statements: Iterable[ox.Triple] | Iterable[ox.Quad], fmt: Format, prefixes: dict[str, str]) -> bytes:
    """Return triples (or quads, for the quad formats) as one document, in the order given.

    RDF 1.1 throughout; the same statements in the same order give the same bytes. Raises
    :class:`InputError` for RDF/XML when a predicate cannot be written as an XML name.
    """
    if fmt.name == "rdf":
        return rdfxml.serialize(cast(Iterable[ox.Triple], statements), prefixes)
    if fmt.name in ("nt", "nq"):
        return cast(bytes, ox.serialize(statements, format=_OXIGRAPH[fmt.name]))
    rows = cast(list[ox.Triple], list(statements))
    declared = namespaces.used(prefixes, _iris(rows))
    if fmt.name == "jsonld":
        return jsonld.serialize(rows, declared)
    return cast(bytes, ox.serialize(rows, format=_OXIGRAPH[fmt.name], prefixes=declared))


def _iris(statements: Iterable[ox.Triple | ox.Quad]) -> Iterator[str]:
    for statement in statements:
        for term in statement:
            if isinstance(term, ox.NamedNode):
                yield term.value
            elif isinstance(term, ox.Literal):
                yield term.datatype.value
