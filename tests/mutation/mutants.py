"""Random single changes of the dataset: what a slip of an editor, a merge or a script does to it.

Each kind is a function that takes the scene (the dataset's quads, sorted for choosing) and a random source, and
returns a change, or ``None`` where it finds nothing to change this time. The same seed gives the same changes.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyoxigraph as ox

from rsm_graph.dataset import Dataset
from rsm_graph.namespaces import RDF_TYPE, XSD

WORDS = {
    "standing": ("accepted", "disputed", "rejected"),
    "reliability": ("primary", "secondary", "tertiary"),
    "precision": ("exact", "rounded"),
    "dateBasis": ("printed", "inferred"),
    "transcription": ("complete", "partial"),
}
"""Properties whose values are words of a short list."""


@dataclass(frozen=True)
class Change:
    """One change: quads taken away and quads put in their place."""

    kind: str
    removed: tuple[ox.Quad, ...]
    added: tuple[ox.Quad, ...]

    def __str__(self) -> str:
        lines = [f"- {quad}" for quad in self.removed[:3]] + [f"+ {quad}" for quad in self.added[:3]]
        return f"{self.kind}\n  " + "\n  ".join(lines)


class Scene:
    """The quads of ``data/`` that a change may touch, in an order that does not depend on the machine."""

    def __init__(self, dataset: Dataset) -> None:
        others = ("ontology", "concepts", "shapes", "dataset", "derived", "links")
        kept_out = {dataset.iri(f"graph/{name}") for name in others}
        self.dataset = dataset
        self.quads = [quad for quad in dataset.quads if quad.graph_name.value not in kept_out]
        self.known = set(dataset.quads)
        self.rsm = dataset.iri("ontology#")
        self.id = dataset.iri("id/")
        self.sources = ox.NamedNode(dataset.iri("graph/sources"))
        self.identity = ox.NamedNode(dataset.iri("graph/identity"))

    def where(self, test: Callable[[ox.Quad], bool]) -> list[ox.Quad]:
        return [quad for quad in self.quads if test(quad)]

    @cached_property
    def facts(self) -> list[ox.Quad]:
        """What passages state."""
        return self.where(lambda q: q.graph_name not in (self.sources, self.identity))

    @cached_property
    def provenance(self) -> list[ox.Quad]:
        return self.where(lambda q: q.graph_name == self.sources)

    @cached_property
    def typed(self) -> list[ox.Quad]:
        """Statements with a literal that has no language."""
        return self.where(lambda q: isinstance(q.object, ox.Literal) and not q.object.language)

    @cached_property
    def references(self) -> list[ox.Quad]:
        """Statements that point to a thing of the dataset."""
        return self.where(lambda q: isinstance(q.object, ox.NamedNode) and q.object.value.startswith(self.id))

    @cached_property
    def by_predicate(self) -> dict[str, list[ox.Quad]]:
        found = defaultdict(list)
        for quad in self.quads:
            found[quad.predicate.value].append(quad)
        return found

    @cached_property
    def about(self) -> dict[object, list[ox.Quad]]:
        found: dict[object, list[ox.Quad]] = defaultdict(list)
        for quad in self.quads:
            found[quad.subject].append(quad)
        return found

    @cached_property
    def types(self) -> dict[object, frozenset[str]]:
        found: dict[object, set[str]] = defaultdict(set)
        for quad in self.dataset.quads:
            if quad.predicate.value == RDF_TYPE:
                found[quad.subject].add(quad.object.value)
        return {thing: frozenset(types) for thing, types in found.items()}

    @cached_property
    def things(self) -> list[ox.NamedNode]:
        """The things of the dataset that have a type, documents and passages aside."""
        aside = {self.rsm + "Passage", self.rsm + "SourceDocument"}
        named = (t for t, types in self.types.items() if isinstance(t, ox.NamedNode) and not types & aside)
        return sorted((thing for thing in named if thing.value.startswith(self.id)), key=str)


def _with(quad: ox.Quad, **parts: object) -> ox.Quad:
    names = ("subject", "predicate", "object", "graph_name")
    return ox.Quad(*(parts.get(name, getattr(quad, name)) for name in names))  # type: ignore[arg-type]


def _pick(rng: random.Random, quads: Sequence[ox.Quad]) -> ox.Quad | None:
    return quads[rng.randrange(len(quads))] if quads else None


def _replace(kind: str, scene: Scene, old: Iterable[ox.Quad], new: Iterable[ox.Quad]) -> Change | None:
    """Return the change, unless it changes nothing or makes what is there already."""
    removed = tuple(old)
    added = tuple(quad for quad in new if quad not in scene.known)
    return Change(kind, removed, added) if added or removed else None


def _literal(quad: ox.Quad, value: str) -> ox.Literal:
    literal = quad.object
    if literal.language:
        return ox.Literal(value, language=literal.language)
    return ox.Literal(value, datatype=literal.datatype)


def delete_fact(scene: Scene, rng: random.Random) -> Change | None:
    """A statement of a passage is lost."""
    quad = _pick(rng, scene.facts)
    return Change("delete a fact", (quad,), ()) if quad else None


def delete_identity(scene: Scene, rng: random.Random) -> Change | None:
    """A type, a label or a code is lost."""
    quad = _pick(rng, scene.where(lambda q: q.graph_name == scene.identity))
    return Change("delete a type, label or code", (quad,), ()) if quad else None


def drop_provenance(scene: Scene, rng: random.Random) -> Change | None:
    """A statement about a document or a passage is lost."""
    quad = _pick(rng, scene.provenance)
    return Change("drop a provenance statement", (quad,), ()) if quad else None


def duplicate_node(scene: Scene, rng: random.Random) -> Change | None:
    """A thing is entered a second time, under another key."""
    thing = scene.things[rng.randrange(len(scene.things))]
    copy = ox.NamedNode(f"{thing.value}-2" if not re.search(r"/[A-Z]{3}$", thing.value) else thing.value[:-1] + "X")
    return _replace("duplicate a node", scene, (), (_with(q, subject=copy) for q in scene.about[thing]))


def swap_objects(scene: Scene, rng: random.Random) -> Change | None:
    """Two subjects exchange their values of a property."""
    one = _pick(rng, scene.facts)
    if one is None:
        return None
    other = _pick(rng, [q for q in scene.by_predicate[one.predicate.value] if q.subject != one.subject])
    if other is None or other.object == one.object or one.predicate.value == RDF_TYPE:
        return None
    new = (_with(one, object=other.object), _with(other, object=one.object))
    return _replace("swap two objects", scene, (one, other), new)


def change_digit(scene: Scene, rng: random.Random) -> Change | None:
    """A digit of a number is misread."""
    quad = _pick(rng, scene.where(lambda q: isinstance(q.object, ox.Literal) and "nteger" in q.object.datatype.value))
    if quad is None:
        return None
    digits = list(quad.object.value)
    place = rng.randrange(len(digits))
    digits[place] = rng.choice([d for d in "123456789" if d != digits[place]])
    return _replace("change a digit", scene, [quad], [_with(quad, object=_literal(quad, "".join(digits)))])


def change_datatype(scene: Scene, rng: random.Random) -> Change | None:
    """A literal gets another datatype."""
    quad = _pick(rng, scene.typed)
    if quad is None:
        return None
    names = ("string", "integer", "date", "gYear", "gYearMonth", "decimal", "dateTime", "boolean")
    datatype = XSD + rng.choice([n for n in names if XSD + n != quad.object.datatype.value])
    literal = ox.Literal(quad.object.value, datatype=ox.NamedNode(datatype))
    return _replace("change a datatype", scene, [quad], [_with(quad, object=literal)])


def change_language(scene: Scene, rng: random.Random) -> Change | None:
    """A text gets another language, or none."""
    quad = _pick(rng, scene.where(lambda q: isinstance(q.object, ox.Literal) and bool(q.object.language)))
    if quad is None:
        return None
    language = rng.choice([tag for tag in ("en", "fr", "de", "", "eng") if tag != quad.object.language])
    literal = ox.Literal(quad.object.value, language=language) if language else ox.Literal(quad.object.value)
    return _replace("change a language tag", scene, [quad], [_with(quad, object=literal)])


def shift_date(scene: Scene, rng: random.Random) -> Change | None:
    """A date is off by a year, a month or some days."""
    dates = {XSD + "date", XSD + "gYearMonth", XSD + "gYear"}
    quad = _pick(rng, scene.where(lambda q: isinstance(q.object, ox.Literal) and q.object.datatype.value in dates))
    if quad is None:
        return None
    parts = [int(part) for part in quad.object.value.split("-")]
    place = rng.randrange(len(parts))
    step = rng.choice((-1, 1)) * (1, rng.randint(1, 11), rng.randint(1, 27))[place]
    bound = (10_000, 12, 28)[place]
    parts[place] = (parts[place] - 1 + step) % bound + 1
    value = "-".join(f"{part:0{width}}" for part, width in zip(parts, (4, 2, 2), strict=False))
    return _replace("shift a date", scene, [quad], [_with(quad, object=_literal(quad, value))])


def break_reference(scene: Scene, rng: random.Random) -> Change | None:
    """A key is mistyped where it is referred to."""
    quad = _pick(rng, scene.references)
    if quad is None:
        return None
    iri = quad.object.value
    place = rng.randrange(len(scene.id) + iri[len(scene.id) :].index("/") + 1, len(iri))
    broken = iri[:place] + iri[place + 1 :] if rng.random() < 0.5 else iri[:place] + "x" + iri[place:]
    return _replace("break a reference", scene, [quad], [_with(quad, object=ox.NamedNode(broken))])


def misspell_term(scene: Scene, rng: random.Random) -> Change | None:
    """A property or a class is mistyped."""
    quad = _pick(rng, scene.quads)
    if quad is None:
        return None
    is_type = quad.predicate.value == RDF_TYPE and rng.random() < 0.7
    iri = (quad.object if is_type else quad.predicate).value
    start = max(iri.rfind("#"), iri.rfind("/")) + 1
    place = rng.randrange(start + 1, len(iri) - 1)
    wrong = ox.NamedNode(iri[:place] + iri[place + 1] + iri[place] + iri[place + 2 :])
    new = _with(quad, object=wrong) if is_type else _with(quad, predicate=wrong)
    return None if wrong.value == iri else _replace("misspell a property or class", scene, [quad], [new])


def move_statement(scene: Scene, rng: random.Random) -> Change | None:
    """A statement slips into another passage, or into one of the project's own graphs."""
    quad = _pick(rng, scene.facts)
    if quad is None:
        return None
    graphs = sorted({q.graph_name for q in scene.quads} - {quad.graph_name}, key=str)
    # One time in four into a graph that is no passage.
    own = [scene.identity, scene.sources]
    target = rng.choice(own) if rng.random() < 0.25 else rng.choice(graphs)
    return _replace("move a statement to another graph", scene, [quad], [_with(quad, graph_name=target)])


