"""The map: places with coordinates, the hub and its spokes, drawn on the server as SVG and given as GeoJSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from typing import Any

import pyoxigraph as ox

from rsm_graph import describe, project
from rsm_graph.namespaces import RDF_TYPE, VOCABULARIES
from rsm_graph.web import views
from rsm_graph.web.site import Site

OUTLINES = project.PACKAGE / "web" / "outlines"
"""Outlines of countries as GeoJSON features (Natural Earth, public domain)."""

_GEO = VOCABULARIES["geo"]
_MARGIN = 14
_LETTER = 0.53
"""Width of a letter of the labels, in parts of their size."""

Point = tuple[float, float]
"""Longitude and latitude."""


@dataclass(frozen=True)
class Spot:
    """A place on the map with the sites in it; ``role`` is ``hub``, ``spoke``, ``site`` or ``place``."""

    iri: str
    label: str
    kind: str
    point: Point
    role: str = "place"
    sites: tuple[views.Shown, ...] = ()


@dataclass(frozen=True)
class Map:
    """Places, and the country that they lie in."""

    spots: tuple[Spot, ...]
    outlines: tuple[tuple[Point, ...], ...] = field(default=())

    @property
    def inside(self) -> tuple[Spot, ...]:
        """The places within the frame of the outlines, or all of them where there is no outline."""
        points = [point for ring in self.outlines for point in ring]
        if not points:
            return self.spots
        west, east = min(p[0] for p in points), max(p[0] for p in points)
        south, north = min(p[1] for p in points), max(p[1] for p in points)
        return tuple(s for s in self.spots if west <= s.point[0] <= east and south <= s.point[1] <= north)


def of_site(site: Site) -> Map:
    """Return the map of a site's dataset."""
    index = site.release.index
    here: dict[str, list[tuple[str, views.Shown]]] = {}
    for local, role in (("Hub", "hub"), ("Spoke", "spoke"), ("Location", "site")):
        for statement in index.mentioning(site.term(local)):
            if statement.predicate != RDF_TYPE or not statement.accepted:
                continue
            iri = statement.subject.value
            for place in index.values(iri, site.term("inPlace")):
                sites = here.setdefault(place.value, [])
                if iri not in {shown.title for _, shown in sites}:
                    sites.append((role, views.term(site, ox.NamedNode(iri))))
    spots = []
    for triple in site.statements_by_predicate.get(_GEO + "hasDefaultGeometry", ()):
        written = index.values(str(triple.object.value), _GEO + "asWKT")
        point = next((at for wkt in written if (at := describe.point(str(wkt.value)))), None)
        if point is None:
            continue
        iri = triple.subject.value
        sites = here.get(iri, [])
        kinds = [views.term(site, v).text for v in index.values(iri, site.term("placeKind"))]
        role = min((r for r, _ in sites), key=["hub", "spoke", "site"].index, default="place")
        shown = tuple(s for _, s in sites)
        spots.append(Spot(iri, views.name(site, iri), ", ".join(kinds), point, role, shown))
    return Map(tuple(sorted(spots, key=lambda s: s.label)), tuple(_outlines(s.point for s in spots)))


def _outlines(points: Iterable[Point]) -> Iterator[tuple[Point, ...]]:
    """Yield the outlines in which at least one point lies."""
    points = list(points)
    for path in sorted(OUTLINES.glob("*.geojson")):
        for ring in json.loads(path.read_text(encoding="utf-8"))["geometry"]["coordinates"]:
            west, east = min(x for x, _ in ring), max(x for x, _ in ring)
            south, north = min(y for _, y in ring), max(y for _, y in ring)
            if any(west <= x <= east and south <= y <= north for x, y in points):
                yield tuple((x, y) for x, y in ring)


def geojson(site: Site) -> dict[str, Any]:
    """Return the places as a GeoJSON feature collection (RFC 7946)."""
    features = [
        {
            "type": "Feature",
            "id": spot.iri,
            "geometry": {"type": "Point", "coordinates": list(spot.point)},
            "properties": {
                "name": spot.label,
                "kind": spot.kind,
                "role": spot.role,
                "sites": [{"iri": s.title, "name": s.text} for s in spot.sites],
            },
        }
        for spot in of_site(site).spots
    ]
    return {"type": "FeatureCollection", "features": features}


