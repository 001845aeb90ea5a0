"""Every abuse is answered properly and in time, and whoever asks beside it goes unharmed."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from .cases import ALL, QUERIES, REQUESTS, Abuse
from .target import Beside, Target, at_once, get, memory, query_request, serving

SECONDS = 0.3
"""The limit of a query here."""
ARRIVAL = 1.0
"""The limit of a request's arrival here."""
GRACE = 0.25
"""What an answer may take beyond the limit of its query."""
RUNAWAYS = 60

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what protects is Linux")


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """A server with short limits that takes all the abuse of this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RSM_GRAPH_REQUEST_TIMEOUT", str(ARRIVAL))
        with serving("--query-timeout", str(SECONDS)) as running:
            for path in ("/", "/search?q=warm", "/reconcile/suggest/entity?prefix=warm"):
                running.send(get(path))  # what is made when it is first asked for
            yield running


@pytest.mark.parametrize("abuse", ALL, ids=lambda abuse: abuse.name)
def test_abuse(target: Target, abuse: Abuse) -> None:
    with Beside(target) as beside:
        reply = abuse.inflict(target)
    assert reply.status in abuse.statuses, reply
    if reply.status != 200:
        assert reply.length < 2000
        assert b"Traceback" not in reply.body
        assert b"/rsm_graph/" not in reply.body
    assert not beside.failed
    assert beside.slowest < 0.5
    assert beside.most - beside.base < 500 * 2**20
    if abuse.single:
        assert reply.answers == 1
    if abuse in QUERIES:
        assert reply.seconds < SECONDS + GRACE
    elif abuse in REQUESTS:
        assert reply.seconds < 1.5
    else:
        assert reply.seconds < 2 * ARRIVAL


@pytest.mark.parametrize("abuse", QUERIES[:6], ids=lambda abuse: abuse.name)
def test_a_query_in_the_address_of_a_connection_that_stays(target: Target, abuse: Abuse) -> None:
    request = get(f"/sparql?query={quote(abuse.text)}", "Accept: */*").replace(b"Connection: close\r\n", b"")
    with Beside(target) as beside:
        reply = target.send(request)
    assert reply.status in abuse.statuses
    assert reply.seconds < SECONDS + GRACE
    assert not beside.failed


def test_the_server_has_survived_it_all(target: Target) -> None:
    metrics = target.send(get("/metrics"))
    assert metrics.status == 200
    assert b"rsm_graph_engine_rebuilds_total 0" in metrics.body
    until = time.monotonic() + 5
    while memory(target.pid) > 500 * 2**20:
        assert time.monotonic() < until, "the memory of what was refused is not given back"
        time.sleep(0.1)


def test_pages_that_are_made_hold_up_nobody(target: Target) -> None:
    paths = [f"/{path}?{number}" for number in range(5) for path in ("", "ontology", "sources", "sitemap.xml")]
    with Beside(target, pause=0.01) as beside:
        replies = at_once(target, [get(path) for path in paths])
    assert {reply.status for reply in replies} == {200}
    assert not beside.failed
    assert sorted(beside.took)[len(beside.took) // 2] < GRACE


def test_sixty_runaways_at_once() -> None:
    hungry = [abuse.text for abuse in QUERIES if abuse.statuses == (503,)]
    # Equal queries would be evaluated once.
    requests = [query_request(f"{hungry[n % len(hungry)]} # {n}", "*/*") for n in range(RUNAWAYS)]
    with serving("--query-timeout", "2") as target, Beside(target, pause=0.02) as beside:
        replies = at_once(target._replace(source="127.0.0.2"), requests)
        assert {reply.status for reply in replies} == {503}
    assert max(reply.seconds for reply in replies) < 2 + GRACE
    assert not beside.failed
    assert beside.most - beside.base < 2**30
    took = sorted(beside.took)
    # On two processors with other work it was 0.07 to 0.10 s, alone a few milliseconds.
    assert took[len(took) // 2] < GRACE


def test_the_list_of_outcomes_is_of_these_cases() -> None:
    listed = re.findall(r"^\|([^|]+)\|(\d+)\|", Path(__file__).with_name("README.md").read_text(), re.MULTILINE)
    assert [name for name, _ in listed] == [abuse.name for abuse in ALL]
    assert all(int(status) in abuse.statuses for (_, status), abuse in zip(listed, ALL, strict=True))
