"""Rewrites queries where the engine is slow or differs from the standard; each function leaves alone what it does not
understand.

:func:`with_constant` writes the constant into a query that binds a variable to one IRI first, where that provably
changes nothing.

``{ VALUES ?x { <c> } … }`` and ``{ BIND (<c> AS ?x) … }`` join everything that follows with one solution. The engine
often evaluates what follows for every ``?x`` and joins afterwards, which costs up to a thousand times a constant in
place. So ``{ … BIND (<c> AS ?x) }`` with ``<c>`` for ``?x`` is asked instead: the variable stays in the result. The
same goes for ``{ … FILTER (?x = <c>) }``, which looks at every ``?x``, where the group binds ``?x`` for certain.

The two are equal when each group that mentions ``?x`` gives the same whether ``?x`` is restricted to ``<c>`` after
the group is evaluated, as SPARQL has it, or before (SPARQL 1.1, 18.2.2 and 18.5). That fails where

* an OPTIONAL mentions ``?x`` and what stands before it in its own group does not bind ``?x`` for certain;
* a FILTER or BIND mentions ``?x`` in a group that does not bind it for certain;
* MINUS mentions ``?x``: sharing no variable any more, it would remove nothing;
* a path of length zero may start at ``?x``: it matches a constant that is not in the graph;
* a subquery mentions ``?x``, which may be another variable of that name;
* ``?x`` is bound again, or stands where no IRI may stand.

In these cases, and wherever the tokens alone do not tell, the query is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rsm_graph.engine.screen import Token, token_list

# A quick look before every token is read; more than one row, or something computed, is nothing for this module.
_CANDIDATE = re.compile(
    r"values\s*(?:[?$]\w+|\([^()]*\))\s*\{\s*(?:\([^()]*\)|[^\s(){}]+)\s*\}"
    r"|bind\s*\(\s*[^\s()?$\"']+\s+as\b"
    r"|filter\s*\(\s*(?:[?$]\w+\s*=\s*[<a-z:][^\s()?$\"'=]*|[<a-z:][^\s()?$\"'=]*\s*=\s*[?$]\w+)\s*\)"
)
_NOT_SIMPLE = frozenset(
    ("OPTIONAL", "UNION", "MINUS", "SELECT", "BIND", "VALUES", "GRAPH", "SERVICE", "LATERAL", "EXISTS")
)
_CLOSING = {"(": ")", "{": "}", "[": "]"}


class _Unsure(Exception):
    """The rewritten query may not be equal."""


def with_constant(text: str) -> str:
    """Return the query with its constant in place, or ``text`` itself."""
    if not _CANDIDATE.search(text.lower()):
        return text
    stream = list(token_list(text))
    try:
        opening = _where(stream)
        closing = _match(stream, opening)
        leading = _binding(stream, opening, closing)
        found = leading or _equation(stream, opening, closing)
        if found is None:
            return text
        first, last, constants = found
        checked = stream[opening + 1 : first] + stream[last + 1 : closing]
        given = leading is not None  # what a filter sees has to be bound by the group itself
        for variable in constants:
            if not _Check(checked, variable).group(0, len(checked), bound=given, outside=given):
                return text
    except (_Unsure, IndexError):
        return text
    return _replaced(text, stream, (opening, first, last, closing), constants)


def without_language(text: str) -> str:
    """Return the query with each GROUP_CONCAT within STR, or ``text`` itself.

    GROUP_CONCAT gives a simple literal (SPARQL 1.1, 18.5.1.7); the engine keeps the language that all strings share.
    """
    if "group_concat" not in text.lower():
        return text
    stream = token_list(text)
    places: list[tuple[int, str]] = []
    try:
        for index, token in enumerate(stream):
            if token.kind == "word" and token.text.upper() == "GROUP_CONCAT" and stream[index + 1].text == "(":
                places += [(token.start, " STR("), (stream[_match(stream, index + 1)].start, ")")]
    except (_Unsure, IndexError):
        return text
    return _inserted(text, places)


def with_small_booleans(text: str) -> str:
    """Return the query with ``TRUE`` and ``FALSE`` in small letters, the only form that the engine reads."""
    parts: list[str] = []
    copied = 0
    for token in token_list(text):
        if token.kind == "word" and token.text.upper() in ("TRUE", "FALSE"):
            parts += [text[copied : token.start], token.text.lower()]
            copied = token.start + len(token.text)
    return "".join([*parts, text[copied:]])


def _inserted(text: str, places: list[tuple[int, str]]) -> str:
    parts: list[str] = []
    copied = 0
    for start, new in sorted(places):
        parts += [text[copied:start], new]
        copied = start
    return "".join([*parts, text[copied:]])


def _replaced(text: str, stream: list[Token], places: tuple[int, int, int, int], constants: dict[str, str]) -> str:
    opening, first, last, closing = places
    parts: list[str] = []
    copied = 0
    for index in range(opening + 1, closing):
        token = stream[index]
        if first <= index <= last:
            new = ""
        elif token.kind == "variable" and token.text[1:] in constants:
            # Without the spaces it might run into its neighbours.
            new = f" {constants[token.text[1:]]} "
        else:
            continue
        parts += [text[copied : token.start], new]
        copied = token.start + len(token.text)
    end = stream[closing].start
    kept = "".join(f" BIND ({constant} AS ?{variable})" for variable, constant in constants.items())
    return "".join([*parts, text[copied:end], kept, " ", text[end:]])


def _where(stream: list[Token]) -> int:
    """Return the index of the brace that opens the query's pattern."""
    for index, token in enumerate(stream):
        if token.kind == "word" and token.text.upper() == "CONSTRUCT":
            # Behind the template.
            return _next_brace(stream, _match(stream, _next_brace(stream, index)))
        if token.text == "{":
            return index
    raise _Unsure