def draw(site: Site, view: Map, width: int, *, every: bool) -> str:
    """Return the map as an SVG element; ``every`` place, or only the hub and its spokes."""
    spots = [s for s in view.inside if every or s.role in ("hub", "spoke")]
    corners = [p for ring in view.outlines for p in ring] or [s.point for s in spots]
    if not corners or not spots:
        return ""
    west, east = min(x for x, _ in corners), max(x for x, _ in corners)
    south, north = min(y for _, y in corners), max(y for _, y in corners)
    squeeze = math.cos(math.radians((south + north) / 2))  # a degree of longitude is shorter than one of latitude
    scale = (width - 2 * _MARGIN) / max((east - west) * squeeze, 0.1)
    height = round((north - south) * scale + 2 * _MARGIN)

    def at(point: Point) -> Point:
        return round(_MARGIN + (point[0] - west) * squeeze * scale, 1), round(_MARGIN + (north - point[1]) * scale, 1)

    parts = []
    for ring in view.outlines:
        line = " ".join(f"{x} {y}" for x, y in map(at, ring))
        parts.append(f'<path class="land" d="M{line}z"/>')
    hubs = [at(s.point) for s in spots if s.role == "hub"]
    if hubs:
        middle = sum(x for x, _ in hubs) / len(hubs), sum(y for _, y in hubs) / len(hubs)
        for spot in spots:
            if spot.role in ("spoke", "hub"):
                x, y = at(spot.point)
                parts.append(f'<path class="tie" d="M{middle[0]:.1f} {middle[1]:.1f}L{x} {y}"/>')
    order = {"hub": 0, "spoke": 1, "site": 2, "place": 3}
    spots.sort(key=lambda s: (order[s.role], s.label))
    size = 14 if not every else 12
    taken: list[tuple[float, float, float, float]] = []
    marks, labels = [], []
    for spot in spots:
        x, y = at(spot.point)
        radius = {"hub": 6.5, "spoke": 5.5, "site": 3.6, "place": 2.2}[spot.role]
        taken.append((x - radius, y - radius, x + radius, y + radius))
        title = ", ".join(filter(None, [spot.label, *(s.text for s in spot.sites), spot.kind]))
        marks.append(
            f'<a href="{escape(site.address(spot.iri))}" aria-label="{escape(title)}">'
            f'<circle class="{spot.role}" cx="{x}" cy="{y}" r="{radius}">'
            f"<title>{escape(title)}</title></circle></a>"
        )
    for spot in spots:
        placed = _label(at(spot.point), spot, size, taken, width, height)
        if placed:
            labels.append(placed)
    return (
        f'<svg class="map" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="group" '
        f'aria-label="Map of the places"><g>{"".join(parts)}</g>{"".join(reversed(marks))}{"".join(labels)}</svg>'
    )


def _label(
    at: Point, spot: Spot, size: int, taken: list[tuple[float, float, float, float]], width: int, height: int
) -> str:
    """Return the label beside a spot where it covers nothing; none if there is no room."""
    x, y = at
    wide = len(spot.label) * size * _LETTER
    for left, top, anchor in (
        (x + 9, y - size / 2, "start"),
        (x - 9 - wide, y - size / 2, "end"),
        (x - wide / 2, y - size - 9, "middle"),
        (x - wide / 2, y + 9, "middle"),
        (x + 6, y + 4, "start"),
        (x + 6, y - size - 4, "start"),
    ):
        box = (left, top, left + wide, top + size)
        inside = box[0] >= 0 and box[1] >= 0 and box[2] <= width and box[3] <= height
        if inside and not any(a < box[2] and c > box[0] and b < box[3] and d > box[1] for a, b, c, d in taken):
            taken.append(box)
            where = {"start": left, "end": left + wide, "middle": x}[anchor]
            return (
                f'<text class="{spot.role}" x="{where:.1f}" y="{top + size * 0.82:.1f}" text-anchor="{anchor}" '
                f'font-size="{size}">{escape(spot.label)}</text>'
            )
    return ""
