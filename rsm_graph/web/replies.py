"""One kind of answer for everything this server sends: bytes that are known whole before the first is sent.

A :class:`Reply` knows its validators (RFC 9110, 8.8), its compressed variants and, where that makes sense, byte
ranges. It is made once, may be kept by :class:`Kept`, and answers any number of requests.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from http import HTTPStatus

import zstandard
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rsm_graph.engine import Answer

Header = tuple[bytes, bytes]

SHARED = "public, max-age=60"
"""For what a new release changes: caches ask again after a minute, and get a 304."""
FOREVER = "public, max-age=31536000, immutable"
"""For what carries a digest of its content in its address."""
NEVER = "no-store"

_SMALL = 860
"""Bytes below which compression gains nothing on the wire."""
_LONG = 512 * 1024
"""Bytes from which work on a body leaves the event loop."""
_COMPRESSIBLE = re.compile(r"text/|application/(?!gzip|zstd|octet-stream)|image/svg")
_RANGE = re.compile(rb"bytes=(\d{0,18})-(\d{0,18})$")


def head(scope: Scope) -> dict[bytes, bytes]:
    """Return the request's header fields by lower-case name; lines of one name are joined (RFC 9110, 5.3)."""
    found: dict[bytes, bytes] | None = scope.get("rsm_graph.head")
    if found is None:
        lines: list[Header] = scope["headers"]
        found = dict(lines)
        if len(found) != len(lines):
            found = {}
            for name, value in lines:
                found[name] = found[name] + b", " + value if name in found else value
        scope["rsm_graph.head"] = found
    return found


_OF_CONTENT = (b"content-type", b"content-disposition", b"accept-ranges")
"""Fields that say something about a body, and so have no place beside none (RFC 9110, 15.4.5)."""