def other_class(scene: Scene, rng: random.Random) -> Change | None:
    """A reference leads to a thing of another class."""
    quad = _pick(rng, scene.references)
    if quad is None:
        return None
    types = scene.types.get(quad.object, frozenset())
    target = scene.things[rng.randrange(len(scene.things))]
    if types & scene.types[target]:
        return None
    return _replace("point at another class", scene, [quad], [_with(quad, object=target)])


def same_class(scene: Scene, rng: random.Random) -> Change | None:
    """A reference leads to another thing of the same class."""
    quad = _pick(rng, [q for q in scene.references if q.graph_name not in (scene.sources,)])
    if quad is None:
        return None
    types = scene.types.get(quad.object, frozenset())
    others = [thing for thing in scene.things if thing != quad.object and types == scene.types[thing]]
    if not others:
        return None
    new = _with(quad, object=others[rng.randrange(len(others))])
    return _replace("point at another thing of the class", scene, [quad], [new])


def second_value(scene: Scene, rng: random.Random) -> Change | None:
    """A property gets a second value, taken from another subject."""
    quad = _pick(rng, scene.facts)
    if quad is None:
        return None
    other = _pick(rng, [q for q in scene.by_predicate[quad.predicate.value] if q.object != quad.object])
    return _replace("add a second value", scene, (), [_with(quad, object=other.object)]) if other else None


