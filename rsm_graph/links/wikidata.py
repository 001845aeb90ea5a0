"""Asks a Wikibase (by default Wikidata) for items, politely, and believes nothing that it has not looked at.

Requests carry a user agent that can be answered, wait between each other, honour ``Retry-After``, are repeated a few
times, and end: after a number of redirects (never to another server), of bytes, of seconds.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from rsm_graph import __version__
from rsm_graph.errors import RemoteError

ITEM = re.compile(r"Q[1-9][0-9]{0,11}")

Progress = Callable[[int, int, str], None]
"""Is told, before each link or thing, its number, how many there are, and what it is."""

TRIES = 4
REDIRECTS = 5
BYTES = 32 * 2**20
SECONDS = 60.0
"""Bounds of one question: how often it is asked, redirects followed, bytes and seconds of an answer."""

LONGEST_WAIT = 120.0
"""Seconds that a server may make us wait before a repetition; if it wants more, it is left alone."""

PATIENCE = 3
"""Questions that a server may leave without an answer, each repeated, before it is left alone."""

LONGEST_TEXT = 1_000
"""Characters of a label, a description or a value that are read."""

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
"""Control characters, changes of direction, halves of surrogate pairs."""

_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Date:
    """A date of a statement: ``text`` is as long as it is precise (``2015``, ``2015-01``, ``2015-01-01``)."""

    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """A coordinate of a statement."""

    latitude: float
    longitude: float


Value = str | Date | Point
"""A value of a statement: an item or a text as it is, or one of the two above."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item as it was seen. ``names`` holds labels and aliases in all languages; ``asked`` is what was asked for."""

    id: str
    asked: str
    label: str
    description: str
    names: frozenset[str]
    statements: Mapping[str, tuple[Value, ...]]
    wikipedia: str
    revision: int
    modified: str

    @property
    def redirected(self) -> bool:
        """Whether another item was asked for, and merged into this one."""
        return self.id != self.asked

    def values(self, prop: str) -> tuple[Value, ...]:
        """Return the values of a property, those of deprecated statements left out."""
        return self.statements.get(prop, ())


