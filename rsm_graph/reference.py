"""The reference validator, pySHACL, with the topics of the shapes spread over processes.

pySHACL is given rdflib graphs that are built term by term: a graph that went through a store, or an rdflib that
normalises literals, would hold other literals than the data and so give other results.
"""

from __future__ import annotations

import gc
import logging
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import cache
from itertools import groupby
from multiprocessing import get_context
from typing import Any, NamedTuple

import pyoxigraph as ox

from rsm_graph.errors import InputError
from rsm_graph.reports import Result
from rsm_graph.shapes import TARGETS, Kind, Shapes, severity_of

SMALL = 4000
"""Triples up to which starting further processes costs more than it saves."""
PARTS = 12
"""Parts a process into which the shapes are divided: enough that no process works while the others have done."""

_COSTS: Mapping[Kind, tuple[float, float]] = {"core": (3, 0.15), "sparql": (25, 0.75)}
"""About what a constraint costs, in milliseconds: once, and for each focus node. ``tests.bench.shapes`` measures it."""


class Row(NamedTuple):
    """One result as text: terms in the syntax of N-Triples, component and severity as IRIs, ``…`` for a long path."""

    shape: str
    focus: str
    path: str
    value: str
    message: str
    component: str
    severity: str


def validate(
    triples: Iterable[ox.Triple],
    shapes: Shapes,
    *,
    checks: Mapping[str, int],
    workers: int | None = None,
    progress: Callable[[str], None],
) -> list[Result]:
    """Return the results of pySHACL for a data graph. Raises :class:`InputError` when a shape is faulty.

    ``checks`` says how many focus nodes each constraint has; the work is shared out by it.
    """
    data = _nt(triples)
    count = workers or os.cpu_count() or 1
    alone = count <= 1 or data.count(b"\n") <= SMALL
    parts = sorted(divided(shapes, checks, 1 if alone else count * PARTS), key=lambda part: part.cost, reverse=True)
    results = []
    with closing(_here(data, parts) if alone else _elsewhere(data, parts, count)) as outcomes:
        for number, (part, outcome) in enumerate(zip(parts, outcomes, strict=True), start=1):
            if isinstance(outcome, str):
                raise InputError(f"{shapes.files.get(part.topic, part.topic)}: the shapes cannot be used ({outcome}).")
            results += [_result(row, shapes) for row in outcome]
            progress(f"shapes: {number} of {len(parts)} parts")
    return results


class Part(NamedTuple):
    """Some of the constraints of a topic: a shapes graph as N-Triples, and what it will cost, in parts of the whole."""

    topic: str
    shapes: bytes
    cost: float


def divided(shapes: Shapes, checks: Mapping[str, int], number: int) -> Iterator[Part]:
    """Yield the shapes in parts of about equal cost, at least one a topic and about ``number`` altogether.

    Every part holds its whole topic, less the targets of the constraints that are in other parts: whatever a shape
    refers to is there.
    """
    ours = [c for c in shapes.constraints.values() if c.kind != "dataset"]
    costs = {c.iri: _COSTS[c.kind][0] + _COSTS[c.kind][1] * checks[c.iri] for c in ours}
    most = sum(costs.values()) / number
    for topic, members in groupby(ours, key=lambda c: c.topic):
        triples = shapes.shacl(topic)
        parts: list[list[str]] = [[]]
        for constraint in members:
            if parts[-1] and sum(costs[iri] for iri in parts[-1]) + costs[constraint.iri] > most:
                parts.append([])
            parts[-1].append(constraint.iri)
        for part in parts:
            others = {iri for other in parts if other is not part for iri in other}
            kept = (t for t in triples if not (t.predicate.value in TARGETS and str(t.subject).strip("<>") in others))
            yield Part(topic, _nt(kept), sum(costs[iri] for iri in part))


def _result(row: Row, shapes: Shapes) -> Result:
    name = row.shape.strip("<>")
    owner = name if name in shapes.constraints else shapes.owners[row.shape]
    constraint = shapes.constraints[owner]
    return Result(
        constraint=owner,
        focus=row.focus,
        path=constraint.path if row.path == "…" else row.path,
        value=row.value,
        message=(row.message if constraint.kind == "sparql" else "") or constraint.message or row.message,
        severity=severity_of(row.severity),
        component=row.component,
    )


class Judge:
    """pySHACL with one data graph, for one shapes graph after another."""

    def __init__(self, data: bytes) -> None:
        _search_queries_once()
        logging.getLogger("pyshacl-validate").disabled = True  # what it would print is told by the error
        self._data = _graph(data)

    def results(self, shapes: bytes) -> list[Row] | str:
        """Return the rows of one shapes graph, or what is wrong with it."""
        import pyshacl
        from pyshacl.errors import ReportableRuntimeError

        graph = _graph(shapes)
        self._data.prepared = {}
        try:
            _, report, _text = pyshacl.validate(
                self._data,
                shacl_graph=graph,
                inference="none",
                advanced=False,
                allow_infos=True,
                allow_warnings=True,
                do_owl_imports=False,
                meta_shacl=False,
            )
        except ReportableRuntimeError as error:
            return str(error.message).strip()
        if isinstance(report, Exception):
            return str(report)
        return list(_rows(report))