def exchange_figures(scene: Scene, rng: random.Random) -> Change | None:
    """The figures of two nations change places, number and printed form together."""
    troops = scene.rsm + "troops"
    rows = scene.where(lambda q: q.predicate.value == troops and "/id/contribution/" in q.subject.value)
    one, other = rng.sample(rows, 2)
    if one.subject.value.rpartition("/")[0] != other.subject.value.rpartition("/")[0]:
        return None
    names = (troops, scene.rsm + "asPrinted")
    pairs = (
        [(one, other)]
        if rng.random() < 0.3
        else [
            (a, b)
            for n in names
            for a in scene.about[one.subject]
            for b in scene.about[other.subject]
            if a.predicate.value == b.predicate.value == n
        ]
    )
    if all(a.object == b.object for a, b in pairs):
        return None
    old = [q for pair in pairs for q in pair]
    new = [q for a, b in pairs for q in (_with(a, object=b.object), _with(b, object=a.object))]
    return _replace("exchange two nations' figures", scene, old, new)


def exchange_holder(scene: Scene, rng: random.Random) -> Change | None:
    """Holder and post of a tenure change places, or two tenures exchange their holders or posts."""
    holder, post = scene.rsm + "holder", scene.rsm + "post"
    one = _pick(rng, scene.by_predicate[rng.choice((holder, post))])
    if one is None:
        return None
    same = [q for q in scene.about[one.subject] if q.predicate.value in (holder, post) and q.predicate != one.predicate]
    other = _pick(rng, same if rng.random() < 0.3 else scene.by_predicate[one.predicate.value])
    if other is None or other.object == one.object:
        return None
    new = (_with(one, object=other.object), _with(other, object=one.object))
    return _replace("exchange holder or post", scene, (one, other), new)


