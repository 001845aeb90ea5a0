"""Evaluates one query over a loaded store; what the worker processes and the command line share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import chain, islice
from typing import IO, Any, NamedTuple, cast

import pyoxigraph as ox

from rsm_graph import rdfxml
from rsm_graph.engine import screen
from rsm_graph.engine.complaint import complaint
from rsm_graph.engine.restore import Originals, Patch, rows
from rsm_graph.engine.rewrite import with_constant, with_small_booleans, without_language
from rsm_graph.errors import AnswerTooLarge, QueryError, QueryMemory, QueryRefused, Unavailable
from rsm_graph.formats import SOLUTIONS, TRIPLES, by_name
from rsm_graph.namespaces import XSD

_BLOCK = 64 * 1024
"""Bytes of an answer handed on at a time."""
_SORTED = 10_000
"""Triples up to which an answer is sorted and freed of duplicates; a longer one streams as it comes."""


_UNKNOWN_FUNCTION = re.compile(r"custom function <([^>]*)> is not supported")
_FUNCTIONS = 16
"""Unknown functions that a query may call."""


class Request(NamedTuple):
    """One query as the evaluator sees it; ``format`` is the name of a row of the format table."""

    text: str
    format: str
    default_graphs: tuple[str, ...] = ()
    named_graphs: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    """Addresses that SERVICE may name in this query."""


@dataclass(frozen=True)
class Evaluator:
    """A store with what it takes to answer queries over it."""

    store: ox.Store
    prefixes: dict[str, str]
    base_iri: str
    originals: Originals = field(default_factory=Originals)
    limits: screen.Limits = field(default_factory=screen.Limits)
    answer_bytes: int = 256 * 2**20

    def evaluate(self, request: Request, write: Callable[[bytes], None]) -> bool:
        """Write the whole answer to ``write``, a block at a time; return whether it may be another a moment later.

        Raises :class:`QueryError`, :class:`AnswerTooLarge`, :class:`QueryMemory` or :class:`Unavailable`; what was
        written before is void.
        """
        screened = screen.screen(request.text, self.limits)
        self._refuse_foreign(request, screened)
        output = _Output(write, self.answer_bytes)
        try:
            results = self._query(request)
            if isinstance(results, ox.QueryTriples):
                self._write_triples(results, request, output)
            else:
                self._write_solutions(results, request, output)
        except SyntaxError as error:
            parse = partial(self.store.query, prefixes=self.prefixes, base_iri=self.base_iri)
            raise complaint(request.text, str(error.msg), self.limits, parse) from error
        except RuntimeError as error:
            raise QueryError(f"The query cannot be evaluated: {error}.") from error
        except OSError as error:
            # The engine's words may name paths and addresses of this server.
            what = "An address that SERVICE names" if request.services else "The store"
            raise Unavailable(f"{what} did not answer as it should.", "Ask again in a moment.") from error
        except MemoryError as error:
            raise QueryMemory("The query used up its memory.", "Ask for less at a time.") from error
        output.flush()
        return bool(screened.services) or screen.computes_anew(request.text)

    def _query(self, request: Request) -> ox.QuerySolutions | ox.QueryBoolean | ox.QueryTriples:
        dataset: dict[str, Any] = {}
        if request.default_graphs or request.named_graphs:
            dataset["default_graph"] = [self._graph(iri) for iri in request.default_graphs]
            dataset["named_graphs"] = [self._graph(iri) for iri in request.named_graphs]
        for text, prefixes in self._readings(request.text):
            with suppress(SyntaxError):
                return self._prepared(text, prefixes, dataset)
        # The query as it was asked gives the right place.
        return self._prepared(request.text, self._used(request.text), dataset)

    def _readings(self, text: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield a query as the engine reads it best, with the prefixes to go with it, one way after the other.

        The engine takes longer to read our prefixes than to look something up, and a query that declares prefixes
        seldom needs ours beside its own.
        """
        better = without_language(with_constant(text))
        if "PREFIX" in text or "prefix" in text:
            yield better, {}
        yield better, self._used(text)
        small = with_small_booleans(better)
        if small != better:
            yield small, self._used(text)

    def _used(self, text: str) -> dict[str, str]:
        """Return our prefixes as far as a query may use them."""
        return {name: iri for mark, name, iri in self._marks if mark in text}

    def _prepared(
        self, text: str, prefixes: dict[str, str], dataset: dict[str, Any]
    ) -> ox.QuerySolutions | ox.QueryBoolean | ox.QueryTriples:
        """Have the engine prepare a query; a function that it does not know is an error wherever it is called.

        The engine refuses the whole query instead, though only the expression is in error (SPARQL 1.1, 17.6).
        """
        unknown: dict[ox.NamedNode, Callable[..., None]] = {}
        while True:
            functions: dict[str, Any] = {"custom_functions": unknown} if unknown else {}
            try:
                return self.store.query(text, prefixes=prefixes, base_iri=self.base_iri, **dataset, **functions)
            except RuntimeError as error:
                match = _UNKNOWN_FUNCTION.search(str(error))
                if match is None or len(unknown) >= _FUNCTIONS:
                    raise
                unknown[ox.NamedNode(match[1])] = _no_value

    @cached_property
    def _marks(self) -> list[tuple[str, str, str]]:
        return [(f"{name}:", name, iri) for name, iri in self.prefixes.items()]

    def _graph(self, iri: str) -> ox.NamedNode:
        try:
            return ox.NamedNode(iri)
        except ValueError as error:
            raise QueryError(f"{iri!r} is not an absolute IRI, so it cannot name a graph.") from error

    def _refuse_foreign(self, request: Request, screened: screen.Screened) -> None:
        for service in screened.services:
            if service not in request.services:
                raise QueryRefused(f"SERVICE may not reach {service or 'that'} from here.", "Ask that endpoint itself.")
        if request.default_graphs or request.named_graphs:
            asked: tuple[str, ...] = (*request.default_graphs, *request.named_graphs)
        else:
            asked = screened.documents
        for iri in asked:
            if not self.store.contains_named_graph(self._graph(iri)):
                raise QueryRefused(
                    f"There is no graph <{iri}> here, and this server fetches no documents.",
                    "SELECT DISTINCT ?g { GRAPH ?g {} } lists the graphs.",
                )

    def _write_solutions(self, results: ox.QuerySolutions | ox.QueryBoolean, request: Request, output: _Output) -> None:
        fmt = by_name(request.format, SOLUTIONS)
        kind = ox.QueryResultsFormat.from_media_type(fmt.media_type)
        if isinstance(results, ox.QueryBoolean):
            output.write(results.serialize(format=kind) or b"")
            return
        if not self.originals:
            results.serialize(cast(IO[bytes], output), kind)
            return
        own = bool(request.default_graphs or request.named_graphs)
        if fmt.name in ("json", "xml"):
            patched = _Patched(Patch(fmt.name, self.originals, request.text, own), output)
            results.serialize(cast(IO[bytes], patched), kind)
            patched.end()
            return
        names, terms = self.originals.known(request.text, own)
        if fmt.name == "csv":
            terms = {engine: value for engine, value in terms.items() if engine.value != value.value}
        if names and terms:
            for line in rows(results, fmt.name, names, terms):
                output.write(line)
        else:
            results.serialize(cast(IO[bytes], output), kind)

    def _write_triples(self, results: ox.QueryTriples, request: Request, output: _Output) -> None:
        fmt = by_name(request.format, TRIPLES)
        triples: Iterator[ox.Triple] = iter(results)
        if self.originals:
            triples = self.originals.triples(results, request.text)
        first = list(islice(triples, _SORTED + 1))
        prefixes = self.prefixes
        if len(first) <= _SORTED:
            first = sorted(set(first), key=str)
            prefixes = _used(prefixes, first)
        if fmt.name == "rdf":
            output.write(rdfxml.serialize(sorted(chain(first, triples), key=str), prefixes))
            return
        known = prefixes if fmt.name in ("ttl", "jsonld") else None
        kind = ox.RdfFormat.from_media_type(fmt.media_type)
        ox.serialize(chain(first, triples), cast(IO[bytes], output), format=kind, prefixes=known)


