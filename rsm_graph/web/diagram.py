"""The class diagram of the vocabulary, drawn on the server as SVG.

A box a class, with the properties that lead from it to other classes; classes below it are named in its foot. Boxes
stand in columns, and change places as long as that makes the lines shorter.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html import escape

import pyoxigraph as ox

from rsm_graph.namespaces import RDF_TYPE, VOCABULARIES
from rsm_graph.web.site import Site

_RDFS, _OWL = VOCABULARIES["rdfs"], VOCABULARIES["owl"]
_COLUMNS, _WIDTH, _GAP, _HEAD, _ROW, _FOOT, _SPACE = 4, 236, 64, 28, 18, 10, 22
_LOOP = 26
"""How far a line from a class to itself stands out, at the right of the last column too."""
_FOOT_CHARACTERS = 38


_Top = Callable[[str], str]


@dataclass
class _Box:
    iri: str
    name: str
    rows: list[tuple[str, str]] = field(default_factory=list)
    """Property and the class that it leads to, both as IRIs."""
    foot: list[str] = field(default_factory=list)
    """Lines that name the classes below."""
    x: float = 0
    y: float = 0

    @property
    def height(self) -> float:
        return _HEAD + _ROW * (len(self.rows) + len(self.foot)) + (_FOOT if self.rows or self.foot else 0)


def classes(site: Site) -> str:
    """Return the diagram as an SVG element without colours of its own; the page's stylesheet gives them."""
    boxes = _boxes(site)
    if not boxes:
        return ""
    columns = _settled(_columns(boxes))
    height = max(column[-1].y + column[-1].height for column in columns if column)
    width = _COLUMNS * _WIDTH + (_COLUMNS - 1) * _GAP + _LOOP
    by_iri = {box.iri: box for box in boxes}
    parts = [_line(box, row, by_iri) for box in boxes for row in range(len(box.rows))]
    parts += [part for box in boxes for part in _drawn(site, box)]
    return (
        f'<svg class="diagram" viewBox="-2 -2 {width + 4} {height + 4:.0f}" width="{width + 4}" '
        f'height="{height + 4:.0f}" role="group" aria-labelledby="diagram-title">'
        f'<title id="diagram-title">The classes of the vocabulary and the properties between them</title>'
        f'<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        f'<path d="M0 0 8 4 0 8z"/></marker></defs>{"".join(parts)}</svg>'
    )


def _boxes(site: Site) -> list[_Box]:
    """Return a box for each class at the top of its tree, and for each foreign class that a property leads to."""
    index, start = site.release.index, site.term("")
    own = [
        s.subject.value
        for s in index.mentioning(_OWL + "Class")
        if s.predicate == RDF_TYPE and isinstance(s.subject, ox.NamedNode) and s.subject.value.startswith(start)
    ]
    above = {iri: [v.value for v in index.values(iri, _RDFS + "subClassOf") if v.value in own] for iri in own}

    def top(iri: str) -> str:
        while above.get(iri):
            iri = above[iri][0]
        return iri

    rows: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for statement in index.mentioning(_OWL + "ObjectProperty"):
        iri = statement.subject.value
        if not iri.startswith(start):
            continue
        for target in _ends(site, iri, "range", top):
            for origin in _ends(site, iri, "domain", top):
                rows[origin].append((iri, target))
    tops = {top(iri) for iri in own} | {target for pairs in rows.values() for _, target in pairs}
    boxes = []
    for iri in sorted(tops):
        below = sorted(site.short(c).partition(":")[2] for c in own if top(c) == iri and c != iri)
        name = iri.removeprefix(start) if iri.startswith(start) else site.short(iri)
        pairs = sorted((p, t) for p, t in rows.get(iri, ()) if t in tops)
        boxes.append(_Box(iri, name, pairs, list(_wrapped(below))))
    return [box for box in boxes if box.iri in own or box.rows or any(box.iri == t for b in boxes for _, t in b.rows)]


def _ends(site: Site, iri: str, kind: str, top: _Top) -> list[str]:
    """Return the classes at one end of a property: those declared, else those that the data show there most."""
    declared = [top(v.value) for v in site.release.index.values(iri, _RDFS + kind) if isinstance(v, ox.NamedNode)]
    if declared:
        return declared
    seen: Counter[str] = Counter()
    for triple in site.statements_by_predicate.get(iri, ()):
        node = triple.object if kind == "range" else triple.subject
        if isinstance(node, ox.NamedNode):
            types = [t for t in site.release.index.types(node.value) if t.startswith(site.term(""))]
            seen.update({top(t) for t in types})
    return sorted(cls for cls, number in seen.most_common(2) if number >= 3)


