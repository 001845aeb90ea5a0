"""What the operator sees: one JSON line a request, and Prometheus metrics."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import queue
import secrets
import sys
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from starlette.types import Scope

from rsm_graph.engine import Engine, Snapshot
from rsm_graph.settings import Settings
from rsm_graph.web.replies import Kept

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ROUTES = frozenset(
    ("sparql", "id", "doc", "download", "ontology", "shapes", "concepts", "graph", "queries", "dataset", "validation",
     "sources", "search", "browse", "wikidata", "health", "metrics", "static", "docs", "map", "timeline", "reconcile")
)  # fmt: skip
"""First segments of paths that are counted by name; whatever else is asked for counts as one."""
_LOGGED = 2000
"""Characters of a path or a query that a log line holds."""
_FLUSH_SECONDS = 0.2
_LINES_AT_MOST = 20_000
"""Log lines that wait while standard error is stuck; what comes beyond them is dropped."""


class LogHandler(logging.Handler):
    """Takes what libraries log, so that it comes out in the same form and never blocks the event loop."""

    def __init__(self, observer: Observer) -> None:
        super().__init__(logging.WARNING)
        self._observer = observer
        self._loop = asyncio.get_running_loop()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record to the observer, from whatever thread it comes."""
        self._loop.call_soon_threadsafe(self._observer.message, record)


