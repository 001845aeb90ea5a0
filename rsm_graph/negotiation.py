"""Proactive content negotiation by media type (RFC 9110, 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from webob.acceptparse import create_accept_header

from rsm_graph.errors import NotAcceptable
from rsm_graph.formats import Format

# Parameters that a client may name and that change nothing: text is always UTF-8, and a JSON-LD document written
# here with full context satisfies each of these profiles' media type parameters.
_CHARSET = ";charset=utf-8"
_PROFILES = tuple(f';profile="http://www.w3.org/ns/json-ld#{name}"' for name in ("expanded", "compacted", "flattened"))


def negotiate(accept: str, offered: Sequence[Format]) -> Format:
    """Return the row of ``offered`` that the ``Accept`` header value prefers, the earlier one among equals.

    An empty or malformed header takes anything, so the first row is returned. Raises :class:`NotAcceptable`
    when the header excludes every row.
    """
    if not accept:
        return offered[0]
    return _negotiate(accept, tuple(offered))


@lru_cache(maxsize=1024)
def _negotiate(accept: str, offered: tuple[Format, ...]) -> Format:
    named = accept.lower()
    rows = {media_type: row for row in reversed(offered) for media_type in reversed(_media_types(row, named))}
    in_order = [media_type for row in offered for media_type in _media_types(row, named)]
    acceptable = create_accept_header(accept).acceptable_offers(in_order)
    if not acceptable:
        known = ", ".join(row.media_type for row in offered)
        raise NotAcceptable("Nothing here has a media type that the request accepts.", f"On offer: {known}.")
    return rows[acceptable[0][0]]


def _media_types(row: Format, named: str) -> list[str]:
    """Return what a row is offered as: its media type, and those of its aliases that the header ``named`` names.

    A wildcard never means an alias: ``text/*`` asks for CSV, not for XML, and ``*/*`` beside a refusal of the row's
    own media type does not bring the row back.
    """
    plain = [row.media_type, *(alias for alias in row.aliases if alias in named)]
    extra = [f"{row.media_type}{profile}" for profile in _PROFILES] if row.name == "jsonld" else []
    return [*plain, *(f"{media_type}{_CHARSET}" for media_type in plain), *extra]
