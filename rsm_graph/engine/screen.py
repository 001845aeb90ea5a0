"""Reads the tokens of a query before the engine does, and says what is wrong with them.

The screen knows SPARQL's terminals (SPARQL 1.1, 19.8), not its grammar: enough to tell the form of a query, its
size and depth, whom it wants to call and which documents it wants to read. What it lets through is still only a
candidate for the engine's parser; nothing that parses is refused for its syntax, but for one thing.

In ``(?a<'b>c')`` an IRI stands behind ``?a``, since the longest terminal counts; the engine compares ``?a`` with a
string. What is a SERVICE in the one reading may lie within a string of the other. So reading ends at such a *doubtful*
token: a query that may call somebody is refused for it, and none is rewritten beyond it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Literal, NamedTuple

from rsm_graph.errors import QueryRefused, QuerySyntaxError, QueryTooLarge

Form = Literal["SELECT", "ASK", "CONSTRUCT", "DESCRIBE"]

# Possessive throughout, so that no text makes it try twice, and a string without an end takes no memory.
_TOKEN = re.compile(
    r"""
    (?: [\ \t\r\n]++ | \#[^\r\n]*+ )*+
    (?:
      (?P<iri> < (?: [^<>"{}|^`\\\x00-\x20]++ | \\u[0-9A-Fa-f]{4} | \\U[0-9A-Fa-f]{8} )*+ > )
    | (?P<string> \"{3} (?: \"{0,2} (?: [^"\\]++ | \\. ) )*+ \"{3}
                | '{3} (?: '{0,2} (?: [^'\\]++ | \\. ) )*+ '{3}
                | " (?: [^"\\\r\n]++ | \\. )*+ "
                | ' (?: [^'\\\r\n]++ | \\. )*+ ' )
    | (?P<quote> ["'] )
    | (?P<variable> [?$] \w+ )
    | (?P<run> (?: [^\W\d_] [\w.·-]* )? : (?: [\w:·.-] | %[0-9A-Fa-f]{2} | \\[_~.\-!$&'()*+,;=/?\#@%] )*
             | [^\W\d_] [\w.·-]* )
    | (?P<blank> _: \w (?: [\w.·-]* [\w·-] )? )
    | (?P<number> (?: \d+ \.? \d* | \.\d+ ) (?: [eE] [+-]? \d+ )? )
    | (?P<language> @ [A-Za-z]+ (?: - [A-Za-z0-9]+ )* )
    | (?P<open> [({\[] )
    | (?P<close> [)}\]] )
    | (?P<other> . )
    | (?P<end> \Z )
    )
    """,
    re.VERBOSE | re.DOTALL,
)
# A run of letters without a colon is one or more words: a full stop ends a triple, so "true.SERVICE" is two.
_PIECE = re.compile(r"(?P<word>[^\W\d_]\w*)|(?P<other>.)", re.DOTALL)
_CLOSING = {"(": ")", "{": "}", "[": "]"}
_BRACKET = re.compile(r"[(){}\[\]]")
# A comparison is nothing that goes on with "//"; without one of the signs behind, the terminals after it are the same.
_DOUBTFUL = re.compile(r"<(?![A-Za-z][A-Za-z0-9+.-]*://).*['#?$()\[\]]")
_FORMS = ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE")
_UPDATES = ("INSERT", "DELETE", "LOAD", "CLEAR", "CREATE", "DROP", "COPY", "MOVE", "ADD", "WITH")
_PROLOGUE = {"BASE": ("iri",), "PREFIX": ("name", "iri"), "VERSION": ("string",)}
_FIRST_WORD = re.compile(
    r"""
    (?: [\ \t\r\n]++ | \#[^\r\n]*+
      | BASE [\ \t\r\n]*+ <[^<>"{}|^`\x00-\x20]*+>
      | PREFIX [\ \t\r\n]*+ [^\W\d_]?+[\w.·-]*+ : [\ \t\r\n]*+ <[^<>"{}|^`\x00-\x20]*+>
      | VERSION [\ \t\r\n]*+ (?: "[^"\\\r\n]*+" | '[^'\\\r\n]*+' )
    )*+
    ([A-Za-z]++) (?! [\w:] )
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Wherever FROM can stand before an IRI, and a little more; never a place that a token list would not give.
_FROM = re.compile(r"from(?:[ \t\r\n]|#[^\r\n]*+)*+(?:<|named)")
# The engine's parser wants no space between keywords: "ORDER BYRAND()".
_ANEW = ("now", "rand", "uuid")
# Outside strings over several lines, a number sign at the beginning of a line is in none of the terminals that may hold
# one (19.8); nor is one behind a space with no quotation mark after it, for an IRI and a name end before the space.
_COMMENT = re.compile(r"#(?:(?<=[ \t]#)[^'\"\\\r\n]*+|(?<![^\r\n]#)[^\\\r\n]*+)(?![^\r\n])")
_DOCUMENT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


class Token(NamedTuple):
    """One terminal: its kind (a group of the token expression), its text, and where it begins."""

    kind: str
    text: str
    start: int


_NOTHING = Token("", "", 0)


@dataclass(frozen=True)
class Limits:
    """What a query's text may measure."""

    tokens: int = 250_000
    depth: int = 1_000


@dataclass(frozen=True)
class Screened:
    """What a query's text says about it."""

    form: Form
    services: tuple[str, ...] = ()
    """What stands behind each SERVICE: an IRI, or the variable or prefixed name as written."""
    documents: tuple[str, ...] = ()
    """Absolute IRIs behind FROM and FROM NAMED."""


def tokens(text: str) -> Iterator[Token]:
    """Yield the terminals of ``text``; white space and comments are left out, every other character is in one.

    Ends at a quotation mark that opens a string without an end, with a token of the kind ``quote``, and at what may be
    an IRI or a comparison, with one of the kind ``doubtful``.
    """
    new = tuple.__new__
    opened: list[str] = []
    compared = False  # whether what comes may be compared with what stands before
    for match in _TOKEN.finditer(text):
        kind: str = match.lastgroup  # type: ignore[assignment]
        if kind == "end":
            return
        value = match[kind]
        start = match.end() - len(value)
        if kind == "iri" and compared and opened[-1:] == ["("] and _DOUBTFUL.match(value):
            kind = "doubtful"
        elif kind == "open":
            opened.append(value)
        elif kind == "close" and opened:
            opened.pop()
        compared = kind not in ("open", "other") or value == ">"  # the last of "<<( … )>>"
        if kind != "run":
            yield new(Token, (kind, value, start))
            if kind in ("quote", "doubtful"):
                return
        elif value.isalnum():
            yield new(Token, ("word", value, start))
        elif ":" in value and value[-1] != ".":
            yield new(Token, ("name", value, start))
        else:
            yield from _run(value, start)


@lru_cache(maxsize=2)
def token_list(text: str) -> tuple[Token, ...]:
    """Return what :func:`tokens` yields; the last texts are remembered, for each is read several times."""
    return tuple(tokens(text))


def _run(value: str, start: int) -> Iterator[Token]:
    if ":" in value:
        name = value.rstrip(".")
        yield Token("name", name, start)
        for offset in range(len(name), len(value)):
            yield Token("other", ".", start + offset)
    else:
        for piece in _PIECE.finditer(value):
            yield Token(piece.lastgroup or "", piece[0], start + piece.start())


def position(text: str, start: int) -> tuple[int, int]:
    """Return line and column of a place in ``text``, both from 1."""
    return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)


def without_comments(text: str) -> str:
    """Return a query that means the same as ``text``, without comments as far as no token has to be read for that.

    Two queries that differ in such comments have one answer. Line breaks stay where they are.
    """
    if "#" not in text or '"""' in text or "'''" in text or "\\u" in text or "\\U" in text:
        return text  # an escaped character may be a quotation mark, or end a line (19.2)
    return _COMMENT.sub("", text).strip(" \t\r\n")


def computes_anew(text: str) -> bool:
    """Return whether a query may call NOW, RAND, UUID or STRUUID, whose values change (SPARQL 1.1, 17.4)."""
    lowered = text.lower()
    if not any(name in lowered for name in _ANEW):
        return False
    before = ""
    for kind, value, _ in token_list(text):
        if kind == "doubtful" or (value == "(" and before.lower().endswith(_ANEW)):
            return True
        before = value if kind == "word" else ""
    return False


def form_of(text: str) -> Form | None:
    """Return the form of a query from its first keyword after the prologue; ``None`` when there is none."""
    match = _FIRST_WORD.match(text)
    word = match[1].upper() if match else ""
    return word if word in _FORMS else None  # type: ignore[return-value]


def _after_prologue(text: str) -> Iterator[Token]:
    """Yield the tokens from the first one that is no part of a well-formed prologue."""
    stream = tokens(text)
    for token in stream:
        kinds = _PROLOGUE.get(token.text.upper(), ()) if token.kind == "word" else ()
        if not kinds:
            yield token
            yield from stream
        for kind in kinds:
            part = next(stream, None)
            if part is None:
                return
            if part.kind != kind:
                yield part
                return


def screen(text: str, limits: Limits) -> Screened:
    """Return what the text of a query says about it.

    Raises :class:`QueryTooLarge` beyond the limits, :class:`QueryRefused` for SPARQL Update, and
    :class:`QuerySyntaxError` for what cannot be a query whatever follows: no known form, brackets that do not match.
    """
    if (
        len(text) <= limits.tokens
        and text.count("(") + text.count("{") + text.count("[") <= limits.depth
        and not _may_call(text)
    ):
        form = form_of(text)
        if form is not None:
            return Screened(form)
    return examine(text, limits)


def _may_call(text: str) -> bool:
    """Return whether a query may have a SERVICE or a FROM, whatever its tokens are."""
    lowered = text.lower()
    return "service" in lowered or _FROM.search(lowered) is not None


def examine(text: str, limits: Limits) -> Screened:
    """Return and raise what :func:`screen` does, having read every token."""
    form = _form(text)
    services: list[str] = []
    documents: list[str] = []
    opened: list[Token] = []
    before = two_before = _NOTHING
    for count, token in enumerate(tokens(text), 1):
        kind, value, start = token
        if kind == "open":
            opened.append(token)
            if value == "{" and before.kind == "name" and two_before.text.upper() != "GRAPH":
                # The engine's parser wants no space after a keyword: "SERVICEex:x {" calls ex:x.
                prefix, _, local = before.text.partition(":")
                if "SERVICE" in prefix.upper():
                    services.append(f"{prefix.upper().rpartition('SERVICE')[2]}:{local}")
        elif kind == "close":
            if not opened or _CLOSING[opened[-1].text] != value:
                raise QuerySyntaxError(f"{value!r} closes nothing.", *position(text, start))
            opened.pop()
        elif kind == "quote":
            raise QuerySyntaxError("The string that begins here never ends.", *position(text, start))
        elif kind == "doubtful":
            if _may_call(text):
                raise doubt(text, start)
            if len(opened) + _deepest(text[start:]) > limits.depth:
                raise _too_deep(limits)
            return Screened(form)
        if before.kind == "word":
            word = before.text.upper()
            name = value[1:-1] if kind == "iri" else value
            earlier = two_before.text.upper()
            if word.endswith(("SERVICE", "SERVICESILENT")):
                if value.upper() != "SILENT":
                    services.append(name)
            elif word == "SILENT" and earlier.endswith("SERVICE"):
                services.append(name)
            elif (
                (word == "FROM" or (word == "NAMED" and earlier == "FROM")) and kind == "iri" and _DOCUMENT.match(name)
            ):
                documents.append(name)
        if len(opened) > limits.depth:
            raise _too_deep(limits)
        if count > limits.tokens:
            raise QueryTooLarge(f"The query has more than {limits.tokens} words and signs.", "Split it.")
        two_before, before = before, token
    if opened:
        raise QuerySyntaxError(f"{opened[-1].text!r} is never closed.", *position(text, opened[-1].start))
    return Screened(form, tuple(services), tuple(documents))


def _deepest(text: str) -> int:
    """Return how deep brackets are nested, those in strings and comments among them."""
    steps = (1 if bracket in _CLOSING else -1 for bracket in _BRACKET.findall(text))
    return max(accumulate(steps), default=0)


def _too_deep(limits: Limits) -> QueryTooLarge:
    return QueryTooLarge(f"The query nests its brackets deeper than {limits.depth}.", "Make it flatter.")


def doubt(text: str, start: int) -> QuerySyntaxError:
    """Return the error for a doubtful token at a place."""
    reason = "What begins here may be an IRI or a comparison: put a space behind <, or write the IRI with a prefix."
    return QuerySyntaxError(reason, *position(text, start))


def _form(text: str) -> Form:
    for token in _after_prologue(text):
        word = token.text.upper()
        if token.kind == "word" and word in _FORMS:
            return word  # type: ignore[return-value]
        if token.kind == "word" and word in _UPDATES:
            raise QueryRefused(f"SPARQL Update ({word}) is not offered here.", "The data are read-only.")
        raise QuerySyntaxError(
            f"A query begins with PREFIX, BASE, SELECT, ASK, CONSTRUCT or DESCRIBE; unexpected {token.text[:40]!r}.",
            *position(text, token.start),
        )
    raise QuerySyntaxError("The query is empty, or ends in its prologue.", 1, 1)