class _Output:
    """Gathers what the serialisers write into blocks, and counts."""

    def __init__(self, write: Callable[[bytes], None], limit: int) -> None:
        self._write = write
        self._limit = limit
        self._blocks: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        self._blocks.append(data)
        self._size += len(data)
        if self._size >= _BLOCK:
            self._limit -= self._size
            if self._limit < 0:
                raise AnswerTooLarge("The answer is longer than this server sends.", "Use LIMIT and OFFSET.")
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._blocks:
            self._write(b"".join(self._blocks))
            self._blocks = []
            self._size = 0


class _Patched:
    """A writer that restores literals on the way to another one."""

    def __init__(self, patch: Patch, output: _Output) -> None:
        self._patch = patch
        self._output = output

    def write(self, data: bytes) -> int:
        self._output.write(self._patch.feed(data))
        return len(data)

    def flush(self) -> None:
        pass

    def end(self) -> None:
        """Write what the patch still held back."""
        self._output.write(self._patch.end())


def _no_value(*_: object) -> None:
    """Stand in for a function that nobody knows: calling it is an error."""


def _used(prefixes: dict[str, str], triples: list[ox.Triple]) -> dict[str, str]:
    """Return the prefixes that shorten an IRI of ``triples``."""
    iris = {term.value for triple in triples for term in triple if isinstance(term, ox.NamedNode)}
    # The datatype of a plain string is not written.
    datatypes = {triple.object.datatype.value for triple in triples if isinstance(triple.object, ox.Literal)}
    iris |= datatypes - {f"{XSD}string"}
    return {name: iri for name, iri in prefixes.items() if any(known.startswith(iri) for known in iris)}