@cache
def _search_queries_once() -> None:
    """Let pySHACL search a query for what SHACL forbids once, and not, a fifth of its time, for every focus node."""
    from pyshacl.helper.sparql_query_helper import SPARQLQueryHelper

    search: Callable[..., bool] = SPARQLQueryHelper.check_invalid_sparql
    done = set()

    def once(self: Any, text: str, valuenode: Any = None, extravars: Any = None) -> bool:
        key = text, valuenode is None, tuple(extravars or ())
        if key not in done:
            search(self, text, valuenode, extravars)
            done.add(key)
        return True

    setattr(SPARQLQueryHelper, "check_invalid_sparql", once)  # noqa: B010 (mypy refuses the plain form)


def _rows(report: Any) -> Iterator[Row]:
    from rdflib import URIRef
    from rdflib.namespace import SH

    def text(node: Any) -> str:
        return "" if node is None else str(node.n3())

    for result in set(report.objects(None, SH.result)):
        path = report.value(result, SH.resultPath)
        yield Row(
            text(report.value(result, SH.sourceShape)),
            _term(report.value(result, SH.focusNode)),
            "" if path is None else _term(path) if isinstance(path, URIRef) else "…",
            _term(report.value(result, SH.value)),
            str(report.value(result, SH.resultMessage) or ""),
            str(report.value(result, SH.sourceConstraintComponent)),
            str(report.value(result, SH.resultSeverity)),
        )


def _graph(nt: bytes) -> Any:
    """Return N-Triples as an rdflib graph, blank nodes under their own labels."""
    import rdflib

    def term(node: Any) -> Any:
        if isinstance(node, ox.NamedNode):
            return rdflib.URIRef(node.value)
        if isinstance(node, ox.BlankNode):
            return rdflib.BNode(node.value)
        if node.language:
            return rdflib.Literal(node.value, lang=node.language)
        # A simple literal and an xsd:string are one in RDF 1.1; rdflib keeps them apart, and so would pySHACL.
        plain = node.datatype.value.endswith("XMLSchema#string")
        return rdflib.Literal(node.value, datatype=None if plain else rdflib.URIRef(node.datatype.value))

    # Without this rdflib rewrites "01"^^xsd:integer and dates as it reads them; pySHACL turns it back each time.
    rdflib.NORMALIZE_LITERALS = False
    graph = _graph_class()()
    for quad in ox.parse(nt, format=ox.RdfFormat.N_TRIPLES):
        graph.add((term(quad.subject), term(quad.predicate), term(quad.object)))
    return graph


def _graph_class() -> Any:
    import rdflib
    from rdflib.plugins.sparql import prepareQuery

    class Prepared(rdflib.Graph):
        """A graph that parses each query once: pySHACL asks the same one for every focus node."""

        prepared: dict[str, Any]

        def query(self, query_object: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(query_object, str):
                if query_object not in self.prepared:
                    self.prepared[query_object] = prepareQuery(query_object, initNs=dict(self.namespaces()))
                query_object = self.prepared[query_object]
            return super().query(query_object, *args, **kwargs)

    return Prepared


def _term(node: Any) -> str:
    """Return an rdflib term as pyoxigraph writes it, so that both validators' results compare."""
    import rdflib

    if node is None:
        return ""
    if isinstance(node, rdflib.Literal):
        if node.language:
            return str(ox.Literal(str(node), language=node.language))
        return str(ox.Literal(str(node), datatype=ox.NamedNode(str(node.datatype)) if node.datatype else None))
    return str(ox.BlankNode(str(node)) if isinstance(node, rdflib.BNode) else ox.NamedNode(str(node)))


def _nt(triples: Iterable[ox.Triple]) -> bytes:
    return ox.serialize(triples, format=ox.RdfFormat.N_TRIPLES) or b""


Outcomes = Generator[list[Row] | str, None, None]


def _here(data: bytes, parts: Sequence[Part]) -> Outcomes:
    """Yield the outcomes of the parts."""
    judge = Judge(data)
    for part in parts:
        yield judge.results(part.shapes)


def _elsewhere(data: bytes, parts: Sequence[Part], count: int) -> Outcomes:
    """Yield the outcomes of the parts, judged by ``count`` processes, and end these with the generator."""
    # The processes are forked from a new one that has loaded the data, not from this one: it may have threads, and
    # fork copies their locks as they are.
    command = [sys.executable, "-c", "from rsm_graph.reference import serve; serve()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump((data, [part.shapes for part in parts], count), process.stdin)
            process.stdin.close()
            for _ in parts:
                yield pickle.load(process.stdout)
            process.wait()
        except (EOFError, BrokenPipeError) as error:
            raise InputError(
                "A validating process ended before it had answered.",
                "Was it short of memory? Validate with one worker.",
            ) from error
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def serve() -> None:
    """Take data, shapes and a number of processes on standard input; give the outcomes on standard output."""
    global _judge
    data, parts, count = pickle.load(sys.stdin.buffer)
    _judge = Judge(data)
    gc.freeze()  # the data stay: no process needs to look through them for garbage, or to copy their pages for it
    with ProcessPoolExecutor(count, get_context("fork")) as pool:
        try:
            for outcome in pool.map(_judged, parts):
                pickle.dump(outcome, sys.stdout.buffer)
                sys.stdout.flush()
        except (BrokenProcessPool, BrokenPipeError):
            sys.exit(1)  # the other side sees that the answers end too early, or has gone away


_judge: Judge


def _judged(shapes: bytes) -> list[Row] | str:
    return _judge.results(shapes)
