"""The query mixes, written over whatever things the release holds."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import cycle
from pathlib import Path

import pyoxigraph as ox

import rsm_graph
from rsm_graph.namespaces import DEFAULT_BASE, prefixes

RUNAWAY = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . FILTER (?c < ?f || ?f < ?i) }"
_QUERIES = Path(rsm_graph.__file__).parent / "queries"
_NEEDED = ("rsm", "rdfs", "rdf", "org", "dcterms", "skos")
_HEAD = "".join(f"PREFIX {name}: <{prefixes(DEFAULT_BASE)[name]}>\n" for name in _NEEDED)
_LIGHT = (
    "SELECT ?p ?o {{ <{thing}> ?p ?o }}",
    "SELECT ?label {{ <{thing}> rdfs:label ?label }}",
    "SELECT ?s ?p {{ ?s ?p <{thing}> }} LIMIT 20",
    "ASK {{ <{thing}> rdf:type ?type }}",
    "SELECT ?type ?label {{ <{thing}> rdf:type ?type ; rdfs:label ?label FILTER (LANG(?label) = 'en') }}",
    "SELECT ?tenure ?post {{ ?tenure rsm:holder <{person}> ; rsm:post ?post }}",
    "DESCRIBE <{thing}>",
)
_EXAMPLES = (
    "airfields", "commander-on-date", "commander-timeline", "commands-of-the-mission", "edition-checks",
    "hub-and-spokes",
    "lead-nations", "mission-overview", "nations-in-commands", "places-within", "supporting-functions",
    "top-contributors-share", "troops-by-nation", "who-says-so",
)  # fmt: skip
"""Those of the project's example queries that take an engine a millisecond or less."""
_HEAVY = (
    "SELECT ?type (COUNT(?s) AS ?n) {{ ?s a ?type }} GROUP BY ?type ORDER BY DESC(?n) # {n}",
    "SELECT ?edition (SUM(?troops) AS ?sum) {{ ?c rsm:edition ?edition ; rsm:troops ?troops }} GROUP BY ?edition # {n}",
    "SELECT ?command {{ ?command org:subOrganizationOf+ <{base}id/mission/rsm> }} # {n}",
    "SELECT ?x ?y {{ ?x skos:broader+ ?y }} # {n}",
    "SELECT * {{ VALUES ?x {{ <{person}> }} OPTIONAL {{ ?x rdfs:label ?label FILTER (LANG(?label) = 'en') }} "
    "OPTIONAL {{ ?t rsm:holder ?x ; rsm:post ?post . ?post rdfs:label ?postLabel }} "
    "OPTIONAL {{ ?u rsm:holder ?x ; rsm:startDate ?start OPTIONAL {{ ?u rsm:endDate ?end }} }} "
    "OPTIONAL {{ VALUES ?language {{ 'en' 'fr' }} ?x rdfs:label ?other FILTER (LANG(?other) = ?language) }} }}",
    "SELECT * {{ BIND (<{thing}> AS ?x) OPTIONAL {{ ?x rdfs:label ?label }} OPTIONAL {{ ?x a ?type }} "
    "OPTIONAL {{ ?x skos:altLabel ?alt }} OPTIONAL {{ ?y ?p ?x . ?y rdfs:label ?yl }} }}",
    "SELECT ?s ?l {{ ?s rdfs:label ?l FILTER (REGEX(?l, '{word}', 'i')) }} LIMIT 50",
    "SELECT ?g (COUNT(*) AS ?n) {{ GRAPH ?g {{ ?s rdfs:label ?o }} }} GROUP BY ?g # {n}",
)
_WORDS = ("command", "afghan", "support", "brigade", "turk", "general", "north", "nato", "kabul", "train")


def mixes(release: Path) -> dict[str, list[str]]:
    """Return the mixes.

    The light one: look-ups of single things and short example queries, half and half. The full one: every example
    query of the project that asks nobody else, and between them look-ups and the heavier kinds (aggregates, paths,
    entity cards of OPTIONALs, regular expressions, all graphs), each in turn.
    """
    things: dict[str, list[str]] = defaultdict(list)
    for quad in ox.parse(path=release / "rsm-graph.nt", format=ox.RdfFormat.N_TRIPLES):
        if isinstance(quad.subject, ox.NamedNode) and quad.subject.value.startswith(f"{DEFAULT_BASE}id/"):
            kind = quad.subject.value.removeprefix(f"{DEFAULT_BASE}id/").partition("/")[0]
            things[kind].append(quad.subject.value)
    chance = random.Random(1)
    everything = sorted({iri for iris in things.values() for iri in iris})
    persons = sorted(set(things["person"]))

    def fill(template: str, number: int) -> str:
        thing, person = chance.choice(everything), chance.choice(persons)
        word = _WORDS[number % len(_WORDS)]
        return _HEAD + template.format(thing=thing, person=person, base=DEFAULT_BASE, word=word, n=number)

    examples = [(_QUERIES / f"{name}.rq").read_text() for name in _EXAMPLES]
    lookups = [fill(_LIGHT[i % len(_LIGHT)], i) for i in range(30)]
    light = [query for i in range(30) for query in (lookups[i], examples[i % len(examples)])]
    texts = (path.read_text() for path in sorted(_QUERIES.glob("*.rq")))
    own = [text for text in texts if "SERVICE" not in text]
    kinds = cycle(_LIGHT), cycle(_HEAVY)
    between = [fill(next(kinds[i % 2]), i) for i in range(len(own))]
    full = [query for pair in zip(own, between, strict=True) for query in pair]
    return {"light": light, "full": full}
