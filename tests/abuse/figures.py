"""Measures what protection costs and what it holds: ``python -m tests.abuse.figures [triples]``."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import Any

from rsm_graph.engine import Query, Source
from rsm_graph.engine.evaluator import Evaluator, Request
from rsm_graph.engine.loading import load
from rsm_graph.engine.supervisor import Supervisor
from rsm_graph.namespaces import prefixes
from rsm_graph.settings import Settings

from .cases import QUERIES
from .target import Beside, at_once, query_request, serving

TRIPLES = 1_000_000
RUNAWAYS = 60
_ROUNDS = 2_000


def row(what: str, seconds: list[float]) -> None:
    """Print a row of the table."""
    ordered = sorted(seconds)
    places = (0, len(ordered) // 2, len(ordered) * 99 // 100)
    print(f"|{what}|" + "|".join(f"{ordered[place] * 1000:.2f} ms" for place in places) + "|", flush=True)


def timed(ask: Callable[[int], Any]) -> list[float]:
    """Return the seconds that each call took."""
    took = []
    for number in range(_ROUNDS):
        began = time.perf_counter()
        ask(number)
        took.append(time.perf_counter() - began)
    return took


def of_the_engine(triples: int) -> None:
    """Print how long a light query takes in this process and in an evaluator, and how soon one is replaced."""
    lines = (f'<http://example.org/{n}> <http://example.org/p{n % 50}> "{n % 1000}" .\n' for n in range(triples))
    source = Source(quads="".join(lines).encode(), exact=False)
    settings = Settings()
    store, originals = load(source)
    local = Evaluator(store, prefixes(settings.base_iri), settings.base_iri, originals)
    light = "SELECT * {{ <http://example.org/{}> ?p ?o }}"
    row("a light query, evaluated in place", timed(lambda n: local.evaluate(Request(light.format(n), "json"), len)))
    del store

    async def measure() -> None:
        engine = Supervisor(source, settings)
        await engine.start()
        took = []
        for number in range(_ROUNDS):
            began = time.perf_counter()
            await engine.evaluate(Query(light.format(number), format="json"))
            took.append(time.perf_counter() - began)
        row("the same in an evaluator that can be killed", took)
        ready = asyncio.Event()
        told = engine.evaluator_ready
        engine.evaluator_ready = lambda evaluator: (told(evaluator), ready.set())  # type: ignore[assignment,method-assign,func-returns-value]
        took = []
        for _ in range(50):
            ready.clear()
            assert engine._pool is not None
            evaluator = engine._pool.idle.popleft()
            began = time.perf_counter()
            engine._end(evaluator)
            await ready.wait()
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)
        row(f"an evaluator killed and replaced, {triples:,} triples", took)
        await engine.close()

    asyncio.run(measure())


def beside_runaways() -> None:
    """Print how small queries fare beside many runaways of another client, and what memory these take."""
    hungry = [abuse.text for abuse in QUERIES if abuse.statuses == (503,)]
    requests = [query_request(f"{hungry[n % len(hungry)]} # {n}", "*/*") for n in range(RUNAWAYS)]
    with serving() as target:
        with Beside(target, pause=0.01) as quiet:
            time.sleep(3)
        with Beside(target, pause=0.01) as beside:
            replies = at_once(target._replace(source="127.0.0.2"), requests)
    row("small queries over HTTP, quiet", quiet.took)
    row(f"the same beside {RUNAWAYS} runaways", beside.took)
    print(
        f"\nOf {len(beside.took)} small queries {len(beside.failed)} failed. Memory: {beside.base >> 20} MiB before, ",
        end="",
    )
    print(
        f"{beside.most >> 20} MiB at most. The last runaway was answered {max(r.seconds for r in replies):.2f} s",
        end="",
    )
    print(f" after it was asked (limit: {Settings().query_timeout:g} s), all with { ({r.status for r in replies}) }.")


if __name__ == "__main__":
    print("||best|median|99th percentile|\n|---|---|---|---|")
    of_the_engine(int(sys.argv[1]) if len(sys.argv) > 1 else TRIPLES)
    beside_runaways()