def _next_brace(stream: list[Token], index: int) -> int:
    while stream[index].text != "{":
        index += 1
    return index


def _match(stream: Sequence[Token], opening: int) -> int:
    """Return the index of the bracket that closes the one at ``opening``."""
    opened: list[str] = []
    for index in range(opening, len(stream)):
        token = stream[index]
        if token.kind == "open":
            opened.append(_CLOSING[token.text])
        elif token.kind == "close":
            if opened.pop() != token.text:
                raise _Unsure
            if not opened:
                return index
    raise _Unsure


def _binding(stream: list[Token], opening: int, closing: int) -> tuple[int, int, dict[str, str]] | None:
    """Return the first and last index of a leading binding in a group, and its constants by variable name.

    Only triples and full stops may stand before it.
    """
    for index in range(opening + 1, closing):
        token = stream[index]
        if token.text in ("{", "*", "?"):
            return None
        if token.kind == "word":
            word = token.text.upper()
            if word == "BIND":
                return _bind(stream, index)
            if word == "VALUES":
                return _values(stream, index)
            if word not in ("A", "TRUE", "FALSE"):
                return None
    return None


def _bind(stream: list[Token], index: int) -> tuple[int, int, dict[str, str]] | None:
    bracket, constant, word, variable, end = stream[index + 1 : index + 6]
    if (bracket.text, word.text.upper(), end.text) != ("(", "AS", ")") or constant.kind not in ("iri", "name"):
        return None
    return index, index + 5, {variable.text[1:]: constant.text}


def _values(stream: list[Token], index: int) -> tuple[int, int, dict[str, str]] | None:
    brace = _next_brace(stream, index)
    end = _match(stream, brace)
    names = [token.text[1:] for token in stream[index + 1 : brace] if token.kind == "variable"]
    row = [token for token in stream[brace + 1 : end] if token.text not in ("(", ")")]
    if not names or len(names) != len(row) or len(set(names)) != len(names):
        return None
    if any(token.kind not in ("iri", "name") for token in row):
        return None
    return index, end, {name: token.text for name, token in zip(names, row, strict=True)}


def _equation(stream: list[Token], opening: int, closing: int) -> tuple[int, int, dict[str, str]] | None:
    """Return the same for the first filter of a group that equates a variable with a constant, and does only that."""
    depth = 0
    for index in range(opening + 1, closing - 5):
        token = stream[index]
        depth += (token.kind == "open") - (token.kind == "close")
        if depth or token.text.upper() != "FILTER":
            continue
        bracket, left, sign, right, end = stream[index + 1 : index + 6]
        if left.kind != "variable":
            left, right = right, left
        if (bracket.text, sign.text, end.text) != ("(", "=", ")") or left.kind != "variable":
            continue
        if right.kind in ("iri", "name"):
            return index, index + 5, {left.text[1:]: right.text}
    return None