def _wrapped(names: list[str]) -> Iterator[str]:
    line = ""
    for number, name in enumerate(names):
        piece = name + (", " if number < len(names) - 1 else "")
        if line and len(line) + len(piece.rstrip()) > _FOOT_CHARACTERS:
            yield line.rstrip()
            line = ""
        line += piece
    if line:
        yield line


def _columns(boxes: list[_Box]) -> list[list[_Box]]:
    """Deal the boxes out to columns of like height, the largest first."""
    columns: list[list[_Box]] = [[] for _ in range(_COLUMNS)]
    for box in sorted(boxes, key=lambda b: (-b.height, b.name)):
        min(columns, key=lambda column: sum(b.height + _SPACE for b in column)).append(box)
    return columns


def _settled(columns: list[list[_Box]]) -> list[list[_Box]]:
    """Exchange boxes as long as the lines get shorter."""
    boxes = {box.iri: box for column in columns for box in column}
    pairs = [(box, boxes[target]) for box in boxes.values() for _, target in box.rows]
    places = [(c, i) for c, column in enumerate(columns) for i in range(len(column))]

    def length() -> float:
        _place(columns)
        tallest = max(column[-1].y + column[-1].height for column in columns)
        reach = sum(abs(a.x - b.x) * 0.7 + abs(a.y + a.height / 2 - b.y) for a, b in pairs)
        return reach + tallest * len(pairs) * 0.15

    best = length()
    improved = True
    while improved:
        improved = False
        for n, (c, i) in enumerate(places):
            for d, j in places[n + 1 :]:
                columns[c][i], columns[d][j] = columns[d][j], columns[c][i]
                now = length()
                if now < best - 1:
                    best, improved = now, True
                else:
                    columns[c][i], columns[d][j] = columns[d][j], columns[c][i]
    _place(columns)
    return columns


def _place(columns: list[list[_Box]]) -> None:
    for number, column in enumerate(columns):
        y = 0.0
        for box in column:
            box.x, box.y = number * (_WIDTH + _GAP), y
            y += box.height + _SPACE


def _line(box: _Box, row: int, boxes: dict[str, _Box]) -> str:
    """Return the line from a property's row to the head of the class that it leads to."""
    target = boxes[box.rows[row][1]]
    y = box.y + _HEAD + _ROW * row + _ROW / 2 + 3
    end = target.y + _HEAD / 2
    if target is box:
        x = box.x + _WIDTH
        path = f"M{x} {y}C{x + _LOOP} {y} {x + _LOOP} {end} {x} {end}"
    elif target.x == box.x:
        x = box.x if box.x else box.x + _WIDTH
        bend = x - 34 if box.x else x + 34
        path = f"M{x} {y}C{bend} {y} {bend} {end} {x} {end}"
    else:
        right = target.x > box.x
        x, to = (box.x + _WIDTH, target.x) if right else (box.x, target.x + _WIDTH)
        bend = max(40.0, abs(to - x) / 2)
        path = f"M{x} {y}C{x + bend if right else x - bend} {y} {to - bend if right else to + bend} {end} {to} {end}"
    return f'<path class="edge" d="{path}" marker-end="url(#tip)"/>'


def _drawn(site: Site, box: _Box) -> Iterator[str]:
    yield f'<rect class="box" x="{box.x}" y="{box.y}" width="{_WIDTH}" height="{box.height}" rx="5"/>'
    yield (
        f'<a href="{escape(site.address(box.iri))}"><text class="name" x="{box.x + 11}" y="{box.y + 19}">'
        f"{escape(box.name)}</text></a>"
    )
    y = box.y + _HEAD + 13
    for iri, target in box.rows:
        name, local = site.short(target).removeprefix("rsm:"), site.short(iri).removeprefix("rsm:")
        yield (
            f'<a href="{escape(site.address(iri))}"><text x="{box.x + 11}" y="{y}">{escape(local)}</text></a>'
            f'<text class="soft" x="{box.x + _WIDTH - 11}" y="{y}" text-anchor="end">{escape(name)}</text>'
        )
        y += _ROW
    for line in box.foot:
        yield f'<text class="soft below" x="{box.x + 11}" y="{y}">{escape(line)}</text>'
        y += _ROW
