"""Replies by themselves: encodings, validators, what is kept."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from rsm_graph.web.replies import Kept, Reply, preferred_encoding


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("", ""),
        ("gzip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip;q=0", ""),
        ("*", "zstd"),
        ("*;q=0", ""),
        ("zstd;q=0, *", "gzip"),
        ("identity, gzip;q=0.5", ""),
        ("GZIP", "gzip"),
        ("gzip;q=nonsense", ""),
        (";;,,=", ""),
    ],
)
def test_the_content_coding_is_negotiated(accepted: str, chosen: str) -> None:
    assert preferred_encoding(accepted.encode()) == chosen


def test_what_is_kept_stays_within_its_bound() -> None:
    kept = Kept(200_000)
    for number in range(100):
        kept.put((str(number),), Reply(b"x" * 5000, "application/octet-stream"))
    assert kept.size <= 200_000
    assert kept.get(("99",)) is not None
    assert kept.get(("0",)) is None
    kept.put(("large",), Reply(b"x" * 100_000, "application/octet-stream"))
    assert kept.get(("large",)) is None


def test_long_keys_take_room_too() -> None:
    kept = Kept(100_000)
    for number in range(100):
        kept.put((b"x" * 9000 + b"%d" % number,), Reply(b"x", "text/plain"))
    assert len(kept) < 12


def test_the_least_recently_used_goes_first() -> None:
    kept = Kept(60_000)
    reply = Reply(b"x" * 5000, "application/octet-stream")
    for number in range(8):
        kept.put((str(number),), reply)
        kept.get(("0",))
    for number in range(8, 12):
        kept.put((str(number),), reply)
        kept.get(("0",))
    assert kept.get(("0",)) is not None
    assert kept.get(("1",)) is None


def sent(reply: Reply, **fields: str) -> tuple[int, dict[str, str], bytes]:
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing to receive")

    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    asyncio.run(reply({"type": "http", "headers": lines}, receive, send))
    headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
    return messages[0]["status"], headers, messages[1]["body"]


def test_a_reply_is_revalidated_by_the_tag_of_the_form_that_would_be_sent() -> None:
    reply = Reply(b"text " * 1000, "text/plain")
    tag = sent(reply)[1]["etag"]
    packed = sent(reply, accept_encoding="gzip")[1]["etag"]
    assert tag != packed
    assert sent(reply, if_none_match=tag)[0] == 304
    assert sent(reply, if_none_match=f"W/{tag}")[0] == 304
    assert sent(reply, if_none_match="*")[0] == 304
    assert sent(reply, if_none_match=packed)[0] == 200
    assert sent(reply, accept_encoding="gzip", if_none_match=packed)[0] == 304


def test_errors_are_never_revalidated_or_kept() -> None:
    reply = Reply(b"{}", "application/problem+json", status=404)
    status, headers, _ = sent(reply, if_none_match="*")
    assert status == 404
    assert "etag" not in headers
    assert not reply.keep


def test_a_full_collection_has_little_to_look_at_in_what_is_kept() -> None:
    kept = Kept(10**8)
    gc.collect()
    before = len(gc.get_objects())
    for number in range(1000):
        reply = Reply(b"%d" % number * 500, "text/plain", extra=[("server-timing", f"query;dur={number}")])
        assert reply.wire(b"") is not None
        kept.put((b"/sparql?query=%d" % number, b"text/plain", b"host"), reply)
    gc.collect()
    assert len(gc.get_objects()) - before < 1100
