"""The timeline: strength, events, and who held which post, drawn on the server as SVG and given as JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from html import escape
from typing import Any

from rsm_graph.namespaces import RDF_TYPE, VOCABULARIES
from rsm_graph.web import overviews, views
from rsm_graph.web.site import Site

_ORG = VOCABULARIES["org"]
_LEFT, _RIGHT, _ROW, _STRENGTH = 372, 4, 24, 170
_WIDTH = 1182
_LETTER = 6.1


@dataclass(frozen=True)
class Event:
    """An event with the earliest day that its date allows."""

    iri: str
    label: str
    date: str
    day: str
    kind: str


@dataclass(frozen=True)
class Tenure:
    """A tenure by its four bounds, as ISO days; empty where nothing bounds it."""

    iri: str
    post: str
    holder: str
    earliest_start: str
    latest_start: str
    earliest_end: str
    latest_end: str

    @property
    def bounds(self) -> tuple[date | None, date | None, date | None, date | None]:
        """The bounds as dates, in the order of the fields."""
        return _day(self.earliest_start), _day(self.latest_start), _day(self.earliest_end), _day(self.latest_end)

    @property
    def drawn(self) -> tuple[date, date]:
        """The first and the last day that sources allow; where one is open, the days between which it is attested."""
        earliest_start, latest_start, earliest_end, latest_end = self.bounds
        attested = sorted(day for day in (latest_start, earliest_end) if day) or sorted(filter(None, self.bounds))
        last = latest_end or attested[-1]
        return min(earliest_start or attested[0], last), last


@dataclass(frozen=True)
class Figure:
    """A total of a mission's troops at a day; ``exact`` or rounded."""

    iri: str
    label: str
    day: str
    troops: int
    exact: bool


@dataclass(frozen=True)
class Chronicle:
    """What happened, who commanded, how many they were."""

    events: tuple[Event, ...]
    tenures: tuple[Tenure, ...]
    figures: tuple[Figure, ...]
    posts: tuple[tuple[str, str], ...]
    """IRI and label of the posts, in the order of the drawing."""

    def json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def of_site(site: Site) -> Chronicle:
    """Return the chronicle of a site's dataset."""
    events = tuple(sorted(_events(site), key=lambda e: (e.day, e.label)))
    tenures = tuple(sorted(_tenures(site), key=lambda t: (t.earliest_start or t.latest_start, t.holder)))
    figures = tuple(sorted(_figures(site), key=lambda f: (f.day, f.troops)))
    posts = {t.post: views.name(site, t.post) for t in tenures}
    held: dict[str, int] = defaultdict(int)
    for tenure in tenures:
        held[tenure.post] += 1
    order = sorted(posts, key=lambda iri: (_rank(site, iri), -held[iri], posts[iri]))
    return Chronicle(events, tenures, figures, tuple((iri, posts[iri]) for iri in order))


def _rank(site: Site, post: str) -> int:
    """Order posts by what they are in: the mission, its commands, whatever else."""
    index = site.release.index
    for unit in index.values(post, _ORG + "postIn"):
        types = index.types(unit.value)
        if site.term("Mission") in types and index.values(unit.value, site.term("predecessor")):
            return 0
        if site.term("Command") in types:
            return 1
    return 2


def _day(text: str) -> date | None:
    """Return the first day of a date of any precision."""
    parts = text.partition("T")[0].split("-")
    if not all(part.isdigit() for part in parts) or not 1 <= len(parts) <= 3:
        return None
    try:
        return date(*[*map(int, parts), 1, 1][:3])
    except ValueError:
        return None


def _events(site: Site) -> Iterator[Event]:
    index = site.release.index
    for iri in overviews.instances(site, "Event"):
        dates = [str(v.value) for name in ("date", "startDate") for v in index.values(iri, site.term(name))]
        day = _day(dates[0]) if dates else None
        if day:
            kinds = [index.label(t) for t in index.types(iri) if t != site.term("Event")]
            yield Event(iri, views.name(site, iri), dates[0], day.isoformat(), ", ".join(filter(None, kinds)))