class _Check:
    """Reads the groups of a query and raises :class:`_Unsure` where putting a constant for one variable may matter."""

    def __init__(self, stream: list[Token], variable: str) -> None:
        self._stream = stream
        self._variable = variable

    def group(self, start: int, end: int, *, bound: bool, outside: bool) -> bool:
        """Read the elements of a group between its braces; return whether every solution has the variable.

        ``bound`` says that every solution has the variable before the group's first element, ``outside`` that the
        group's filters see it whatever the group binds (the group of an OPTIONAL, whose filters are those of the
        left join).
        """
        index = start
        filtered = False
        while index < end:
            token = self._stream[index]
            word = token.text.upper() if token.kind == "word" else ""
            if word == "FILTER":
                index, mentioned = self._filter(index + 1)
                filtered |= mentioned
            elif word == "BIND":
                close = _match(self._stream, index + 1)
                if self._mentions(index, close) and (not bound or self._is(self._stream[close - 1])):
                    raise _Unsure
                self._no_bound(index, close)
                self._no_exists(index, close)
                index = close + 1
            elif word == "OPTIONAL":
                index = self._nested(index + 1, allowed=bound, outside=True)
            elif word == "MINUS":
                index = self._nested(index + 1, allowed=False, outside=False)
            elif word == "GRAPH":
                if self._is(self._stream[index + 1]):
                    raise _Unsure
                index = self._nested(index + 2, allowed=True, outside=False)
            elif word == "VALUES":
                close = _match(self._stream, _next_brace(self._stream, index))
                if self._mentions(index, close):
                    raise _Unsure
                index = close + 1
            elif word == "UNION":
                index += 1
            elif token.text == "{":
                index = self._nested(index, allowed=True, outside=False)
            elif word not in ("", "A", "TRUE", "FALSE") or token.text in ("*", "?", "<"):
                # SELECT, SERVICE, LATERAL, paths that may be empty, triple terms, and what nobody has thought of.
                raise _Unsure
            else:
                bound |= self._is(token)
                index += 1
        if filtered and not (bound or outside):
            raise _Unsure
        return bound

    def _nested(self, index: int, *, allowed: bool, outside: bool) -> int:
        """Read the group that begins at ``index``; return the index behind it."""
        if self._stream[index].text != "{":
            raise _Unsure
        close = _match(self._stream, index)
        if self._mentions(index, close):
            if not allowed:
                raise _Unsure
            self.group(index + 1, close, bound=False, outside=outside)
        return close + 1

    def _filter(self, index: int) -> tuple[int, bool]:
        """Read a constraint; return the index behind it and whether it mentions the variable."""
        start = index
        while self._stream[index].kind != "open":
            index += 1
        close = _match(self._stream, index)
        if any(token.text.upper() == "MINUS" for token in self._stream[start:close]):
            # The engine's answer to EXISTS { MINUS … } hangs on what stands outside.
            raise _Unsure
        mentioned = self._mentions(start, close)
        if mentioned:
            self._no_bound(start, close)
            exists = [i for i in range(start, close) if self._stream[i].text == "{"]
            inside = self._stream[exists[0] : close + 1] if exists else []
            if any(t.kind == "word" and t.text.upper() in _NOT_SIMPLE for t in inside):
                raise _Unsure
            if any(t.text in ("*", "?") for t in inside):
                raise _Unsure
        return close + 1, mentioned

    def _no_bound(self, start: int, end: int) -> None:
        """Raise where the variable stands in BOUND, which takes nothing else."""
        for index in range(start, end):
            if self._stream[index].text.upper() == "BOUND" and self._is(self._stream[index + 2]):
                raise _Unsure

    def _no_exists(self, start: int, end: int) -> None:
        if self._mentions(start, end) and any(token.text == "{" for token in self._stream[start:end]):
            raise _Unsure

    def _mentions(self, start: int, end: int) -> bool:
        return any(self._is(token) for token in self._stream[start:end])

    def _is(self, token: Token) -> bool:
        return token.kind == "variable" and token.text[1:] == self._variable
