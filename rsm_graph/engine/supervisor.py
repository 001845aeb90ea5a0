"""Decides which query runs when, for how long, and beside how many others; knows nothing of HTTP.

A query begins in the *short* lane. One that is not done after the first time slice gives up its place there: it
goes on at low priority when a *long* permit is free, or else stays only until somebody waits for its place; then it
is put back and begins again when a permit is free, or in its turn if the machine was so busy that it has hardly run.
So a small query waits for at most a slice, whatever else runs.
The limit of a query counts from its arrival; at the end of it its evaluator is killed.
"""

from __future__ import annotations

import asyncio
import re
import time
from bisect import bisect_left
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import Literal

from rsm_graph.engine import Answer, Query, Snapshot, Source, parent
from rsm_graph.engine.evaluator import Request
from rsm_graph.engine.launch import Launched
from rsm_graph.engine.pool import Evaluator, Pool, default_pool
from rsm_graph.engine.protocol import DATA, END, ERROR, LOAD, QUERY, QUERY_BESIDE, VOLATILE, error_from_json, frame
from rsm_graph.engine.screen import form_of
from rsm_graph.engine.service import Forwarder
from rsm_graph.engine.spool import Spool
from rsm_graph.engine.worker import encode
from rsm_graph.errors import (
    AnswerTooLarge,
    QueryMemory,
    QueryTimeout,
    QueryTooLarge,
    RsmGraphError,
    Unavailable,
)
from rsm_graph.formats import SOLUTIONS, TRIPLES, Format, by_name
from rsm_graph.namespaces import prefixes
from rsm_graph.negotiation import negotiate
from rsm_graph.settings import Settings

State = Literal["waiting", "short", "over", "long", "set aside", "done"]
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_Key = tuple[str, str, tuple[str, ...], tuple[str, ...]]
_SERVICE = re.compile("service", re.IGNORECASE)
_SNAKE = re.compile("(?<!^)(?=[A-Z])")
_TICK = 0.02
"""Seconds between two looks at the clock; one timer for all queries costs each of them nothing."""
_TOGETHER = 1024 * 2**20
"""Bytes that all queries of a server may take together; with many processors their single limits come to more."""
_DYING = 0.05
"""Seconds that a killed process may take to end."""
_REBUILD_PAUSE = 1.0
"""Seconds between two attempts to replace a lost parent process."""


def answer_format(query: Query) -> Format:
    """Return the format in which a query will be answered, before it is evaluated.

    Raises :class:`~rsm_graph.errors.NotAcceptable` when the client takes none that the query's form offers, and
    :class:`InputError` for a format name that its form does not know.
    """
    offered = TRIPLES if form_of(query.text) in ("CONSTRUCT", "DESCRIBE") else SOLUTIONS
    return by_name(query.format, offered) if query.format else negotiate(query.accept, offered)


@dataclass(eq=False)
class _Job:
    """One evaluation, for everybody who asked the same at the same time."""

    key: _Key
    content: bytes
    format: Format
    client: str
    arrived: float
    spool: Spool
    state: State = "waiting"
    started: float = 0.0
    """When it began, for the last time."""
    worked: float = 0.0
    """What its evaluator had worked by then."""
    evaluator: Evaluator | None = None
    connects: bool = False
    """Whether it needs an evaluator of its own that may open a connection."""
    retries: int = 0
    waiters: list[asyncio.Future[Answer]] = field(default_factory=list)


class _FairQueue:
    """First come first served for each client, the clients in turn."""

    def __init__(self) -> None:
        self._clients: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, job: _Job) -> None:
        self._clients.setdefault(job.client, deque()).append(job)
        self._length += 1

    def pop(self) -> _Job:
        client, jobs = next(iter(self._clients.items()))
        job = jobs.popleft()
        self._length -= 1
        if jobs:
            self._clients.move_to_end(client)
        else:
            del self._clients[client]
        return job

    def remove(self, job: _Job) -> None:
        jobs = self._clients.get(job.client)
        if jobs is None or job not in jobs:
            return
        jobs.remove(job)
        self._length -= 1
        if not jobs:
            del self._clients[job.client]


@dataclass
class _Counts:
    outcomes: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    rebuilds: int = 0
    durations: list[int] = field(default_factory=lambda: [0] * (len(_BUCKETS) + 1))
    duration_sum: float = 0.0


