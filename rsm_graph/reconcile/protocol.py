"""The messages of the Reconciliation Service API 0.2: JSON in, JSON out, and what is wrong with a message."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from rsm_graph import __version__
from rsm_graph.errors import InputError
from rsm_graph.namespaces import VOCABULARIES
from rsm_graph.reconcile.catalogue import WIKIDATA_SERVICE, Catalogue, Property, Type
from rsm_graph.reconcile.matching import NAMED, STRICTNESS, Candidate, Question, candidates
from rsm_graph.search import fold

BATCH = 1000
"""Queries in a batch, and things in a data extension, at most; the manifest says so."""

MOST = 100
"""Candidates or suggestions in one answer, at most."""

_DEFAULT_TYPES = ("rsm:Nation", "foaf:Person", "rsm:Command", "rsm:Post", "rsm:Place", "org:Organization")
_SETTINGS: tuple[dict[str, Any], ...] = (
    {
        "name": "limit",
        "label": "Limit",
        "type": "number",
        "default": 0,
        "help_text": "At most so many values a row; 0 for all",
    },
    {
        "name": "content",
        "label": "Content",
        "type": "select",
        "default": "entity",
        "help_text": "What stands for a thing",
        "choices": [
            {"value": "entity", "name": "The thing, reconciled"},
            {"value": "name", "name": "Its name"},
            {"value": "id", "name": "Its identifier"},
            {"value": "iri", "name": "Its IRI"},
        ],
    },
    {
        "name": "language",
        "label": "Language",
        "type": "text",
        "default": "",
        "help_text": "Only texts in this language (en, fr); empty for all",
    },
    {
        "name": "on",
        "label": "On",
        "type": "text",
        "default": "",
        "help_text": "Only what may have been so on this day (2019-06-01); empty for all days",
    },
)


class TooMany(InputError):
    """A message that asks for more at once than the service answers."""


def manifest(catalogue: Catalogue, address: str) -> dict[str, Any]:
    """Return the service manifest (0.2, Service Manifest) of a service that answers at ``address``."""
    title = catalogue.index.label(catalogue.index.dataset.iri("id/dataset/rsm")) or "rsm-graph"

    def suggest(what: str) -> dict[str, str]:
        return {
            "service_url": address,
            "service_path": f"/suggest/{what}",
            "flyout_service_url": address,
            "flyout_service_path": f"/flyout/{what}?id=${{id}}",
        }

    return {
        "versions": ["0.2"],
        "name": title,
        "identifierSpace": f"{catalogue.base}id/",
        "schemaSpace": catalogue.names["rsm"],
        "documentation": f"{address}/ui",
        "serviceVersion": __version__,
        "defaultTypes": [_type(catalogue, catalogue.types[key]) for key in _DEFAULT_TYPES if key in catalogue.types],
        "view": {"url": f"{address}/view?id={{{{id}}}}"},
        "feature_view": {"url": f"{address}/ui#{{{{id}}}}"},
        "preview": {"url": f"{address}/preview?id={{{{id}}}}", "width": 430, "height": 220},
        "suggest": {what: suggest(what) for what in ("entity", "type", "property")},
        "extend": {
            "propose_properties": {"service_url": address, "service_path": "/properties"},
            "property_settings": list(_SETTINGS),
        },
        "batchSize": BATCH,
    }


# Reconciliation queries


def read_batch(catalogue: Catalogue, text: str) -> dict[str, Question]:
    """Return the questions of a query batch (0.2, Structure of a Reconciliation Query) by their identifiers.

    Raises :class:`InputError` naming query and field for whatever is no such batch, :class:`TooMany` for one with
    more than :data:`BATCH` queries.
    """
    content = load(text, "queries")
    if not isinstance(content, dict):
        raise InputError("queries: not a JSON object.", 'Send {"q0": {"query": "Germany"}}.')
    if len(content) > BATCH:
        raise TooMany(f"queries: {len(content):,} queries in one batch.", f"Send at most {BATCH:,} at once.")
    return {key: _question(catalogue, value, _shown(key)) for key, value in content.items()}


def read_single(catalogue: Catalogue, text: str) -> Question:
    """Return the question of a single query: a JSON object as in a batch, or the plain name itself."""
    if text.lstrip().startswith("{"):
        return _question(catalogue, load(text, "query"), "query")
    return Question(text)


def answer(catalogue: Catalogue, question: Question) -> dict[str, Any]:
    """Return the reconciliation result for a question."""
    return {"result": [_candidate(catalogue, found) for found in candidates(catalogue, question)]}


def answer_batch(catalogue: Catalogue, batch: Mapping[str, Question]) -> dict[str, Any]:
    """Return the result batch for a query batch; what is asked twice is looked up once."""
    known: dict[Question, dict[str, Any]] = {}
    return {key: known.get(q) or known.setdefault(q, answer(catalogue, q)) for key, q in batch.items()}


def load(text: str, where: str) -> Any:
    """Return a JSON value; raises :class:`InputError` with line and column for what is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{where}: not JSON at {place}: {error.msg}.", "Send JSON in UTF-8.") from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"{where}: JSON that nests too deeply or has too long a number.", "Send it flat.") from error