class Observer:
    """Counts and logs the requests of one process."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine
        # Unique across workers and restarts without a system call a request.
        self._start = secrets.token_hex(4)
        self._ids = itertools.count(1)
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: dict[str, list[float]] = {}
        self._hits = 0
        self._lines: list[str] = []
        self._written: queue.Queue[str] = queue.Queue()
        self._writer: threading.Thread | None = None
        self._kept: tuple[Kept, ...] = ()
        self._began = time.time()
        self._second = 0
        self._clock = ""

    def next_id(self) -> str:
        """Return a new request id."""
        return f"{self._start}-{next(self._ids):x}"

    def watch(self, *kept: Kept) -> None:
        """Report on these replies in memory from now on."""
        self._kept = kept

    def request(self, scope: Scope, status: int, sent: int, seconds: float, hit: bool) -> None:
        """Count and log one request that has ended."""
        route, path = _named(scope["path"][:_LOGGED])
        method = "HEAD" if "rsm_graph.bodiless" in scope else scope["method"]
        self._requests[route, method, status] += 1
        self._hits += hit
        sums = self._seconds.get(route)
        if sums is None:
            sums = self._seconds[route] = [0.0] * (len(_BUCKETS) + 2)
        sums[-1] += seconds
        sums[bisect_left(_BUCKETS, seconds)] += 1
        slow = route == "sparql" and seconds >= self._settings.slow_query
        level = "warning" if slow or status == 500 else "info"
        event = "slow query" if slow else "request"
        peer = client[0] if (client := scope.get("client")) else ""
        kept = "true" if hit else "false"
        query = ""
        if self._settings.log_queries and scope["query_string"]:
            text = json.dumps(scope["query_string"][:_LOGGED].decode("latin-1"))
            query = f', "query": {text}'
        request_id = scope["rsm_graph.request_id"]
        # Written out by hand: json.dumps of the whole would cost more than the answer to a repeated query.
        self._log(
            f'{{"time": "{self._now()}", "level": "{level}", "event": "{event}", "id": "{request_id}", '
            f'"client": "{peer}", "method": "{method}", '
            f'"path": {path}, "status": {status}, "bytes": {sent}, '
            f'"ms": {seconds * 1000:.2f}, "kept": {kept}{query}}}'
        )

    def _now(self) -> str:
        """Return the time in ISO 8601 with milliseconds; the part down to the second is made once a second."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._clock}.{int((now - second) * 1000):03d}Z"

    def _log(self, line: str) -> None:
        # Lines are handed on together a few times a second: a write a request would cost more than the answer.
        if not self._lines:
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._hand_on)
        if len(self._lines) < _LINES_AT_MOST:
            self._lines.append(line)

    def message(self, record: logging.LogRecord) -> None:
        """Log what a library has to say, such as the web server about a malformed request."""
        content = {
            "time": self._now(),
            "level": record.levelname.lower(),
            "event": "message",
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            content["exception"] = logging.Formatter().formatException(record.exc_info)
        self._log(json.dumps(content, ensure_ascii=True))

    def _hand_on(self) -> None:
        if self._written.unfinished_tasks:  # nobody reads standard error; the lines wait, up to a bound
            asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._hand_on)
            return
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, daemon=True, name="log")
            self._writer.start()
        lines, self._lines = self._lines, []
        self._written.put("".join(f"{line}\n" for line in lines))

    def _write(self) -> None:
        """Write to standard error in a thread, so that a reader that has stopped does not stop the server."""
        while True:
            text = self._written.get()
            with contextlib.suppress(OSError, ValueError):  # the other end has closed it
                sys.stderr.write(text)
                sys.stderr.flush()
            self._written.task_done()

    def close(self) -> None:
        """Write what waits, unless standard error is stuck."""
        lines, self._lines = self._lines, []
        if lines and not self._written.unfinished_tasks:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.write("".join(f"{line}\n" for line in lines))

    def metrics(self) -> bytes:
        """Return the metrics in the Prometheus text format 0.0.4."""
        return "".join(f"{line}\n" for line in self._metrics(self._engine.snapshot())).encode()

    def _metrics(self, engine: Snapshot) -> Iterator[str]:
        requests = [
            (f'route="{route}",method="{method}",status="{status}"', n)
            for (route, method, status), n in sorted(self._requests.items())
        ]
        yield from _family("http_requests_total", "counter", "Requests by route, method and status.", requests)
        yield from _head("http_request_seconds", "histogram", "Seconds from the request's head to the answer's end.")
        for route, sums in sorted(self._seconds.items()):
            total = 0.0
            for bound, number in zip((*map(str, _BUCKETS), "+Inf"), sums, strict=False):
                total += number
                yield f'rsm_graph_http_request_seconds_bucket{{route="{route}",le="{bound}"}} {total:g}'
            yield f'rsm_graph_http_request_seconds_sum{{route="{route}"}} {sums[-1]:.6f}'
            yield f'rsm_graph_http_request_seconds_count{{route="{route}"}} {total:g}'
        yield from _family("kept_hits_total", "counter", "Requests answered from memory.", [("", self._hits)])
        yield from _family("kept_bytes", "gauge", "Bytes of kept answers.", [("", sum(k.size for k in self._kept))])
        yield from _family("kept_answers", "gauge", "Answers kept in memory.", [("", sum(len(k) for k in self._kept))])
        outcomes = [(f'outcome="{name}"', n) for name, n in sorted(engine.outcomes.items())]
        yield from _family("queries_total", "counter", "Queries that reached the engine, by outcome.", outcomes)
        yield from _head("query_seconds", "histogram", "Seconds of evaluation of answered queries.")
        for seconds, number in engine.durations:
            yield f'rsm_graph_query_seconds_bucket{{le="{seconds:g}"}} {number}'
        answered = engine.outcomes.get("answered", 0)
        yield f'rsm_graph_query_seconds_bucket{{le="+Inf"}} {answered}'
        yield f"rsm_graph_query_seconds_sum {engine.duration_sum:.6f}"
        yield f"rsm_graph_query_seconds_count {answered}"
        kills = [(f'reason="{name}"', n) for name, n in sorted(engine.kills.items())]
        yield from _family("evaluator_kills_total", "counter", "Evaluators ended from outside, by reason.", kills)
        for name, kind, text, value in (
            ("evaluator_crashes_total", "counter", "Evaluators that ended by themselves.", engine.crashes),
            ("engine_rebuilds_total", "counter", "Times the engine's parent was built again.", engine.rebuilds),
            ("engine_ready", "gauge", "Whether the dataset is loaded.", int(engine.ready)),
            ("evaluators", "gauge", "Living evaluators.", engine.evaluators),
            ("queries_running", "gauge", "Queries under evaluation.", engine.running),
            ("queries_running_long", "gauge", "Queries beyond their first time slice.", engine.running_long),
            ("queries_waiting", "gauge", "Queries that wait for an evaluator.", engine.waiting),
            ("engine_memory_bytes", "gauge", "Memory of the engine's processes.", engine.memory_bytes),
        ):
            yield from _family(name, kind, text, [("", value)])
        yield "# TYPE process_cpu_seconds_total counter"
        yield f"process_cpu_seconds_total {time.process_time():.3f}"
        yield "# TYPE process_resident_memory_bytes gauge"
        yield f"process_resident_memory_bytes {_resident()}"
        yield "# TYPE process_start_time_seconds gauge"
        yield f"process_start_time_seconds {self._began:.3f}"


@lru_cache(maxsize=1024)
def _named(path: str) -> tuple[str, str]:
    """Return the name under which requests for a path are counted, and the path as a line of the log has it."""
    route = path[1:].partition("/")[0].partition(".")[0] or "home"
    return (route if route in _ROUTES or route == "home" else "other"), json.dumps(path)


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP rsm_graph_{name} {text}"
    yield f"# TYPE rsm_graph_{name} {kind}"


def _family(name: str, kind: str, text: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield from _head(name, kind, text)
    for labels, value in samples:
        yield f"rsm_graph_{name}{{{labels}}} {value}" if labels else f"rsm_graph_{name} {value}"


def _resident() -> int:
    """Return the resident memory of this process in bytes; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:
        return 0