class Reply(Response):
    """A whole answer. ``extra`` are further header fields; a status other than 200 has no validators.

    ``vary`` names the request fields that chose it, beside ``Accept-Encoding``; ``ranges`` lets clients ask for
    a part (RFC 9110, 14) and is for files. ``keep`` says whether an equal request may get the same reply again.
    """

    def __init__(
        self,
        body: bytes,
        content_type: str,
        *,
        status: int = 200,
        extra: Iterable[tuple[str, str]] = (),
        modified: datetime | None = None,
        cache: str = SHARED,
        vary: str = "Accept",
        ranges: bool = False,
        etag: str = "",
        keep: bool = True,
    ) -> None:
        self.status_code = status
        self.keep = keep and status in (200, 303) and cache != NEVER
        self.content = body
        self.background = None
        self._ranges = ranges
        self._modified = modified.replace(microsecond=0) if modified else None
        self._etag = (etag or hashlib.blake2b(body, digest_size=12).hexdigest()) if status == 200 else ""
        self._compressible = _COMPRESSIBLE.match(content_type) is not None and len(body) >= _SMALL
        common = [_line(*pair) for pair in extra]
        common.append(_line("cache-control", cache))
        fields = ", ".join(filter(None, (vary, "Accept-Encoding" if self._compressible else "")))
        if fields:
            common.append(_line("vary", fields))
        if self._modified and status == 200:
            common.append((b"last-modified", format_datetime(self._modified, usegmt=True).encode()))
        if ranges:
            common.append((b"accept-ranges", b"bytes"))
        if content_type:
            common.append(_line("content-type", content_type))
        # Bytes, and tuples and dictionaries of bytes, are nothing to the garbage collector, which looks at every kept
        # reply in a full collection: with lists here it held up requests for a tenth of a second.
        self._common = tuple(common)
        self._bodies = {"": body}
        """By content coding, and so are the heads that go before them over a connection."""
        self._heads: dict[str, bytes] = {}

    @property
    def size(self) -> int:
        """Bytes that keeping this reply costs, its compressed variants counted in advance."""
        return len(self.content) + (len(self.content) // 2 if self._compressible else 0) + 1500

    def _fields(self, encoding: str, length: int) -> list[Header]:
        sized = self.status_code != 204  # which says no length (RFC 9110, 8.6)
        lines = [(b"content-length", b"%d" % length), *self._common] if sized else [*self._common]
        if self._etag:
            lines.append((b"etag", self._tag(encoding)))
        if encoding:
            lines.append((b"content-encoding", encoding.encode()))
        return lines

    def _tag(self, encoding: str) -> bytes:
        # A strong validator differs between the encoded forms of one thing (RFC 9110, 8.8.3.3).
        return f'"{self._etag}-{encoding}"'.encode() if encoding else f'"{self._etag}"'.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI)
        scope["rsm_graph.reply"] = self
        asked = head(scope)
        encoding = preferred_encoding(asked.get(b"accept-encoding", b"")) if self._compressible else ""
        if self._etag:
            if self._unchanged(asked, encoding):
                keep = [(n, v) for n, v in self._common if n not in _OF_CONTENT]
                await _send(send, 304, [*keep, (b"etag", self._tag(encoding))], b"")
                return
            if self._ranges and b"range" in asked and await self._part(asked, scope, send):
                return
        body = self._bodies.get(encoding)
        if body is None:
            body = await self._compress(encoding)
        headers = self._fields(encoding, len(body))
        await _send(send, self.status_code, headers, b"" if scope.get("rsm_graph.bodiless") else body)

    def _unchanged(self, asked: dict[bytes, bytes], encoding: str) -> bool:
        known = asked.get(b"if-none-match")
        if known is not None:  # wins over the date (RFC 9110, 13.2.2); compared weakly (13.1.2)
            return known.strip() == b"*" or self._tag(encoding) in {
                tag.strip().removeprefix(b"W/") for tag in known.split(b",")
            }
        since = asked.get(b"if-modified-since")
        return bool(since and self._modified and _not_after(self._modified, since))

    async def _part(self, asked: dict[bytes, bytes], scope: Scope, send: Send) -> bool:
        """Answer with one range of the unencoded body; return whether the request had a range to answer.

        A range of the encoded form is what the standard offers too, but clients that ask for encodings by habit
        expect a part of the file.
        """
        condition = asked.get(b"if-range")
        if condition is not None and condition != self._tag("") and not self._same_date(condition):
            return False
        matched = _RANGE.match(asked[b"range"].strip())
        if matched is None or matched[0] == b"bytes=-":
            return False
        total = len(self.content)
        if matched[1]:
            start, end = int(matched[1]), min(int(matched[2] or total), total - 1)
        else:
            start, end = max(0, total - int(matched[2])), total - 1
        if start > end or start >= total:
            if matched[1] and matched[2] and int(matched[2]) < int(matched[1]):
                return False  # not a valid range at all, so it is ignored (RFC 9110, 14.1.1)
            await _send(send, 416, [(b"content-range", b"bytes */%d" % total), (b"content-length", b"0")], b"")
            return True
        body = self.content[start : end + 1]
        place = (b"content-range", b"bytes %d-%d/%d" % (start, end, total))
        headers = [*self._fields("", len(body)), place]
        await _send(send, 206, headers, b"" if scope.get("rsm_graph.bodiless") else body)
        return True

    def _same_date(self, value: bytes) -> bool:
        return bool(self._modified) and value == format_datetime(self._modified or _EPOCH, usegmt=True).encode()

    async def _compress(self, encoding: str) -> bytes:
        if len(self.content) < _LONG:
            packed = _packed(self.content, encoding)
        else:
            packed = await asyncio.to_thread(_packed, self.content, encoding)
        self.add_variant(encoding, packed)
        return packed

    def wire(self, accepted: bytes) -> tuple[bytes, bytes] | None:
        """Return the head (without its last empty line) and the body as they go over an HTTP/1.1 connection.

        ``accepted`` is the request's ``Accept-Encoding``. Nothing when the form it asks for is not made yet.
        """
        encoding = preferred_encoding(accepted) if self._compressible else ""
        body = self._bodies.get(encoding)
        return None if body is None else (self._heads.get(encoding) or self._head(encoding, body), body)

    async def sent(self, accepted: bytes) -> tuple[bytes, Iterable[bytes], int]:
        """Return head, parts and length as :meth:`wire` does, making the form that is asked for."""
        found = self.wire(accepted)
        if found is None:
            await self._compress(preferred_encoding(accepted))
            found = self.wire(accepted)
        assert found is not None
        head, body = found
        return head, (body,), len(body)

    def _head(self, encoding: str, body: bytes) -> bytes:
        head = self._heads[encoding] = _head(self.status_code, self._fields(encoding, len(body)))
        return head

    def add_variant(self, encoding: str, body: bytes) -> None:
        """Take a compressed form: this one's own, or a file that the build has written."""
        self._bodies[encoding] = body


