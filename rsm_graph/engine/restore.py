"""Gives literals back the form that they have in the data.

An Oxigraph store keeps numbers, booleans and dates by value: ``"8000"^^xsd:nonNegativeInteger`` comes out as
``xsd:integer``, ``"1.50"^^xsd:decimal`` as ``"1.5"``. :class:`Originals` remembers, for the literals of a dataset
that this changes, what they were:

* A triple of a CONSTRUCT or DESCRIBE answer that stands in the data gets its own object back.
* In a solution, a variable that only the data can have bound gets the original back where the dataset has only one
  for that value. What a query computes stays as computed.

Inside a query the engine's form counts: ``DATATYPE``, ``STR`` and ``sameTerm`` see it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from xml.sax.saxutils import escape

import pyoxigraph as ox

from rsm_graph.engine.screen import Token, token_list
from rsm_graph.namespaces import XSD

_PICKS = ("MIN", "MAX", "SAMPLE")
"""Aggregates whose value is one of the terms they are given."""
_DATASET = ("GRAPH", "FROM", "SERVICE")
_NAMES_GRAPHS = re.compile(r"[gfs](?:raph|rom|ervice)\b(?<![a-z/#-]graph)")
"""Finds, in small letters, every place, and a few more, where a query may leave the default graph."""
_QUOTED = re.compile('[",\r\n]')
_NEVER = re.compile("(?!)")
_COMPUTES = re.compile(r"values|as(?:[ \t\r\n]|#[^\r\n]*+)*+[?$]", re.IGNORECASE)
"""Finds every place, and a few more, where a query may compute the value of a variable."""
_VARIABLE = re.compile(r"[?$](\w+)")
_BARE = {
    f"{XSD}integer": re.compile(r"[+-]?\d+"),
    f"{XSD}decimal": re.compile(r"[+-]?\d*\.\d+"),
    f"{XSD}boolean": re.compile("true|false"),
}
_WRITTEN = 100_000
"""Literals of an answer whose restored form is remembered."""
_Statement = tuple[ox.NamedNode | ox.BlankNode | ox.Triple, ox.NamedNode, ox.Literal]


@dataclass(frozen=True)
class Originals:
    """The originals of a dataset's changed literals; empty (and false) when the engine changes none."""

    statements: dict[_Statement, ox.Literal] = field(default_factory=dict)
    """Object as written, by subject, predicate and object as the engine has it; the default graph's comes first."""
    terms: dict[ox.Literal, ox.Literal] = field(default_factory=dict)
    """Literal as written by literal as the engine has it, where the whole dataset has only one."""
    default_terms: dict[ox.Literal, ox.Literal] = field(default_factory=dict)
    """The same where the default graph has only one."""
    datatypes: frozenset[ox.NamedNode] = frozenset()
    """Datatypes, as the engine has them, of everything above."""
    written: dict[tuple[str, bool], dict[bytes, bytes]] = field(default_factory=dict, compare=False)
    """What :class:`Patch` has put for which bytes so far, by format and whether by :attr:`terms`."""

    def __bool__(self) -> bool:
        return bool(self.statements)

    def triples(self, triples: Iterable[ox.Triple], text: str) -> Iterator[ox.Triple]:
        """Yield the triples of an answer to the CONSTRUCT or DESCRIBE query ``text``, with their originals."""
        known: dict[ox.Literal, ox.Literal] | None = None
        for triple in triples:
            value = triple.object
            if isinstance(value, ox.Literal) and value.datatype in self.datatypes:
                original = self.statements.get((triple.subject, triple.predicate, value))
                if original is None:
                    if known is None:
                        known = self._terms(text) if _only_data(text) else {}
                    original = known.get(value)
                if original is not None:
                    yield ox.Triple(triple.subject, triple.predicate, original)
                    continue
            yield triple

    def known(self, text: str, own_dataset: bool) -> tuple[frozenset[str], dict[ox.Literal, ox.Literal]]:
        """Return which variables of the SELECT query ``text`` may be restored, and what to put for which literal.

        ``own_dataset`` says that the request names graphs of its own.
        """
        return frozenset(bound_by_data(text)), self.terms if own_dataset else self._terms(text)

    def _terms(self, text: str) -> dict[ox.Literal, ox.Literal]:
        if _NAMES_GRAPHS.search(text.lower()) and any(
            token.kind == "doubtful" or (token.kind == "word" and token.text.upper() in _DATASET)
            for token in token_list(text)
        ):
            return self.terms
        return self.default_terms


