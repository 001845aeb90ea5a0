"""Says in few words what is wrong with a query that the engine's parser does not take, and where.

The parser reports the furthest place that any of its rules has looked at. A rule for a keyword looks as far ahead as
the keyword is long, so this place can lie words behind the fault, or at the end. With wide gaps between the words of
the query it lies in the gap behind the right one.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from rsm_graph.engine import screen
from rsm_graph.errors import QueryError, QuerySyntaxError

_PLACE = re.compile(r"error at (\d+):(\d+): (?:expected (?:one of )?)?(.*)", re.DOTALL)
_GAP = " " * 24
"""Wider than the longest keyword."""
_END = "\n" + "\0" * 24
"""Stands behind the query; nothing takes it."""
_SIGN = re.compile(r'"(?:[^"\\]|\\.){1,3}"')
_KEYWORD = re.compile(r"\b[A-Z][A-Z_]+\b")
_REASONS = (
    ("Prefix not found", "This prefix is not declared.", "here"),
    ("IRI parsing failed", "This IRI is not valid.", "before"),
    ("SELECT * is not authorized with GROUP BY", "SELECT * cannot stand beside GROUP BY.", "SELECT"),
    ("Duplicated variable name in SELECT", "SELECT names a variable twice.", "SELECT"),
    ("The SELECT contains a variable that is unbound", "SELECT names a variable that is not grouped by.", "SELECT"),
)


def complaint(text: str, message: str, limits: screen.Limits, parse: Callable[[str], object]) -> QueryError:
    """Return the error for a query.

    ``message`` is what the parser said; ``parse`` has it read another text and raises ``SyntaxError`` as it does.
    """
    try:
        # Brackets and quotation marks that do not match are best explained by themselves.
        screen.examine(text, limits)
    except QueryError as error:
        return error
    stream = list(screen.tokens(text))
    if stream[-1].kind == "doubtful":
        return screen.doubt(text, stream[-1].start)
    index, expected = _fault(stream, parse)
    for words, reason, where in _REASONS:
        if words in message:
            return QuerySyntaxError(reason, *screen.position(text, _start(text, stream, index, where)))
    found = stream[index] if index < len(stream) else None
    reason = f"Unexpected {found.text[:40]!r}" if found else "Unexpected end of the query"
    signs = [sign.replace('\\"', '"') for sign in _SIGN.findall(expected)]
    options = list(dict.fromkeys([*signs, *_KEYWORD.findall(_SIGN.sub("", expected))]))
    # Beside a long keyword the shorter ones that would do as well go unreported.
    if 0 < len(options) <= 6 and max(map(len, options)) <= 3:
        reason += f"; expected {' or '.join(options)}"
    return QuerySyntaxError(f"{reason}.", *screen.position(text, found.start if found else len(text.rstrip())))


def _fault(stream: list[screen.Token], parse: Callable[[str], object]) -> tuple[int, str]:
    """Return the index of the token that the parser stumbles over, and what it would have taken instead."""
    parts: list[str] = []
    starts: list[int] = []
    length = behind = 0
    kind = ""
    for token in stream:
        space = token.start > behind or token.kind in ("open", "close") or kind in ("open", "close")
        part = (_GAP if space else "") + token.text.replace("\n", " ")
        starts.append(length + len(part) - len(token.text))
        parts.append(part)
        length += len(part)
        behind, kind = token.start + len(token.text), token.kind
    try:
        parse("".join(parts) + _GAP + _END)
    except SyntaxError as error:
        match = _PLACE.match(str(error.msg))
        if match is not None:
            place = int(match[2]) - 1 if match[1] == "1" else length + len(_GAP)
            last = max((i for i, start in enumerate(starts) if start <= place), default=0)
            return (last + 1 if place >= length + len(_GAP) else last), match[3]
    return len(stream), ""


def _start(text: str, stream: list[screen.Token], index: int, where: str) -> int:
    here = stream[min(index, len(stream) - 1)].start
    if where == "before":
        return max(text.rfind("<", 0, here + 1), 0)
    if where == "SELECT":
        return next((token.start for token in stream if token.text.upper() == "SELECT"), here)
    return here