def _tenures(site: Site) -> Iterator[Tenure]:
    index = site.release.index
    for iri in overviews.instances(site, "Tenure"):
        bounds = [
            next((str(v.value) for v in index.values(iri, site.term(name))), "")
            for name in ("earliestStart", "latestStart", "earliestEnd", "latestEnd")
        ]
        post = next((v.value for v in index.values(iri, site.term("post"))), "")
        holder = next((v.value for v in index.values(iri, site.term("holder"))), "")
        if post and holder and any(bounds):
            yield Tenure(iri, post, views.name(site, holder), *bounds)


def _figures(site: Site) -> Iterator[Figure]:
    index = site.release.index
    partial = (site.term("nation"), site.term("command"))
    for local, figure in (("StrengthFigure", "troops"), ("Edition", "printedTotal")):
        for statement in index.mentioning(site.term(local)):
            iri = statement.subject.value
            if statement.predicate != RDF_TYPE or not statement.accepted or any(index.values(iri, p) for p in partial):
                continue
            day = next((_day(str(v.value)) for v in index.values(iri, site.term("asOf"))), None)
            troops = overviews.number(site, iri, figure)
            if day and troops is not None:
                rounded = any(v.value == "rounded" for v in index.values(iri, site.term("precision")))
                yield Figure(iri, views.name(site, iri), day.isoformat(), troops, not rounded)


def draw(site: Site, chronicle: Chronicle) -> str:
    """Return the timeline as an SVG element: strength above, then events, then a row a post."""
    known = [day for t in chronicle.tenures for day in t.drawn]
    known += [date.fromisoformat(f.day) for f in chronicle.figures]
    if not known:
        return ""
    begun = site.release.index.values(overviews.main_mission(site), site.term("startDate"))
    start = next((day for day in (_day(str(v.value)) for v in begun) if day), None)
    # A year before the mission is enough; what is older is clamped to the edge, and stands in the list below.
    first = date(max(min(known).year, start.year - 1) if start else min(known).year, 1, 1)
    last = date(max(known).year + 1, 1, 1)
    span = (last - first).days

    def x(day: date) -> float:
        share = (min(max(day, first), last) - first).days / span
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    shown = [t for t in chronicle.tenures if t.drawn[1] >= first]
    posts = [post for post in chronicle.posts if any(t.post == post[0] for t in shown)]
    top = 26 + _STRENGTH
    events_at = top + 30
    rows_at = events_at + 26
    height = rows_at + _ROW * len(posts) + 10
    parts = list(_years(first, last, x, height))
    parts += _strength(site, chronicle.figures, x, top)
    parts.append(f'<text class="soft" x="{_LEFT - 14}" y="{events_at + 4}" text-anchor="end">Events</text>')
    for event in chronicle.events:
        day = _day(event.day)
        if day and first <= day <= last:
            title = escape(f"{views.date(event.date)}: {event.label}")
            parts.append(
                f'<a href="{escape(site.address(event.iri))}" aria-label="{title}">'
                f'<path class="event" d="M{x(day)} {events_at - 7}l6 7-6 7-6-7z"><title>{title}</title></path></a>'
            )
    for number, (post, label) in enumerate(posts):
        y = rows_at + _ROW * number
        short = label if len(label) <= 64 else label[:63] + "…"
        parts.append(f'<path class="rule" d="M0 {y + _ROW}H{_WIDTH}"/>')
        parts.append(
            f'<a href="{escape(site.address(post))}"><text x="{_LEFT - 14}" y="{y + 16.5}" text-anchor="end">'
            f"{escape(short)}<title>{escape(label)}</title></text></a>"
        )
        parts += [p for t in shown if t.post == post for p in _bar(site, t, x, y)]
    return (
        f'<svg class="chronicle" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="group" '
        f'aria-label="Timeline of strength, events and posts">{"".join(parts)}</svg>'
    )


def _years(first: date, last: date, x: Any, height: int) -> Iterator[str]:
    for year in range(first.year, last.year + 1):
        at = x(date(year, 1, 1))
        yield f'<path class="year" d="M{at} 18V{height}"/>'
        if year < last.year:
            yield f'<text class="soft" x="{at + 5}" y="14">{year}</text>'