class Supervisor:
    """The :class:`~rsm_graph.engine.Engine` of this package: local processes that can be killed."""

    def __init__(
        self,
        source: Source,
        settings: Settings,
        pools: type[Pool] | None = None,
        launched: Launched | None = None,
    ) -> None:
        """``pools`` is the kind of processes to work with, by default that of the system; ``launched`` is the
        first of them, if somebody has started it already.
        """
        self._pools = pools or default_pool()
        self._source = source
        self._settings = settings
        self._short_places = settings.queries_at_once
        self._long_places = settings.long_queries
        self.evaluators_wanted = self._short_places + self._long_places + 1
        self._launched = launched
        self._pool: Pool | None = None
        self._retired: list[Pool] = []
        self._waiting = _FairQueue()
        self._set_aside = _FairQueue()
        self._short: set[_Job] = set()
        self._over: deque[_Job] = deque()
        self._long: set[_Job] = set()
        self._flights: dict[_Key, _Job] = {}
        self._by_age: deque[_Job] = deque()
        self._ticking: asyncio.TimerHandle | None = None
        self._counts = _Counts()
        self._forwarder: Forwarder | None = None
        self._connecting: deque[_Job] = deque()
        if settings.allow_service:
            self._forwarder = Forwarder(settings.allow_service, settings.query_timeout, settings.answer_bytes)
        self._closing = False
        self._rebuilding: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._together = max(_TOGETHER // settings.workers, settings.query_memory * 2**20)
        self._limits = {
            "seconds": settings.query_timeout,
            "memory": settings.query_memory * 2**20,
            "tokens": settings.query_tokens,
            "depth": settings.query_depth,
            "answer_bytes": settings.answer_bytes,
            "base_iri": settings.base_iri,
            "prefixes": prefixes(settings.base_iri),
        }

    def begin(self) -> None:
        """Have the launched process load the dataset before there is an event loop; :meth:`start` waits for it."""
        if self._launched is not None:
            self._launched.order(frame(LOAD, parent.encode(self._source, self._limits)))

    async def start(self) -> None:
        """Load the dataset; see :class:`~rsm_graph.engine.Engine`."""
        if self._forwarder is not None:
            await self._forwarder.start()
        self._pool = await self._load(self._source, self._launched)

    async def evaluate(self, query: Query) -> Answer:
        """Return the whole answer; see :class:`~rsm_graph.engine.Engine`."""
        job = self._join(query)
        waiter: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        job.waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            job.waiters.remove(waiter)
            if not job.waiters and job.state != "done":
                self._stop(job, "cancelled")
                self._settle(job, "cancelled")
                self._dispatch()
            raise

    async def reload(self, source: Source) -> None:
        """Load ``source`` beside what is served and swap; see :class:`~rsm_graph.engine.Engine`."""
        pool = await self._load(source)
        if self._closing:
            await pool.kill()
            return
        old, self._pool, self._source = self._pool, pool, source
        self._flights.clear()
        if old is not None:
            self._retire(old)
        self._dispatch()

    def snapshot(self) -> Snapshot:
        """Return the counters and gauges of this moment."""
        pools = [pool for pool in (self._pool, *self._retired) if pool is not None]
        counts, total, durations = self._counts, 0, []
        for bound, number in zip(_BUCKETS, counts.durations, strict=False):
            total += number
            durations.append((bound, total))
        return Snapshot(
            ready=self._pool is not None and self._pool.alive and not self._closing,
            evaluators=sum(len(pool.evaluators) for pool in pools),
            running=len(self._short) + len(self._over) + len(self._long),
            running_long=len(self._long),
            waiting=len(self._waiting) + len(self._set_aside),
            memory_bytes=sum(pool.memory for pool in pools),
            outcomes=dict(counts.outcomes),
            kills=dict(counts.kills),
            crashes=counts.crashes,
            rebuilds=counts.rebuilds,
            durations=tuple(durations),
            duration_sum=counts.duration_sum,
        )

    async def close(self) -> None:
        """End every query and every process; may be called more than once."""
        self._closing = True
        if self._rebuilding is not None:
            self._rebuilding.cancel()
            await asyncio.gather(self._rebuilding, return_exceptions=True)
        await asyncio.gather(*self._ending)
        if self._ticking is not None:
            self._ticking.cancel()
        for job in self._by_age:
            self._fail(job, Unavailable("The server is stopping.", "Ask again in a moment."))
        self._by_age.clear()
        if self._forwarder is not None:
            await self._forwarder.close()
        for pool in (self._pool, *self._retired):
            if pool is not None:
                await pool.kill()
        self._pool = None
        self._retired = []

    # --- queries -----------------------------------------------------------------------------------------------

    def _join(self, query: Query) -> _Job:
        """Return the job for a query: one under way that asks the same, or a new one."""
        settings = self._settings
        if self._closing or self._pool is None:
            raise Unavailable("The server is starting or stopping.", "Ask again in a moment.")
        if len(query.text) > settings.query_length:
            raise QueryTooLarge(f"The query is longer than {settings.query_length} bytes.", "Split it.")
        fmt = answer_format(query)
        key = (query.text, fmt.name, query.default_graphs, query.named_graphs)
        job = self._flights.get(key)
        if job is not None:
            return job
        if len(self._waiting) + len(self._set_aside) >= settings.queue_length and not self._can_start():
            self._counts.outcomes["unavailable"] += 1
            raise Unavailable("Too many queries are waiting.", "Ask again in a moment.")
        text = query.text
        services: tuple[str, ...] = ()
        if self._forwarder is not None and _SERVICE.search(text):
            text, services = self._forwarder.route(text)
        request = Request(text, fmt.name, query.default_graphs, query.named_graphs, services)
        job = _Job(
            key,
            encode(request),
            fmt,
            query.client,
            time.monotonic(),
            Spool(settings.spool_bytes),
            connects=bool(services),
        )
        self._flights[key] = job
        self._by_age.append(job)
        if self._ticking is None:
            self._tick()
        if self._can_start():
            self._run(job, "short")
        else:
            self._waiting.push(job)
            self._dispatch()
        return job

    def _can_start(self) -> bool:
        return (
            len(self._short) + len(self._over) < self._short_places
            and not len(self._waiting)
            and self._pool is not None
            and bool(self._pool.idle)
        )

    def _tick(self) -> None:
        """End what is over its time, move on what is over its slice, and come again while there is anything."""
        now = time.monotonic()
        oldest = now - self._settings.query_timeout
        while self._by_age and (self._by_age[0].state == "done" or self._by_age[0].arrived <= oldest):
            self._time_is_up(self._by_age.popleft())
        # The more are waiting, the sooner a place has to be given up: 60 runaways at once keep a small query from
        # its turn for a second, not for three.
        crowd = 1 + len(self._waiting) / self._short_places
        slice_began = now - self._settings.short_seconds / min(crowd, 4)
        for job in [job for job in self._short if job.started <= slice_began]:
            self._slice_is_over(job)
        self._bound_memory()
        if self._by_age and not self._closing:
            self._ticking = asyncio.get_running_loop().call_later(_TICK, self._tick)
        else:
            self._ticking = None

    def _bound_memory(self) -> None:
        """End the queries that take most, until all together take no more than they may."""
        jobs = [*self._short, *self._over, *self._long]
        if len(jobs) * self._settings.query_memory * 2**20 <= self._together:
            return
        taken = {job: job.evaluator.grown for job in jobs if job.evaluator is not None}
        while sum(taken.values()) > self._together:
            largest = max(taken, key=lambda job: taken[job])
            del taken[largest]
            self._fail(largest, QueryMemory("All queries together took too much memory.", "Ask again in a moment."))
            self._dispatch()

    def _dispatch(self) -> None:
        """Start what can start."""
        pool = self._pool
        if pool is None or self._closing:
            return
        while self._over and len(self._long) < self._long_places:
            self._promote(self._over.popleft())
        while pool.idle and len(self._set_aside) and len(self._long) < self._long_places:
            self._run(self._set_aside.pop(), "long")
        while pool.idle and len(self._waiting):
            if len(self._short) + len(self._over) >= self._short_places:
                if not self._over:
                    break
                self._put_aside(self._over.popleft())
            self._run(self._waiting.pop(), "short")

    def _run(self, job: _Job, lane: Literal["short", "long"]) -> None:
        assert self._pool is not None
        job.state = lane
        job.started = time.monotonic()
        if lane == "short":
            self._short.add(job)
        else:
            self._long.add(job)
        if job.connects:
            self._connecting.append(job)
            self._pool.fork(connects=True)
        else:
            # The one that was busy last has the warmest caches.
            self._hand_over(job, self._pool.idle.pop())

    def _hand_over(self, job: _Job, evaluator: Evaluator) -> None:
        evaluator.job = job
        job.evaluator = evaluator
        job.worked = evaluator.worked
        if job.state == "long":
            evaluator.lower_priority()
        evaluator.send(frame(QUERY_BESIDE if self._long or self._over else QUERY, job.content))

    def _slice_is_over(self, job: _Job) -> None:
        if job.evaluator is not None:
            job.evaluator.lower_priority()
        self._short.discard(job)
        if len(self._long) < self._long_places:
            self._promote(job)
        else:
            job.state = "over"
            self._over.append(job)
        self._dispatch()

    def _promote(self, job: _Job) -> None:
        job.state = "long"
        self._long.add(job)

    def _put_aside(self, job: _Job) -> None:
        """Take the evaluator from a job that holds no permit; it begins again when it gets one.

        On a busy machine a small query may not have run at all in its slice; such a one begins again in its turn.
        """
        worked = job.evaluator.worked - job.worked if job.evaluator is not None else 0.0
        self._kill(job, "preempted")
        job.spool = Spool(self._settings.spool_bytes)
        if worked < self._settings.short_seconds / 10:
            job.state = "waiting"
            self._waiting.push(job)
        else:
            job.state = "set aside"
            self._set_aside.push(job)

    def _time_is_up(self, job: _Job) -> None:
        if job.state == "done":
            return
        seconds = self._settings.query_timeout
        if job.state != "waiting":
            self._stop(job, "deadline")
            self._fail(job, QueryTimeout(f"The query ran over its limit of {seconds:g} s.", "Ask for less at a time."))
        else:
            self._fail(job, Unavailable("The server is too busy to begin the query.", "Ask again in a moment."))
        self._dispatch()

    def _stop(self, job: _Job, reason: str) -> None:
        """Take a job from wherever it is."""
        self._waiting.remove(job)
        self._set_aside.remove(job)
        self._kill(job, reason)

    def _kill(self, job: _Job, reason: str) -> None:
        evaluator = job.evaluator
        self._leave_lane(job)
        if evaluator is not None:
            self._counts.kills[reason] += 1
            self._end(evaluator)

    def _end(self, evaluator: Evaluator) -> None:
        """Kill an evaluator and have another one made."""
        evaluator.job = None
        evaluator.kill()
        pool = evaluator.pool
        pool.evaluators.pop(evaluator.pid, None)
        evaluator.close()
        self._replenish(pool)

    def _replenish(self, pool: Pool) -> None:
        if pool is self._pool and not self._closing:
            for _ in range(self.evaluators_wanted - pool.size):
                pool.fork()

    def _leave_lane(self, job: _Job) -> None:
        self._short.discard(job)
        self._long.discard(job)
        if job in self._over:
            self._over.remove(job)
        if job in self._connecting:
            self._connecting.remove(job)
        job.evaluator = None

    def _settle(self, job: _Job, outcome: str) -> None:
        """Count a job as done and forget it."""
        job.state = "done"
        self._counts.outcomes[outcome] += 1
        if self._flights.get(job.key) is job:
            del self._flights[job.key]

    def _fail(self, job: _Job, error: RsmGraphError) -> None:
        if job.state == "done":
            return
        self._stop(job, "failed")
        self._settle(job, _SNAKE.sub("_", type(error).__name__).lower())
        for waiter in job.waiters:
            if not waiter.done():
                waiter.set_exception(error)

    # --- what evaluators say -----------------------------------------------------------------------------------

    def evaluator_ready(self, evaluator: Evaluator) -> None:
        """An evaluator has started."""
        if not evaluator.connects:
            evaluator.pool.idle.append(evaluator)
            self._dispatch()
        elif self._connecting and evaluator.pool is self._pool:
            self._hand_over(self._connecting.popleft(), evaluator)
        else:
            self._end(evaluator)

    def frame_came(self, evaluator: Evaluator, kind: bytes, content: bytes) -> None:
        """An evaluator has sent a piece of an answer, its end, or an error."""
        job: _Job | None = evaluator.job
        if job is None:
            return
        if kind in (DATA, END):
            try:
                job.spool.write(content[1:] if kind == END else content)
            except OSError as error:
                self._fail(job, AnswerTooLarge(f"The answer could not be kept ({error.strerror}).", "Use LIMIT."))
                return
            if kind == DATA:
                return
        long = job.state != "short"
        self._leave_lane(job)
        evaluator.job = None
        if kind == END:
            self._answered(job, volatile=content[:1] == VOLATILE)
        elif kind == ERROR:
            self._fail(job, error_from_json(content))
        # A long query has touched much of the store, and each page it touched is now its own copy; its priority
        # cannot be raised again either.
        if long or evaluator.connects or evaluator.pool is not self._pool:
            self._counts.kills["recycled"] += 1
            self._end(evaluator)
            self._finish_retirement(evaluator.pool)
        else:
            evaluator.pool.idle.append(evaluator)
        self._dispatch()

    def _answered(self, job: _Job, *, volatile: bool) -> None:
        seconds = time.monotonic() - job.arrived
        self._counts.durations[bisect_left(_BUCKETS, seconds)] += 1
        self._counts.duration_sum += seconds
        self._settle(job, "answered")
        answer = job.spool.answer(job.format, seconds, volatile=volatile)
        for waiter in job.waiters:
            if not waiter.done():
                waiter.set_result(answer)

    def evaluator_gone(self, evaluator: Evaluator, status: int | None) -> None:
        """An evaluator has ended by itself, or by a hand that is not ours."""
        job: _Job | None = evaluator.job
        evaluator.job = None
        if job is not None:
            self._counts.crashes += 1
            self._leave_lane(job)
            error = _end_of_evaluator(status)
            # An evaluator that was dying when it was handed the query has not even begun.
            begun = time.monotonic() - job.started > _DYING
            if isinstance(error, Unavailable) and job.retries < (1 if begun else self.evaluators_wanted):
                # Not the query's doing, as far as anybody can tell.
                job.retries += 1
                job.spool = Spool(self._settings.spool_bytes)
                job.state = "waiting"
                self._waiting.push(job)
            else:
                self._fail(job, error)
        self._replenish(evaluator.pool)
        self._finish_retirement(evaluator.pool)
        self._dispatch()

    # --- pools -------------------------------------------------------------------------------------------------

    async def _load(self, source: Source, launched: Launched | None = None) -> Pool:
        pool = self._pools(self)
        try:
            await pool.start(source, self._limits, self.evaluators_wanted, launched)
        except (RsmGraphError, asyncio.CancelledError):
            await pool.kill()
            raise
        return pool

    def parent_gone(self, pool: Pool) -> None:
        """A parent process has ended: build another one while its evaluators go on."""
        if pool is self._pool and not self._closing and self._rebuilding is None:
            self._rebuilding = asyncio.get_running_loop().create_task(self._rebuild())

    async def _rebuild(self) -> None:
        try:
            while not self._closing:
                self._counts.rebuilds += 1
                try:
                    await self.reload(self._source)
                    return
                except RsmGraphError:
                    await asyncio.sleep(_REBUILD_PAUSE)
        finally:
            self._rebuilding = None

    def _retire(self, pool: Pool) -> None:
        """Let a pool finish what it has begun, and go."""
        pool.retired = True
        self._retired.append(pool)
        while pool.idle:
            evaluator = pool.idle.popleft()
            pool.evaluators.pop(evaluator.pid, None)
            evaluator.kill()
            evaluator.close()
        self._finish_retirement(pool)

    def _finish_retirement(self, pool: Pool) -> None:
        if pool.retired and pool in self._retired and not any(e.job for e in pool.evaluators.values()):
            self._retired.remove(pool)
            self._let_go(pool)

    def _let_go(self, pool: Pool) -> None:
        task = asyncio.get_running_loop().create_task(pool.kill())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _end_of_evaluator(status: int | None) -> RsmGraphError:
    """Return what the way in which an evaluator ended says about its query."""
    if status in (-6, -11, -7):
        return QueryMemory("The query used up its memory or its stack.", "Ask for less at a time, or nest it less.")
    if status == -14:
        return QueryTimeout("The query ran over its limit.", "Ask for less at a time.")
    return Unavailable("The evaluation was interrupted.", "Ask again.")