def _question(catalogue: Catalogue, content: Any, where: str) -> Question:
    if not isinstance(content, dict):
        raise InputError(f"{where}: not a JSON object.", 'A query looks like {"query": "Germany"}.')
    unknown = sorted(set(content) - {"query", "type", "limit", "properties", "type_strict"})
    if unknown:
        raise InputError(f"{where}: unknown field {_shown(unknown[0])}.", "See the schema of a query batch.")
    if "query" not in content and not content.get("properties"):
        raise InputError(f"{where}: neither query nor properties.", "Send at least one of them.")
    text = content.get("query", "")
    if not isinstance(text, str):
        raise InputError(f"{where}: query is no string.")
    types = content.get("type") or []
    types = types if isinstance(types, list) else [types]
    if not all(isinstance(one, str) for one in types):
        raise InputError(f"{where}: type is neither a string nor a list of strings.")
    given = content.get("type_strict", "any")
    strictness = next((known for known in STRICTNESS if known == given), None)
    if strictness is None:
        raise InputError(f"{where}: type_strict is {_shown(given)}.", "It is any, should or all.")
    return Question(
        text,
        tuple(catalogue.type(one) for one in types if one),
        tuple(_constraint(catalogue, one, where) for one in _list(content.get("properties"), f"{where}: properties")),
        limit(content.get("limit"), where, 5),
        strictness,
    )


def _constraint(catalogue: Catalogue, content: Any, where: str) -> tuple[Property, tuple[str, ...]]:
    if not isinstance(content, dict) or not isinstance(content.get("pid"), str) or "v" not in content:
        raise InputError(f"{where}: a property without pid and v.", 'It looks like {"pid": "rsm:iso3", "v": "DEU"}.')
    given = content["v"] if isinstance(content["v"], list) else [content["v"]]
    return catalogue.property(content["pid"]), tuple(_value(value, where) for value in given)


def _value(content: Any, where: str) -> str:
    if isinstance(content, dict):
        content = content.get("id") or content.get("name")
    if isinstance(content, bool):
        return str(content).lower()
    if isinstance(content, float) and content.is_integer():
        content = int(content)
    if isinstance(content, str | int | float):
        return str(content)
    raise InputError(f"{where}: the value of a property is neither text, number, boolean nor an entity.")


def _candidate(catalogue: Catalogue, found: Candidate) -> dict[str, Any]:
    features: list[dict[str, Any]] = [
        {"id": "name", "value": found.name_score},
        {"id": "exact", "value": found.reason != "similar"},
        {"id": "properties", "value": round(found.fitting, 3)},
    ]
    return {
        "id": catalogue.key(found.iri),
        "name": found.label,
        "description": catalogue.description(found.iri),
        "score": found.score,
        "match": found.match,
        "type": [{"id": t.id, "name": t.name} for t in catalogue.types_of(found.iri)],
        "features": features,
    }


# Suggest services


def suggest_entity(catalogue: Catalogue, prefix: str, cursor: int, most: int, types: Sequence[str]) -> dict[str, Any]:
    """Return the things whose names begin like, or resemble, what is being typed (0.2, Suggest Responses)."""
    wanted = [catalogue.type(one) for one in types if one]
    kinds = sorted({kind for t in wanted for kind in t.kinds}) or NAMED
    hits = catalogue.search.search(prefix, cursor + MOST, kinds)
    if wanted:
        hits = [hit for hit in hits if any(hit.iri in t.members for t in wanted)]
    found = []
    for hit in hits[cursor : cursor + most]:
        notable = [{"id": t.id, "name": t.name} for t in catalogue.types_of(hit.iri)[:1]]
        description = catalogue.description(hit.iri)
        found.append({"id": catalogue.key(hit.iri), "name": hit.label, "description": description, "notable": notable})
    return {"result": found}


def suggest_type(catalogue: Catalogue, prefix: str, cursor: int, most: int) -> dict[str, Any]:
    """Return the types whose identifier or name has a word that begins so."""
    found = _beginning(catalogue.types.values(), prefix, lambda t: (t.id, t.name, t.iri))
    return {"result": [_type(catalogue, t) for t in found[cursor : cursor + most]]}


def suggest_property(catalogue: Catalogue, prefix: str, cursor: int, most: int) -> dict[str, Any]:
    """Return the properties whose identifier or name has a word that begins so."""
    found = _beginning(catalogue.properties.values(), prefix, lambda p: (p.id, p.name))
    return {"result": [_property(p) for p in found[cursor : cursor + most]]}


_Offer = TypeVar("_Offer")


def _beginning(offers: Iterable[_Offer], prefix: str, names: Callable[[_Offer], Iterable[str]]) -> list[_Offer]:
    wanted = fold(prefix)
    found = []
    for offer in offers:
        texts = [fold(name) for name in names(offer)]
        if any(text.startswith(wanted) for text in texts):
            found.append((0, offer))
        elif any(f" {wanted}" in text for text in texts):
            found.append((1, offer))
    return [offer for _, offer in sorted(found, key=lambda pair: pair[0])]


