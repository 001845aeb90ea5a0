"""Every serialisation gives back exactly what went in: terms, lexical forms, datatypes, language tags."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pyoxigraph as ox
import pytest
import rdflib
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from rdflib.compare import isomorphic

from rsm_graph import formats
from rsm_graph.errors import InputError, RdfSyntaxError

XSD = "http://www.w3.org/2001/XMLSchema#"
PREFIXES = {
    "e": "http://example.org/",
    "xsd": XSD,
    "geo": "http://www.opengis.net/ont/geosparql#",
    "odd": "http://example.org/odd#",
}

rdflib.NORMALIZE_LITERALS = False

# What XML 1.0 can carry, so that one property holds for every format.
text = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn"), include_characters="\t\n\r"), max_size=12
)
local = st.from_regex(r"[A-Za-zé_][A-Za-z0-9_.-]{0,6}", fullmatch=True)
iris = st.one_of(
    local.map(lambda name: ox.NamedNode(f"http://example.org/{name}")),
    local.map(lambda name: ox.NamedNode(f"http://example.org/odd#{name}")),
    local.map(lambda name: ox.NamedNode(f"http://example.org/deep/er/{name}")),
    st.sampled_from(["geo:48.2,16.3", "e:x", "urn:a:b", "http://example.org/", "http://example.org/?a=1&b=%20"]).map(
        ox.NamedNode
    ),
)
predicates = local.map(lambda name: ox.NamedNode(f"http://example.org/{name}"))
literals = st.one_of(
    text.map(ox.Literal),
    st.tuples(text, st.sampled_from(["en", "fr", "de-at"])).map(lambda pair: ox.Literal(pair[0], language=pair[1])),
    st.sampled_from(
        [
            ("01", "integer"),
            ("+1", "int"),
            ("1.50", "decimal"),
            ("2019-02-30", "date"),
            ("1", "boolean"),
            ("8000", "nonNegativeInteger"),
        ]
    ).map(lambda pair: ox.Literal(pair[0], datatype=ox.NamedNode(XSD + pair[1]))),
)
nodes = st.sampled_from([ox.BlankNode("0a"), ox.BlankNode("b2")])
triples = st.lists(
    st.builds(ox.Triple, st.one_of(iris, nodes), predicates, st.one_of(iris, nodes, literals)), max_size=8
)
graphs = st.one_of(iris, st.just(ox.DefaultGraph()))


def canonical(quads: list[ox.Quad]) -> set[ox.Quad]:
    dataset = ox.Dataset(quads)
    dataset.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)
    return set(dataset)


@pytest.mark.parametrize("fmt", formats.TRIPLES, ids=lambda fmt: fmt.name)
@given(triples)
def test_triples_come_back_exactly(fmt: formats.Format, statements: list[ox.Triple]) -> None:
    content = formats.serialize(sorted(statements, key=str), fmt, PREFIXES)
    back = formats.parse(content, fmt, "test")
    assert canonical(back) == canonical([ox.Quad(*triple) for triple in statements])


@pytest.mark.parametrize("fmt", formats.QUADS, ids=lambda fmt: fmt.name)
@given(triples, graphs)
def test_quads_come_back_exactly(fmt: formats.Format, statements: list[ox.Triple], graph: ox.NamedNode) -> None:
    quads = [ox.Quad(*triple, graph) for triple in sorted(statements, key=str)]
    assert canonical(formats.parse(formats.serialize(quads, fmt, PREFIXES), fmt, "test")) == canonical(quads)


# rdflib's Turtle reader trips over escaped dots in names, strange schemes and bare numbers like 01; here it gets none.
plain_iris = st.from_regex(r"[A-Za-z]{1,6}", fullmatch=True).map(
    lambda name: ox.NamedNode(f"http://example.org/{name}")
)
plain_literals = literals.filter(lambda literal: not literal.value.startswith(("0", "+")))
plain_triples = st.lists(
    st.builds(ox.Triple, st.one_of(plain_iris, nodes), plain_iris, st.one_of(plain_iris, nodes, plain_literals)),
    max_size=8,
)


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated")  # rdflib's own JSON-LD reader uses it
@pytest.mark.parametrize(("name", "reader"), [("rdf", "xml"), ("jsonld", "json-ld"), ("ttl", "turtle")])
@given(statements=plain_triples)
def test_another_library_reads_the_same(name: str, reader: str, statements: list[ox.Triple]) -> None:
    content = formats.serialize(sorted(statements, key=str), formats.by_name(name), PREFIXES)
    lines = formats.serialize(statements, formats.by_name("nt"), {})
    assert isomorphic(rdflib.Graph().parse(data=content, format=reader), rdflib.Graph().parse(data=lines, format="nt"))


@pytest.mark.parametrize("fmt", formats.TRIPLES, ids=lambda fmt: fmt.name)
def test_equal_input_gives_equal_bytes(fmt: formats.Format) -> None:
    names = [ox.NamedNode(f"http://example.org/n{n}") for n in range(50)]
    statements = [ox.Triple(name, names[0], ox.Literal(name.value)) for name in names]
    assert formats.serialize(statements, fmt, PREFIXES) == formats.serialize(statements, fmt, PREFIXES)


@pytest.mark.parametrize(
    ("predicate", "value"),
    [
        ("http://example.org/", ox.Literal("x")),
        ("http://example.org/1", ox.Literal("x")),
        ("http://example.org/p", ox.Literal("\x01")),
    ],
)
def test_rdf_xml_refuses_what_xml_cannot_carry(predicate: str, value: ox.Literal) -> None:
    triple = ox.Triple(ox.NamedNode("http://example.org/s"), ox.NamedNode(predicate), value)
    with pytest.raises(InputError, match="RDF/XML cannot carry"):
        formats.serialize([triple], formats.by_name("rdf"), PREFIXES)


def test_a_syntax_error_names_line_and_column() -> None:
    with pytest.raises(RdfSyntaxError, match=r"^facts\.ttl:2:\d+: The prefix nope: has not been declared"):
        formats.parse(b"@prefix e: <http://example.org/> .\nnope:a e:p e:o .", formats.by_name("ttl"), "facts.ttl")


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("zst", zstandard.compress)])
def test_a_compressed_file_is_read_whole_or_not_at_all(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    first, second = (f'<http://example.org/{name}> <http://example.org/p> "x" .\n'.encode() for name in "ab")
    plain, packed = tmp_path / "facts.nt", tmp_path / f"facts.nt.{ending}"
    plain.write_bytes(first + second)
    packed.write_bytes(pack(first) + pack(second))
    assert len(formats.read(plain)) == 2
    assert formats.read(packed) == formats.read(plain)
    for broken in (pack(first)[:-6], b"no such file"):
        packed.write_bytes(broken)
        with pytest.raises(InputError, match=rf"facts\.nt\.{ending}: cannot be read"):
            formats.read(packed)


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="Known here: ttl, jsonld, nt, rdf"):
        formats.by_name("docx", formats.TRIPLES)
