"""Evaluates a query in this process, for the command line: the answers are those of the server."""

from __future__ import annotations

import threading
import time

from rsm_graph.engine import Answer, Query, Source
from rsm_graph.engine.evaluator import Evaluator, Request
from rsm_graph.engine.loading import load, open_read_only, prepare
from rsm_graph.engine.restore import Originals
from rsm_graph.engine.screen import Limits
from rsm_graph.engine.supervisor import answer_format
from rsm_graph.engine.worker import STACK
from rsm_graph.errors import QueryTimeout, RsmGraphError
from rsm_graph.namespaces import prefixes
from rsm_graph.settings import Settings


class LocalEngine:
    """A loaded dataset and the way to ask it."""

    def __init__(self, source: Source, settings: Settings) -> None:
        """Load ``source``; raises :class:`~rsm_graph.errors.InputError` when it cannot be read."""
        if source.store is None:
            store, originals = load(source)
        else:
            prepare(source)
            store, originals = open_read_only(source.store), Originals()
        limits = Limits(settings.query_tokens, settings.query_depth)
        known = prefixes(settings.base_iri)
        self._seconds = settings.query_timeout
        self._evaluator = Evaluator(store, known, settings.base_iri, originals, limits, settings.answer_bytes)

    def evaluate(self, query: Query) -> Answer:
        """Return the whole answer.

        Raises what :meth:`rsm_graph.engine.Engine.evaluate` raises. The engine cannot be interrupted: after
        :class:`QueryTimeout` the evaluation goes on until this process ends, which its caller should see to.
        """
        fmt = answer_format(query)
        request = Request(query.text, fmt.name, query.default_graphs, query.named_graphs)
        blocks: list[bytes] = []
        errors: list[RsmGraphError] = []

        def run() -> None:
            try:
                self._evaluator.evaluate(request, blocks.append)
            except RsmGraphError as error:
                errors.append(error)

        started = time.monotonic()
        before = threading.stack_size(STACK)
        try:
            thread = threading.Thread(target=run, daemon=True)
            thread.start()
        finally:
            threading.stack_size(before)
        thread.join(self._seconds)
        if thread.is_alive():
            raise QueryTimeout(f"The query ran over its limit of {self._seconds:g} s.", "Use --query-timeout.")
        if errors:
            raise errors[0]
        data = b"".join(blocks)
        return Answer(fmt, len(data), time.monotonic() - started, data=data)
