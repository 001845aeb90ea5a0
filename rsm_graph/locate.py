"""Finds the line of a file on which a thing is written: RDF parsers do not keep it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import urljoin

from rsm_graph.namespaces import RDF_TYPE

_PREFIX = re.compile(r"^\s*@?prefix\s+([\w.-]*):\s*<([^>]*)>", re.IGNORECASE)
_BASE = re.compile(r"^\s*@?base\s+<([^>]*)>", re.IGNORECASE)
_NAME = r"(<[^<>\s]*>|[\w.-]*:(?:[\w-]|\\.|%\w\w|[.:](?=[\w-]))*)"
_BLOCK = re.compile(rf"^\s*(?:GRAPH\s+)?{_NAME}\s*\{{", re.IGNORECASE)
_SUBJECT = re.compile(rf"^\s*(?:(?:GRAPH\s+)?{_NAME}\s*\{{\s*)?{_NAME}\s+(?![.;,{{\s])", re.IGNORECASE)
_ALONE = re.compile(rf"^\s*{_NAME}\s*$")
"""A subject with nothing behind it on its line."""
_END = re.compile(r"[.{}]\s*(#.*)?$")
_TOKEN = re.compile(rf"(?<![\w<\"]){_NAME}")
_LARGE = 20_000_000
"""Bytes above which a file is not searched: the answer would cost more than it tells."""


def find(paths: Iterable[Path], subject: str, predicate: str = "", graph: str = "") -> str:
    """Return ``file:line`` of a statement in Turtle, TriG, N-Triples or N-Quads files, as near as can be told.

    The line is that of the predicate within the statements about the subject, else where those begin, else where
    another statement of the graph names it, else where the block of the graph begins; else only a file's name is
    returned, or the empty string where there is no file. ``graph`` narrows the search to its blocks.
    """
    best = (5, "")
    for path in paths:
        subjects, mentions, blocks = _index(path)
        # What stands outside every block is in the graph that whoever read the file gave it.
        inside = [entry for entry in subjects.get(subject, ()) if not graph or entry[1] in (graph, "")]
        named = [names[predicate] for _, _, names in inside if predicate in names]
        if named:
            found = (0, f"{path}:{named[0]}")
        elif inside:
            found = (1, f"{path}:{inside[0][0]}")
        elif mentioned := mentions.get((graph, subject)):
            found = (2, f"{path}:{mentioned}")
        else:
            found = (3, f"{path}:{blocks[graph]}") if graph in blocks else (4, str(path))
        best = min(best, found, key=lambda pair: pair[0])
    return best[1]


_Entry = tuple[int, str, dict[str, int]]


@lru_cache(maxsize=64)
def _index(path: Path) -> tuple[Mapping[str, list[_Entry]], Mapping[tuple[str, str], int], Mapping[str, int]]:
    """Return where things are written.

    First where each subject begins, in which graph, with the line of every name it is said with; then the first line
    of a graph that has a name; then where the blocks of graphs begin.
    """
    subjects: dict[str, list[_Entry]] = defaultdict(list)
    mentions: dict[tuple[str, str], int] = {}
    blocks: dict[str, int] = {}
    prefixes: dict[str, str] = {}
    base = ""
    try:
        text = path.read_text(encoding="utf-8") if path.stat().st_size < _LARGE else ""
    except (OSError, UnicodeDecodeError):
        text = ""

    def expand(name: str) -> str:
        if name.startswith("<"):
            return urljoin(base, name[1:-1])
        prefix, _, local = name.partition(":")
        return prefixes[prefix] + re.sub(r"\\(.)", r"\1", local) if prefix in prefixes else name

    graph, names = "", dict[str, int]()
    in_string, ended = False, True
    for number, line in enumerate(text.splitlines(), start=1):
        if line.count('"""') % 2:
            in_string = not in_string
            ended = not in_string and _END.search(line) is not None
            continue
        if in_string or line.lstrip().startswith("#"):
            continue
        if found := _BASE.match(line):
            base = found[1]
            continue
        if declared := _PREFIX.match(line):
            prefixes[declared[1]] = declared[2]
            continue
        if block := _BLOCK.match(line):
            graph = expand(block[1])
            blocks.setdefault(graph, number)
        if ended and (found := _SUBJECT.match(line) or _ALONE.match(line)):
            names = {}
            subjects[expand(found[found.lastindex or 1])].append((number, graph, names))
        for token in _TOKEN.finditer(line):
            names.setdefault(expand(token[1]), number)
            mentions.setdefault((graph, expand(token[1])), number)
        ended = _END.search(line) is not None if line.strip() else ended
        if re.search(r"\sa\s", line):
            names.setdefault(RDF_TYPE, number)
    return subjects, mentions, blocks