def change_form(scene: Scene, rng: random.Random) -> Change | None:
    """A typed literal is written in another form of the same value."""
    quad = _pick(rng, [q for q in scene.typed if q.object.datatype.value != XSD + "string"])
    if quad is None:
        return None
    value = quad.object.value
    form = rng.choice((f"0{value}", f"+{value}", f" {value}", f"{value}Z", f"{value} "))
    return _replace("change the form of a literal", scene, [quad], [_with(quad, object=_literal(quad, form))])


def change_word(scene: Scene, rng: random.Random) -> Change | None:
    """A word of a short list (standing, reliability, precision, …) is another one, or misspelt."""
    words = {scene.rsm + name: values for name, values in WORDS.items()}
    quad = _pick(rng, scene.where(lambda q: q.predicate.value in words))
    if quad is None:
        return None
    known = [word for word in words[quad.predicate.value] if word != quad.object.value]
    word = rng.choice(known) if rng.random() < 0.5 else quad.object.value[:-1]
    return _replace("change a word of a list", scene, [quad], [_with(quad, object=ox.Literal(word))])


def move_subject(scene: Scene, rng: random.Random) -> Change | None:
    """A statement slips to another subject of the same class."""
    quad = _pick(rng, scene.facts)
    if quad is None:
        return None
    types = scene.types.get(quad.subject, frozenset())
    others = [thing for thing in scene.things if thing != quad.subject and types and types == scene.types[thing]]
    if not others:
        return None
    new = _with(quad, subject=others[rng.randrange(len(others))])
    return _replace("move a statement to another subject", scene, [quad], [new])


KINDS: tuple[Callable[[Scene, random.Random], Change | None], ...] = (
    delete_fact, delete_identity, drop_provenance, duplicate_node, swap_objects, change_digit, change_datatype,
    change_language, shift_date, break_reference, misspell_term, move_statement, other_class, same_class, second_value,
    exchange_figures, exchange_holder, change_form, change_word, move_subject,
)  # fmt: skip


def changes(scene: Scene, kind: Callable[[Scene, random.Random], Change | None], count: int, seed: int) -> list[Change]:
    """Return ``count`` different changes of a kind, the same for the same seed; fewer where there are no more."""
    rng = random.Random(f"{kind.__name__} {seed}")
    found: dict[tuple[object, ...], Change] = {}
    for _ in range(count * 40):
        if len(found) == count:
            break
        change = kind(scene, rng)
        if change is not None:
            found.setdefault((change.removed, change.added), change)
    return list(found.values())