def _strength(site: Site, figures: tuple[Figure, ...], x: Any, top: int) -> Iterator[str]:
    if not figures:
        return
    most = max(f.troops for f in figures)
    step = 10 ** (len(str(most)) - 1)
    step = step if most / step > 4 else step // 2

    def y(troops: float) -> float:
        return round(top - troops / most * (_STRENGTH - 22), 1)

    yield f'<text class="soft" x="{_LEFT - 14}" y="{top - _STRENGTH + 14}" text-anchor="end">Strength</text>'
    for level in range(0, most + 1, max(step, 1)):
        yield f'<path class="rule" d="M{_LEFT} {y(level)}H{_WIDTH - _RIGHT}"/>'
        yield (
            f'<text class="soft" x="{_LEFT - 14}" y="{y(level) + 4}" text-anchor="end">{level:,}</text>'
            if level
            else ""
        )
    exact = [f for f in figures if f.exact]
    line = " ".join(f"{x(date.fromisoformat(f.day))} {y(f.troops)}" for f in exact)
    if len(exact) > 1:
        yield f'<polyline class="strength" points="{line}"/>'
    for figure in figures:
        title = escape(f"{figure.troops:,}: {figure.label}")
        yield (
            f'<a href="{escape(site.address(figure.iri))}" aria-label="{title}">'
            f'<circle class="{"exact" if figure.exact else "rounded"}" '
            f'cx="{x(date.fromisoformat(figure.day))}" cy="{y(figure.troops)}" r="3.4"><title>{title}</title>'
            f"</circle></a>"
        )


def _bar(site: Site, tenure: Tenure, x: Any, y: float) -> Iterator[str]:
    """Yield a tenure's bar: solid where it surely runs, pale where it may."""
    _, latest_start, earliest_end, _ = tenure.bounds
    sure = (latest_start, earliest_end) if latest_start and earliest_end and latest_start <= earliest_end else None
    begin, end = tenure.drawn
    left, right = x(begin), max(x(end), x(begin) + 3)
    title = escape(f"{tenure.holder}, {_words(tenure)}")
    yield f'<a href="{escape(site.address(tenure.iri))}" aria-label="{title}"><title>{title}</title>'
    yield f'<rect class="may" x="{left}" y="{y + 4}" width="{right - left:.1f}" height="{_ROW - 8}" rx="3"/>'
    if sure:
        start, stop = x(sure[0]), max(x(sure[1]), x(sure[0]) + 3)
        yield f'<rect class="sure" x="{start}" y="{y + 4}" width="{stop - start:.1f}" height="{_ROW - 8}" rx="3"/>'
    surname = tenure.holder.removesuffix(" Jr.").rpartition(" ")[2]
    if sure and len(surname) * _LETTER + 8 < x(sure[1]) - x(sure[0]):
        yield f'<text class="on" x="{x(sure[0]) + 5}" y="{y + 16.5}">{escape(surname)}</text>'
    yield "</a>"


def _words(tenure: Tenure) -> str:
    """Return when a tenure ran, as exactly as its bounds tell and no more so."""
    earliest_start, latest_start, earliest_end, latest_end = tenure.bounds
    words = []
    if earliest_start and latest_start:
        words.append(f"from {_when(earliest_start, latest_start)}")
    if latest_start and earliest_end:
        inside = latest_start < earliest_end
        if not earliest_start and not latest_end and not inside:
            words.append(f"attested {_when(earliest_end, latest_start)}")
        if not earliest_start and inside:
            words.append(f"at least from {views.date(str(latest_start))}")
        if not latest_end and inside:
            words.append(f"at least until {views.date(str(earliest_end))}")
    if earliest_end and latest_end:
        words.append(f"until {_when(earliest_end, latest_end)}")
    return " ".join(words)


def _when(first: date, last: date) -> str:
    """Return a stretch of days as one would date it: a day, a month or a year, else its two ends."""
    if first == last:
        return views.date(str(first))
    if first.day == 1 and (last + timedelta(days=1)).day == 1:
        if (first.year, first.month) == (last.year, last.month):
            return views.date(f"{first:%Y-%m}")
        if (first.year, first.month, last.month) == (last.year, 1, 12):
            return str(first.year)
    return f"between {views.date(str(first))} and {views.date(str(last))}"
