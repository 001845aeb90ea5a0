"""The reference validator, pySHACL, with the topics of the shapes spread over processes.

pySHACL is given rdflib graphs that are built term by term: a graph that went through a store, or an rdflib that
normalises literals, would hold other literals than the data and so give other results.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple

import pyoxigraph as ox

from rsm_graph.errors import InputError
from rsm_graph.reports import Result
from rsm_graph.shapes import Shapes

SMALL = 4000
"""Triples up to which starting further processes costs more than it saves."""


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
    workers: int | None = None,
    progress: Callable[[str], None],
) -> list[Result]:
    """Return the results of pySHACL for a data graph. Raises :class:`InputError` when a shape is faulty."""
    data = _nt(triples)
    with_shapes = {c.topic for c in shapes.constraints.values() if c.kind != "dataset"}
    topics = [topic for topic in shapes.topics if topic in with_shapes]
    tasks = {topic: _nt(shapes.shacl(topic)) for topic in topics}
    count = min(workers or os.cpu_count() or 1, len(tasks))
    if count <= 1 or data.count(b"\n") <= SMALL:
        judge = Judge(data)
        found = {topic: judge.results(turtle) for topic, turtle in tasks.items()}
    else:
        found = _in_processes(data, tasks, count, progress)
    results = []
    for topic in topics:
        outcome = found[topic]
        if isinstance(outcome, str):
            raise InputError(f"{shapes.files.get(topic, topic)}: the shapes cannot be used ({outcome}).")
        results += [_result(row, shapes) for row in outcome]
    return results


def _result(row: Row, shapes: Shapes) -> Result:
    name = row.shape.strip("<>")
    owner = name if name in shapes.constraints else shapes.owners[row.shape]
    constraint = shapes.constraints[owner]
    return Result(
        constraint=owner,
        focus=row.focus,
        path=constraint.path if row.path == "…" else row.path,
        value=row.value,
        message=row.message if constraint.kind == "sparql" and row.message else constraint.message,
        severity=constraint.severity,
        component=row.component,
    )


class Judge:
    """pySHACL with one data graph, for one shapes graph after another."""

    def __init__(self, data: bytes) -> None:
        import rdflib

        # Without this rdflib rewrites "01"^^xsd:integer and dates as it reads them.
        rdflib.NORMALIZE_LITERALS = False
        self._data = _graph(data)

    def results(self, shapes: bytes) -> list[Row] | str:
        """Return the rows of one shapes graph, or what is wrong with it."""
        import pyshacl
        from pyshacl.errors import ReportableRuntimeError

        graph = _graph(shapes)
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

    graph = _graph_class()()
    for quad in ox.parse(nt, format=ox.RdfFormat.N_TRIPLES):
        graph.add((term(quad.subject), term(quad.predicate), term(quad.object)))
    return graph


def _graph_class() -> Any:
    import rdflib
    from rdflib.plugins.sparql import prepareQuery

    class Prepared(rdflib.Graph):
        """A graph that parses each query once: pySHACL asks the same one for every focus node."""

        def query(self, query_object: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(query_object, str):
                known = self.__dict__.setdefault("_prepared", {})
                if query_object not in known:
                    known[query_object] = prepareQuery(query_object, initNs=dict(self.namespaces()))
                query_object = known[query_object]
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


def _in_processes(
    data: bytes, tasks: dict[str, bytes], count: int, progress: Callable[[str], None]
) -> dict[str, list[Row] | str]:
    """Validate the topics in ``count`` processes, the largest first, each process taking the next when it is free."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for topic in sorted(tasks, key=lambda name: len(tasks[name]), reverse=True):
        waiting.put(topic)
    found: dict[str, list[Row] | str] = {}

    def drive() -> None:
        # A process of its own and not a fork: the caller may have threads, and fork copies their locks as they are.
        command = [sys.executable, "-c", "from rsm_graph.reference import serve; serve()"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            _send(process.stdin, data)
            while True:
                try:
                    topic = waiting.get_nowait()
                except queue.Empty:
                    process.stdin.close()
                    return
                _send(process.stdin, tasks[topic])
                found[topic] = pickle.load(process.stdout)
                progress(f"{topic}: {len(found)} of {len(tasks)} topics")

    threads = [threading.Thread(target=drive) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(found) < len(tasks):
        raise InputError(
            "A validating process ended before it had answered.", "Was it short of memory? Validate with one worker."
        )
    return found


def _send(stream: IO[bytes], message: object) -> None:
    pickle.dump(message, stream)
    stream.flush()


def serve() -> None:
    """Answer validation tasks on standard input with rows on standard output until the input ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    judge = Judge(pickle.load(source))
    while True:
        try:
            task = pickle.load(source)
        except EOFError:
            return
        _send(sink, judge.results(task))