# Data extension


def propose(catalogue: Catalogue, type_text: str, most: int | None) -> dict[str, Any]:
    """Return the properties that things of a type have (0.2, Data Extension Property Proposals)."""
    wanted = catalogue.type(type_text) if type_text else None
    kinds = wanted.kinds if wanted else frozenset(NAMED)
    found = [_property(p) for p in catalogue.properties.values() if p.kinds & kinds]
    response: dict[str, Any] = {"properties": found[:most]}
    if wanted:
        response["type"] = wanted.id
    if most is not None:
        response["limit"] = most
    return response


def extend(catalogue: Catalogue, text: str) -> dict[str, Any]:
    """Return the answer to a data extension query: a row of values for every thing asked about.

    Raises :class:`InputError` for what is no such query or names a property that is not on offer; a thing that
    does not exist has a row without values.
    """
    content = load(text, "extend")
    if not isinstance(content, dict):
        raise InputError("extend: not a JSON object.", 'Send {"ids": ["nation/DEU"], "properties": [{"id": "iri"}]}.')
    keys, asked = _list(content.get("ids"), "extend: ids"), _list(content.get("properties"), "extend: properties")
    if not all(isinstance(key, str) for key in keys):
        raise InputError("extend: ids has an item that is no string.")
    if len(keys) > BATCH:
        raise TooMany(f"extend: {len(keys):,} things at once.", f"Ask for at most {BATCH:,}.")
    if len(asked) > MOST:
        raise TooMany(f"extend: {len(asked):,} properties at once.", f"Ask for at most {MOST}.")
    columns = [_column(catalogue, one) for one in asked]
    rows = {key: {wanted.id: _cells(catalogue, key, wanted, how) for wanted, how in columns} for key in keys}
    return {"meta": [_meta(catalogue, wanted) for wanted, _ in columns], "rows": rows}


def _column(catalogue: Catalogue, content: Any) -> tuple[Property, dict[str, str]]:
    if not isinstance(content, dict) or not isinstance(content.get("id"), str):
        raise InputError("extend: a property without id.", 'It looks like {"id": "rsm:iso3"}.')
    settings = content.get("settings") or {}
    if not isinstance(settings, dict) or not all(isinstance(v, str | int | float) for v in settings.values()):
        raise InputError("extend: settings is no object of plain values.")
    known = {setting["name"] for setting in _SETTINGS}
    how = {name: str(value).strip() for name, value in settings.items() if name in known}
    limit(how.get("limit") or None, "extend", 0, zero=True)
    return catalogue.property(content["id"]), how


def _cells(catalogue: Catalogue, key: str, wanted: Property, how: Mapping[str, str]) -> list[dict[str, object]]:
    iri = catalogue.iri(key)
    values = catalogue.values(iri, wanted, how.get("on", "")) if iri else []
    language = how.get("language", "")
    if language:
        values = [v for v in values if getattr(v, "language", None) in (None, language)]
    most = limit(how.get("limit") or None, "extend", 0, zero=True)
    return [catalogue.cell(value, how.get("content", "")) for value in values[: most or None]]


def _meta(catalogue: Catalogue, wanted: Property) -> dict[str, Any]:
    meta: dict[str, Any] = {"id": wanted.id, "name": wanted.name}
    if wanted.id == "wikidata":
        meta["service"] = WIKIDATA_SERVICE
    elif wanted.path:
        ranges = catalogue.index.values(wanted.path[-1].predicate, VOCABULARIES["rdfs"] + "range")
        known = [t for t in catalogue.types.values() if t.iri in [v.value for v in ranges]]
        if known and not wanted.path[-1].inverse:
            meta["type"] = {"id": known[0].id, "name": known[0].name}
    return meta


# What several messages share


def limit(given: Any, where: str, default: int, *, zero: bool = False) -> int:
    """Return a limit as a number from 1 (or 0) to :data:`MOST`; raises :class:`InputError` for what is none."""
    if given is None or given == "":
        return default
    try:
        number = int(float(given)) if not isinstance(given, bool) else -1
    except (TypeError, ValueError, OverflowError):
        number = -1
    if number < (0 if zero else 1):
        raise InputError(f"{where}: limit is {_shown(given)}.", "It is a positive whole number.")
    return min(number, MOST)


def _list(given: Any, where: str) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise InputError(f"{where} is no list.")
    return given


def _shown(given: Any) -> str:
    """Return a given value as a message may quote it."""
    return json.dumps(given)[:60]


def _type(catalogue: Catalogue, found: Type) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": found.id, "name": found.name, "description": found.description}
    if found.broader:
        shown["broader"] = [{"id": key, "name": catalogue.types[key].name} for key in found.broader]
    return shown


def _property(found: Property) -> dict[str, str]:
    return {"id": found.id, "name": found.name, "description": found.description}


__all__ = [
    "BATCH", "MOST", "TooMany", "answer", "answer_batch", "extend", "limit", "load", "manifest", "propose",
    "read_batch", "read_single", "suggest_entity", "suggest_property", "suggest_type",
]  # fmt: skip