class Recorder:
    """Reads the quads of a dataset as they go into the store, and makes :class:`Originals` of them."""

    def __init__(self) -> None:
        self._typed: list[ox.Quad] = []

    def watch(self, quads: Iterable[ox.Quad]) -> Iterator[ox.Quad]:
        """Yield ``quads`` unchanged."""
        typed = self._typed
        for quad in quads:
            value = quad.object
            if isinstance(value, ox.Literal) and value.language is None:
                datatype = value.datatype.value
                if datatype.startswith(XSD) and not datatype.endswith("#string"):
                    typed.append(quad)
            yield quad

    def originals(self) -> Originals:
        """Return what the engine changes of the quads that went by."""
        stored = _as_stored({quad.object for quad in self._typed if isinstance(quad.object, ox.Literal)})
        everywhere: dict[ox.Literal, set[ox.Literal]] = {}
        by_default: dict[ox.Literal, set[ox.Literal]] = {}
        statements: dict[_Statement, ox.Literal] = {}
        default = ox.DefaultGraph()
        # The default graph last, so that its form of a statement is the one that stays.
        for quad in sorted(self._typed, key=lambda quad: quad.graph_name == default):
            value = quad.object
            assert isinstance(value, ox.Literal)
            engine = stored[value]
            everywhere.setdefault(engine, set()).add(value)
            if quad.graph_name == default:
                by_default.setdefault(engine, set()).add(value)
            key = (quad.subject, quad.predicate, engine)
            if engine != value:
                statements[key] = value
            elif quad.graph_name == default:
                statements.pop(key, None)
        self._typed = []
        return Originals(
            statements,
            _unambiguous(everywhere),
            _unambiguous(by_default),
            frozenset(engine.datatype for _, _, engine in statements),
        )


def _as_stored(literals: set[ox.Literal]) -> dict[ox.Literal, ox.Literal]:
    """Return each literal as a store gives it back."""
    numbered = list(literals)
    store = ox.Store()
    predicate = ox.NamedNode("urn:p")
    store.bulk_extend(ox.Quad(ox.NamedNode(f"urn:{n}"), predicate, value) for n, value in enumerate(numbered))
    stored: dict[ox.Literal, ox.Literal] = {}
    for quad in store:
        assert isinstance(quad.subject, ox.NamedNode)
        assert isinstance(quad.object, ox.Literal)
        stored[numbered[int(quad.subject.value[4:])]] = quad.object
    return stored


def _unambiguous(candidates: dict[ox.Literal, set[ox.Literal]]) -> dict[ox.Literal, ox.Literal]:
    single = ((engine, next(iter(values))) for engine, values in candidates.items() if len(values) == 1)
    return {engine: value for engine, value in single if engine != value}


def bound_by_data(text: str) -> set[str]:
    """Return the names of the variables of a query that nothing but a pattern over the data can bind.

    A variable behind AS is one of them only when what stands before AS is such a variable, or MIN, MAX or SAMPLE
    of one; a variable of a VALUES block never is.
    """
    if not _COMPUTES.search(text):
        return set(_VARIABLE.findall(text))
    stream = token_list(text)
    if stream[-1].kind == "doubtful":
        return set()
    names = {token.text[1:] for token in stream if token.kind == "variable"}
    computed: set[str] = set()
    copies: list[tuple[str, str]] = []
    for index, token in enumerate(stream):
        if token.kind != "word":
            continue
        word = token.text.upper()
        if word == "VALUES":
            for following in stream[index + 1 :]:
                if following.text == "{":
                    break
                computed.add(following.text[1:])
        elif word == "AS" and index + 1 < len(stream):
            target = stream[index + 1].text[1:]
            source = _copied(stream, index)
            if source:
                copies.append((source, target))
            else:
                computed.add(target)
    changed = True
    while changed:
        changed = False
        for source, target in copies:
            if source in computed and target not in computed:
                computed.add(target)
                changed = True
    return names - computed


def _copied(stream: tuple[Token, ...], index: int) -> str:
    """Return the variable whose value the AS at ``index`` hands on unchanged; empty when it computes."""
    before = stream[max(0, index - 6) : index]
    texts = [token.text.upper() for token in before]
    if len(before) >= 2 and before[-1].kind == "variable" and texts[-2] == "(":
        # "(?a AS ?b)", and not the end of a longer expression.
        return before[-1].text[1:]
    if len(before) >= 5 and texts[-1] == ")" and before[-2].kind == "variable":
        head = texts[:-2]
        if head[-1] == "DISTINCT":
            head.pop()
        if head[-1] == "(" and head[-2] in _PICKS and head[-3:-2] == ["("]:
            return before[-2].text[1:]
    return ""


def _only_data(text: str) -> bool:
    """Return whether every literal in the answer to a query can only have come from the data."""
    before = ""
    for token in token_list(text):
        word = token.text.upper()
        if token.kind in ("string", "doubtful") or (token.kind == "number" and before not in ("LIMIT", "OFFSET")):
            return False
        if token.kind == "word" and word in ("AS", "VALUES", "TRUE", "FALSE"):
            return False
        before = word
    return True


@dataclass(frozen=True)
class _Syntax:
    """How one result format writes the binding of a variable to a typed literal."""

    pattern: str
    """Matches it from the quotation mark behind the variable's name on; nothing inside a string of the format can,
    since the marks that it needs are escaped there."""
    end: bytes
    """How it ends."""
    form: str
    """It, with the value and the datatype to be put in."""
    quote: Callable[[str], str]
    """Writes a value or datatype for ``form``."""

    def write(self, literal: ox.Literal) -> bytes:
        """Return what the pattern matches for a literal."""
        return self.form.format(self.quote(literal.value), self.quote(literal.datatype.value)).encode()