class Spooled(Response):
    """An answer too long to keep: sent from its temporary file, a chunk at a time, with its length known."""

    def __init__(self, answer: Answer, extra: Iterable[tuple[str, str]] = ()) -> None:
        self.status_code = 200
        self.background = None
        self._answer = answer
        self._lines: list[Header] = [
            (b"content-type", answer.media_type.encode()),
            (b"content-length", str(answer.length).encode()),
            (b"cache-control", NEVER.encode()),
            (b"vary", b"Accept"),
            *((name.lower().encode(), value.encode("latin-1")) for name, value in extra),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 (ASGI)
        await send({"type": "http.response.start", "status": 200, "headers": self._lines})
        if not scope.get("rsm_graph.bodiless"):
            async for chunk in self._answer.chunks():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def sent(self, accepted: bytes) -> tuple[bytes, Iterable[bytes], int]:  # noqa: ARG002 (see Reply.sent)
        """Return head, parts and length as they go over an HTTP/1.1 connection."""
        return _head(200, self._lines), self._answer.parts(), self._answer.length


Sent = Reply | Spooled


Key = tuple[bytes | str, ...]


class Kept:
    """Replies kept in memory under keys, the least recently used dropped beyond a number of bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._replies: OrderedDict[Key, Reply] = OrderedDict()

    @property
    def size(self) -> int:
        """Bytes kept now."""
        return self._size

    def __len__(self) -> int:
        return len(self._replies)

    def get(self, key: Key) -> Reply | None:
        """Return the reply kept under ``key``."""
        found = self._replies.get(key)
        if found is not None:
            self._replies.move_to_end(key)
        return found

    def put(self, key: Key, reply: Reply) -> None:
        """Keep a reply, unless it would take more than an eighth of all the room."""
        size = reply.size + _size(key)
        if size > self._limit // 8:
            return
        old = self._replies.pop(key, None)
        self._size += size - (old.size + _size(key) if old else 0)
        self._replies[key] = reply
        while self._size > self._limit:
            key, gone = self._replies.popitem(last=False)
            self._size -= gone.size + _size(key)


def _size(key: Key) -> int:
    """Return the bytes that a key takes at most: a long one takes room too."""
    return sum(len(part) if isinstance(part, bytes) else 4 * len(part) for part in key)


def _head(status: int, headers: Iterable[Header]) -> bytes:
    lines = [b"HTTP/1.1 %d %s\r\n" % (status, HTTPStatus(status).phrase.encode())]
    return b"".join([*lines, *(b"%s: %s\r\n" % line for line in headers)])


@lru_cache(maxsize=1024)
def _line(name: str, value: str) -> Header:
    return name.lower().encode(), value.encode("latin-1")


@lru_cache(maxsize=256)
def preferred_encoding(accepted: bytes) -> str:
    """Return the content coding to use for an ``Accept-Encoding`` value: ``zstd``, ``gzip`` or ``""`` for none."""
    weights: dict[str, float] = {}
    for part in accepted.decode("latin-1").lower().split(","):
        coding, _, parameter = part.partition(";")
        name, _, value = parameter.strip().partition("=")
        try:
            weights[coding.strip()] = float(value) if name.strip() == "q" else 1.0
        except ValueError:
            weights[coding.strip()] = 0.0
    anything = weights.get("*", 0.0)
    best = max(("zstd", "gzip"), key=lambda coding: weights.get(coding, anything))
    weight = weights.get(best, anything)
    return best if weight > 0 and weight >= weights.get("identity", 0.0) else ""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _not_after(modified: datetime, since: bytes) -> bool:
    try:
        date = parsedate_to_datetime(since.decode("latin-1"))
    except ValueError:
        return False
    return modified <= (date if date.tzinfo else date.replace(tzinfo=UTC))


def _packed(body: bytes, encoding: str) -> bytes:
    if encoding == "zstd":
        return zstandard.ZstdCompressor(level=6).compress(body)
    return gzip.compress(body, 6, mtime=0)


async def _send(send: Send, status: int, headers: list[Header], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