class Wikidata:
    """A Wikibase at an address (``https://www.wikidata.org``). Use it as a context manager."""

    def __init__(
        self,
        address: str,
        contact: str = "",
        *,
        pause: float = 0.5,
        seconds: float = SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._address = address.rstrip("/")
        self._pause = pause
        self._seconds = seconds
        self._sleep = sleep
        self._known: dict[str, Item | None] = {}
        self._asked = False
        self._unanswered = 0
        who = f"rsm-graph/{__version__} (https://w3id.org/rsm-graph/{f'; {contact}' if contact else ''})"
        self._client = httpx.Client(
            headers={"user-agent": f"{who} httpx/{httpx.__version__}", "accept": "application/json"},
            timeout=httpx.Timeout(min(20.0, seconds)),
            follow_redirects=False,
            trust_env=True,
        )

    def __enter__(self) -> Wikidata:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def item(self, key: str) -> Item | None:
        """Return an item as it is now, or ``None`` if there is none (any more); asked for once.

        Raises :class:`RemoteError` when the server gives no answer that can be trusted.
        """
        if key not in self._known:
            content = self._json(f"/wiki/Special:EntityData/{key}.json", {})
            self._known[key] = None if content is None else _item(content, key)
        return self._known[key]

    def by_title(self, title: str) -> str:
        """Return the item of an article of the English Wikipedia, or ``""``; one title has one item at most."""
        content = self._api(action="wbgetentities", sites="enwiki", titles=title, props="info", redirects="yes")
        return next((key for key in _object(content, "entities") if ITEM.fullmatch(key)), "")

    def by_label(self, text: str, most: int = 7) -> list[str]:
        """Return the items that a search for a label finds."""
        content = self._api(
            action="wbsearchentities", search=text[:250], language="en", uselang="en", type="item", limit=str(most)
        )
        found = content.get("search")
        keys = [hit.get("id") for hit in found if isinstance(hit, dict)] if isinstance(found, list) else []
        return [key for key in keys if isinstance(key, str) and ITEM.fullmatch(key)]

    def is_a(self, key: str, root: str, most: int = 25) -> bool | None:
        """Return whether an item is an instance of a class or of one below it; ``None`` if that stayed open.

        At most ``most`` classes are looked at.
        """
        start = self.item(key)
        pending = [v for v in start.values("P31") if isinstance(v, str)] if start else []
        seen = set[str]()
        while pending:
            cls = pending.pop(0)
            if cls == root:
                return True
            if cls in seen or not ITEM.fullmatch(cls):
                continue
            if len(seen) == most:
                return None
            seen.add(cls)
            above = self.item(cls)
            pending += [v for v in above.values("P279") if isinstance(v, str)] if above else []
        return False

    def _api(self, **parameters: str) -> dict[str, Any]:
        content = self._json("/w/api.php", {**parameters, "format": "json", "formatversion": "1", "maxlag": "5"})
        if content is None:
            raise RemoteError(f"{self._address}/w/api.php: not found.", "Check the address of Wikidata.")
        return content

    def _json(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any] | None:
        """Return a JSON object; ``None`` when the server says that there is no such thing.

        A server that leaves :data:`PATIENCE` questions in a row without an answer is not asked again.
        """
        address = self._address + path
        if self._unanswered >= PATIENCE:
            raise RemoteError(
                f"{address}: not asked, after {PATIENCE} questions without an answer.", "Try again later."
            )
        try:
            content = self._repeated(address, parameters)
        except RemoteError:
            self._unanswered += 1
            raise
        self._unanswered = 0
        return content

    def _repeated(self, address: str, parameters: Mapping[str, str]) -> dict[str, Any] | None:
        wait = 1.0
        for attempt in range(1, TRIES + 1):
            if self._asked and self._pause:
                self._sleep(self._pause)
            self._asked = True
            try:
                status, headers, body = self._get(address, parameters)
            except httpx.HTTPError as error:
                fault, asked_for = RemoteError(f"{address}: {_words(error)}.", "Try again later."), None
            else:
                if status in (404, 410):
                    return None
                if status == 200:
                    content = _read(address, headers, body)
                    if not _lagging(content):
                        return content
                    fault = RemoteError(f"{address}: its database lags behind.", "Try again later.")
                elif status in _AGAIN:
                    fault = RemoteError(f"{address}: answered {status}.", "Try again later.")
                else:
                    raise RemoteError(f"{address}: answered {status}.", "Check the address of Wikidata.")
                asked_for = retry_after(headers.get("retry-after", ""), datetime.now(UTC))
            if attempt == TRIES or (asked_for or 0) > LONGEST_WAIT:
                raise fault
            self._sleep(max(asked_for or 0.0, wait))
            wait *= 2
        raise AssertionError("the last attempt returns or raises")

    def _get(self, address: str, parameters: Mapping[str, str]) -> tuple[int, httpx.Headers, bytes]:
        """Follow redirects on the same server only; bound time and size of what comes."""
        deadline = time.monotonic() + self._seconds
        try:
            url = httpx.URL(address, params=dict(parameters)) if parameters else httpx.URL(address)
        except httpx.InvalidURL as error:
            raise RemoteError(f"{address[:80]}: no address ({error}).", "Check the address of Wikidata.") from error
        for _ in range(REDIRECTS + 1):
            with self._client.stream("GET", url) as response:
                if response.has_redirect_location:
                    target = url.join(response.headers["location"])
                    if (target.scheme, target.host, target.port) != (url.scheme, url.host, url.port):
                        raise RemoteError(
                            f"{url.host} sends on to another server, {target.host[:80]}.", "That is not followed."
                        )
                    url = target
                    continue
                parts, size = [], 0
                for part in response.iter_bytes():
                    size += len(part)
                    parts.append(part)
                    if size > BYTES:
                        raise RemoteError(f"{address}: more than {BYTES:,} bytes.", "That is no item.")
                    if time.monotonic() > deadline:
                        raise RemoteError(f"{address}: took more than {self._seconds:g} s.", "Try again later.")
                return response.status_code, response.headers, b"".join(parts)
        raise RemoteError(f"{address}: more than {REDIRECTS} redirects.", "Check the address of Wikidata.")


def retry_after(value: str, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` field (RFC 9110, 10.2.3) asks to wait; ``None`` if it has none."""
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds())


def _words(error: httpx.HTTPError) -> str:
    return f"{str(error).rstrip('.') or type(error).__name__}"


def _read(address: str, headers: httpx.Headers, body: bytes) -> dict[str, Any]:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RemoteError(f"{address}: answered {kind[:60] or 'no media type'}, not JSON.", "Is that a Wikibase?")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RemoteError(f"{address}: its JSON is broken.", "Try again later.") from error
    if not isinstance(content, dict):
        raise RemoteError(f"{address}: its JSON is no object.", "Is that a Wikibase?")
    return content


def _lagging(content: dict[str, Any]) -> bool:
    return _object(content, "error").get("code") in ("maxlag", "ratelimited", "readonly")


def _object(content: Any, *path: str) -> dict[str, Any]:
    """Return the object at a path of keys, or an empty one: what comes from outside may have any form."""
    for key in path:
        content = content.get(key) if isinstance(content, dict) else None
    return content if isinstance(content, dict) else {}


def _text(content: Any, *path: str) -> str:
    """Return the text at a path, or an empty one; without what steers a terminal or cannot be written as UTF-8."""
    value = _object(content, *path[:-1]).get(path[-1])
    return _UNSEEN.sub(" ", value[:LONGEST_TEXT]).strip() if isinstance(value, str) else ""


def _item(content: dict[str, Any], asked: str) -> Item:
    entities = _object(content, "entities")
    found = entities.get(asked) or next(iter(entities.values()), None)
    key = _text(found, "id")
    if not isinstance(found, dict) or not ITEM.fullmatch(key):
        raise RemoteError(f"{asked}: the answer holds no item.", "Is that a Wikibase?")
    names = {_text(label, "value") for label in _object(found, "labels").values()}
    for aliases in _object(found, "aliases").values():
        names |= {_text(alias, "value") for alias in (aliases if isinstance(aliases, list) else ())}
    statements = {
        prop: tuple(value for one in claims if (value := _value(one)) is not None)
        for prop, claims in _object(found, "claims").items()
        if isinstance(claims, list)
    }
    revision = found.get("lastrevid")
    return Item(
        id=key,
        asked=asked,
        label=_text(found, "labels", "en", "value"),
        description=_text(found, "descriptions", "en", "value"),
        names=frozenset(names - {""}),
        statements=statements,
        wikipedia=_text(found, "sitelinks", "enwiki", "title"),
        revision=revision if isinstance(revision, int) else 0,
        modified=_text(found, "modified"),
    )


def _value(statement: Any) -> Value | None:
    if _text(statement, "rank") == "deprecated":
        return None
    value = _object(statement, "mainsnak", "datavalue").get("value")
    if isinstance(value, str):
        return _text({"value": value}, "value")
    if not isinstance(value, dict):
        return None
    if time_text := _text(value, "time"):
        return _date(time_text, value.get("precision"))
    latitude, longitude = value.get("latitude"), value.get("longitude")
    if isinstance(latitude, int | float) and isinstance(longitude, int | float):
        if not (-90 <= latitude <= 90 and -180 <= longitude <= 360):  # NaN and infinity are in no range
            return None
        return Point(float(latitude), float(longitude))
    return _text(value, "id") or _text(value, "text") or _text(value, "amount").lstrip("+") or None


def _date(text: str, precision: object) -> Date | None:
    """Read a Wikibase time such as ``+2015-01-00T00:00:00Z``; precision 9 is a year, 10 a month, 11 a day."""
    parts = re.match(r"[+-]?0*(\d{4})-(\d\d)-(\d\d)T", text)
    length = {9: 1, 10: 2, 11: 3}.get(precision if isinstance(precision, int) else 0)
    return Date("-".join(parts.groups()[:length])) if parts and length else None