_SYNTAXES = {
    "json": _Syntax(
        r'":{{"type":"literal","value":"(?P<value>[^"\\]*)","datatype":"(?P<datatype>{datatypes})"}}',
        b'"}',
        '":{{"type":"literal","value":{},"datatype":{}}}',
        lambda value: json.dumps(value, ensure_ascii=False),
    ),
    "xml": _Syntax(
        '"><literal datatype="(?P<datatype>{datatypes})">(?P<value>[^<&]*)</literal></binding>',
        b"</binding>",
        '"><literal datatype="{1}">{0}</literal></binding>',
        lambda value: escape(value, {'"': "&quot;"}),
    ),
}


class Patch:
    """Restores literals in an answer in SPARQL Results JSON or XML as it streams by."""

    def __init__(self, name: str, originals: Originals, text: str, own_dataset: bool) -> None:
        """``name`` is that of the format; the rest is as for :meth:`Originals.known`."""
        self._name = name
        self._syntax = _SYNTAXES[name]
        self._originals = originals
        self._query = (text, own_dataset)
        self._marks = [datatype.value.encode() for datatype in originals.datatypes]
        self._names: frozenset[bytes] | None = None
        self._terms: dict[ox.Literal, ox.Literal] = {}
        self._written: dict[bytes, bytes] = {}
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be passed on after ``data`` has come."""
        if self._rest:
            data = self._rest + data
        end = self._syntax.end
        # A binding that is restored has its end mark nowhere but at its end, so this cuts through none.
        cut = data.rfind(end) + len(end) if end in data else 0
        data, self._rest = data[:cut], data[cut:]
        if not any(mark in data for mark in self._marks):
            return data
        if self._names is None:
            # Only now that there is something to restore does the query have to be read.
            names, self._terms = self._originals.known(*self._query)
            self._names = frozenset(name.encode() for name in names)
            by_terms = self._terms is self._originals.terms
            self._written = self._originals.written.setdefault((self._name, by_terms), {})
        if not self._names or not self._terms:
            return data
        return _cells(self._syntax.pattern, self._originals.datatypes).sub(self._replace, data)

    def end(self) -> bytes:
        """Return what is left."""
        return self._rest

    def _replace(self, match: re.Match[bytes]) -> bytes:
        assert self._names is not None
        data, start = match.string, match.start()
        cell = match[0]
        if data[data.rfind(b'"', 0, start) + 1 : start] not in self._names:
            return cell
        restored = self._written.get(cell)
        if restored is None:
            engine = ox.Literal(match["value"].decode(), datatype=ox.NamedNode(match["datatype"].decode()))
            original = self._terms.get(engine)
            restored = cell if original is None else self._syntax.write(original)
            if len(self._written) >= _WRITTEN:
                self._written.clear()
            self._written[cell] = restored
        return restored


@lru_cache(maxsize=8)
def _cells(pattern: str, datatypes: frozenset[ox.NamedNode]) -> re.Pattern[bytes]:
    """Return the expression for bindings to literals of some datatypes; compiling it takes as long as a query."""
    return re.compile(pattern.format(datatypes="|".join(re.escape(iri.value) for iri in datatypes)).encode())


def rows(
    solutions: ox.QuerySolutions, name: str, names: frozenset[str], terms: dict[ox.Literal, ox.Literal]
) -> Iterator[bytes]:
    """Yield the lines of an answer in SPARQL Results CSV or TSV (``name``), with the originals of ``terms``
    in the columns ``names``.
    """
    variables = [variable.value for variable in solutions.variables]
    restore = [terms if variable in names else {} for variable in variables]
    if name == "csv":
        head, separator, end, cell = variables, ",", "\r\n", _csv
    else:
        head, separator, end, cell = [f"?{variable}" for variable in variables], "\t", "\n", _tsv
    yield (separator.join(head) + end).encode()
    for solution in solutions:
        values = [
            cell(originals.get(value, value) if isinstance(value, ox.Literal) else value)
            for originals, value in zip(restore, solution, strict=True)
        ]
        yield (separator.join(values) + end).encode()


def _csv(term: object) -> str:
    """Return a term as the engine writes it into CSV (SPARQL 1.1 Query Results CSV and TSV, 3.2)."""
    if term is None:
        return ""
    value = str(term) if not isinstance(term, ox.NamedNode | ox.Literal) else term.value
    return f'"{value.replace(chr(34), chr(34) * 2)}"' if _QUOTED.search(value) else value


def _tsv(term: object) -> str:
    """Return a term as the engine writes it into TSV (the same, 4.2)."""
    if term is None:
        return ""
    if isinstance(term, ox.Literal) and _BARE.get(term.datatype.value, _NEVER).fullmatch(term.value):
        return term.value
    return str(term).replace("\t", "\\t")
