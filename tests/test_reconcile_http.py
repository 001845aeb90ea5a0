"""The reconciliation service over HTTP; its messages against the JSON schemas of version 0.2 where they are at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT7

Check = Callable[[str, Any], None]


@cache
def _validators(folder: Path) -> tuple[dict[str, Any], Registry[Any]]:
    schemas = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (folder / "schemas").glob("*.json")}
    registry: Registry[Any] = Registry()
    for name, schema in schemas.items():
        resource = DRAFT7.create_resource(schema)
        for address in {schema.get("$id", name), f"https://reconciliation-api.github.io/specs/0.2/schemas/{name}.json"}:
            registry = registry.with_resource(address.rstrip("#"), resource)
    return schemas, registry


@pytest.fixture(scope="session")
def specification() -> Path:
    """The folder of schemas and example messages."""
    named = os.environ.get("RECONCILIATION_SPEC", "")
    folder = next((f for f in (Path(named), Path(named) / "0.2") if named and (f / "schemas").is_dir()), None)
    if folder is None:
        pytest.skip(
            "RECONCILIATION_SPEC names no folder with schemas/: set it to 0.2/ of a checkout of "
            "https://github.com/reconciliation-api/specs"
        )
    return folder


@pytest.fixture(scope="session")
def conforms(specification: Path) -> Check:
    """Checks a message against one of the schemas."""
    schemas, registry = _validators(specification)

    def check(name: str, message: Any) -> None:
        jsonschema.Draft7Validator(schemas[name], registry=registry).validate(message)

    return check


def post(server: httpx.Client, **form: Any) -> Any:
    fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in form.items()}
    answer = server.post("/reconcile", data=fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    return answer.json()


# Conformance


EXAMPLES = {
    "manifest": "manifest",
    "reconciliation-query-batch": "reconciliation-query-batch",
    "reconciliation-result-batch": "reconciliation-result-batch",
    "data-extension-query": "data-extension-query",
    "data-extension-response": "data-extension-response",
    "data-extension-property-proposal": "data-extension-property-proposal",
    "suggest-entities-response": "suggest-entities-response",
    "suggest-properties-response": "suggest-properties-response",
    "suggest-types-response": "suggest-types-response",
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_the_checker_itself_tells_valid_examples_from_invalid_ones(
    specification: Path, conforms: Check, kind: str
) -> None:
    for path in sorted((specification / "examples" / kind).glob("valid/*.json")):
        conforms(EXAMPLES[kind], json.loads(path.read_text(encoding="utf-8")))
    for path in sorted((specification / "examples" / kind).glob("invalid/*.json")):
        if path.name in ("old-version.json", "bad-authentication.json"):
            continue  # what is wrong with these two lies outside the schema, or in one it only refers to
        with pytest.raises(jsonschema.ValidationError):
            conforms(EXAMPLES[kind], json.loads(path.read_text(encoding="utf-8")))


def test_the_manifest_conforms(server: httpx.Client, conforms: Check) -> None:
    conforms("manifest", server.get("/reconcile").json())


def test_the_specifications_queries_are_read(server: httpx.Client, specification: Path, conforms: Check) -> None:
    """The examples ask for types and properties of another service, so what is asked of ours leaves these out."""
    for path in sorted((specification / "examples" / "reconciliation-query-batch" / "valid").glob("*.json")):
        batch = json.loads(path.read_text(encoding="utf-8"))
        for query in batch.values():
            query.pop("type", None)
            if "query" in query:
                query.pop("properties", None)
            else:
                query["properties"] = [{"pid": "rsm:iso3", "v": "DEU"}]
        answer = post(server, queries=batch)
        conforms("reconciliation-result-batch", answer)
        assert answer.keys() == batch.keys()
    for path in sorted((specification / "examples" / "reconciliation-query-batch" / "invalid").glob("*.json")):
        assert server.post("/reconcile", data={"queries": path.read_text(encoding="utf-8")}).status_code == 400


def test_answers_conform(server: httpx.Client, conforms: Check) -> None:
    queries = {
        "name": {"query": "Germny"},
        "typed": {"query": "Kabul", "type": ["rsm:Place"], "type_strict": "any", "limit": 3},
        "narrowed": {"query": "Nicholson", "properties": [{"pid": "nation", "v": {"id": "nation/USA"}}]},
        "nothing": {"query": "zzzzzz"},
    }
    conforms("reconciliation-query-batch", queries)
    conforms("reconciliation-result-batch", post(server, queries=queries))
    for what in ("entities", "properties", "types"):
        single = {"entities": "entity", "properties": "property", "types": "type"}[what]
        for prefix in ("", "a", "nat", "Nicholson", "nation/DEU"):
            answer = server.get(f"/reconcile/suggest/{single}", params={"prefix": prefix})
            conforms(f"suggest-{what}-response", answer.json())
    for kind in ("rsm:Nation", "foaf:Person", "rsm:Command", "rsm:Contribution"):
        proposal = server.get("/reconcile/properties", params={"type": kind, "limit": 10}).json()
        conforms("data-extension-property-proposal", proposal)


def test_every_property_of_every_kind_of_thing_extends_conformably(server: httpx.Client, conforms: Check) -> None:
    types = server.get("/reconcile/suggest/type", params={"prefix": "", "limit": 100}).json()["result"]
    assert len(types) > 30
    for found in types:
        proposal = server.get("/reconcile/properties", params={"type": found["id"]}).json()["properties"]
        entities = server.get("/reconcile/suggest/entity", params={"prefix": "a", "type": found["id"]}).json()["result"]
        query = {"ids": [e["id"] for e in entities], "properties": [{"id": p["id"]} for p in proposal[:100]]}
        conforms("data-extension-query", query)
        answer = post(server, extend=query)
        conforms("data-extension-response", answer)
        assert list(answer["rows"]) == query["ids"]
        assert [m["id"] for m in answer["meta"]] == [p["id"] for p in proposal[:100]]


# HTTP


def test_the_addresses_of_the_manifest_answer(server: httpx.Client) -> None:
    manifest = server.get("/reconcile").json()
    key = quote("nation/DEU", safe="")
    assert manifest["versions"] == ["0.2"]
    view = server.get(manifest["view"]["url"].replace("{{id}}", key))
    assert (view.status_code, view.headers["location"]) == (303, "/doc/nation/DEU")
    preview = server.get(manifest["preview"]["url"].replace("{{id}}", key))
    assert "Q183" in preview.text
    assert "x-frame-options" not in preview.headers
    assert "frame-ancestors" not in preview.headers["content-security-policy"]
    for what, example in (("entity", key), ("type", "rsm%3ANation"), ("property", "rsm%3Aiso3")):
        suggest = manifest["suggest"][what]
        flyout = server.get(suggest["flyout_service_url"] + suggest["flyout_service_path"].replace("${id}", example))
        assert set(flyout.json()) == {"id", "html"}
        found = server.get(suggest["service_url"] + suggest["service_path"], params={"prefix": "na"}).json()
        assert found["result"]
    propose = manifest["extend"]["propose_properties"]
    address = propose["service_url"] + propose["service_path"]
    assert server.get(address, params={"type": "rsm:Nation"}).json()["type"] == "rsm:Nation"
    assert server.get(manifest["documentation"]).status_code == 200


def test_batch_and_single_by_get_and_post(server: httpx.Client) -> None:
    batch = {"queries": json.dumps({"q0": {"query": "Germany", "type": "rsm:Nation"}})}
    for answer in (server.get("/reconcile", params=batch), server.post("/reconcile", data=batch)):
        assert answer.json()["q0"]["result"][0]["id"] == "nation/DEU"
    for single in ("Germany", '{"query": "Germany", "limit": 1}'):
        for answer in (
            server.get("/reconcile", params={"query": single}),
            server.post("/reconcile", data={"query": single}),
        ):
            assert answer.json()["result"][0]["id"] == "nation/DEU"


def test_extend_by_get(server: httpx.Client) -> None:
    query = json.dumps({"ids": ["nation/DEU"], "properties": [{"id": "wikidata"}]})
    answer = server.get("/reconcile", params={"extend": query}).json()
    assert answer["rows"] == {"nation/DEU": {"wikidata": [{"id": "Q183", "name": "Germany"}]}}
    assert answer["meta"][0]["service"].startswith("https://")


def test_cross_origin_access(server: httpx.Client) -> None:
    preflight = server.options(
        "/reconcile", headers={"origin": "https://x.example", "access-control-request-method": "POST"}
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "POST" in preflight.headers["access-control-allow-methods"]
    for path in ("/reconcile", "/reconcile/suggest/type", "/reconcile/properties", "/reconcile?queries=bad"):
        assert server.get(path).headers["access-control-allow-origin"] == "*"


def test_jsonp(server: httpx.Client) -> None:
    answer = server.get("/reconcile", params={"callback": "window.cb_1"})
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.text.startswith("/**/window.cb_1({")
    for bad in ("alert(1)", "a b", "a;b", "<script>", "é", "x" * 500):
        assert server.get("/reconcile", params={"callback": bad}).status_code == 400


def test_suggestions_go_on_where_the_last_ended(server: httpx.Client) -> None:
    def page(cursor: int) -> list[str]:
        params: dict[str, str | int] = {"prefix": "commander", "cursor": cursor, "limit": 5}
        return [r["id"] for r in server.get("/reconcile/suggest/entity", params=params).json()["result"]]

    first, second = page(0), page(5)
    assert len(first) == len(second) == 5
    assert not set(first) & set(second)
    assert page(99_999) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/reconcile?queries=%7B", "", 400),
        ("GET", "/reconcile?queries=%FF", "", 400),
        ("POST", "/reconcile", "queries=[]", 400),
        ("POST", "/reconcile", 'queries={"q":{"query":"x","type":"no:Type"}}', 400),
        ("POST", "/reconcile", "queries=" + json.dumps({str(n): {"query": "x"} for n in range(10_000)}), 413),
        ("POST", "/reconcile", "queries=" + "x" * 3_000_000, 413),
        ("POST", "/reconcile/ui", "names=" + "x%0A" * 2000, 413),
        ("POST", "/reconcile/ui", "names=x&type=nonsense", 400),
        ("PUT", "/reconcile", "", 405),
        ("GET", "/reconcile/suggest/nonsense", "", 404),
        ("GET", "/reconcile/suggest/entity?prefix=a&cursor=-1", "", 400),
        ("GET", "/reconcile/suggest/entity?prefix=a&limit=none", "", 400),
        ("GET", "/reconcile/suggest/entity?prefix=a&type=nonsense", "", 400),
        ("GET", "/reconcile/flyout/entity?id=nowhere", "", 404),
        ("GET", "/reconcile/flyout/type?id=nowhere", "", 404),
        ("GET", "/reconcile/preview?id=nowhere", "", 404),
        ("GET", "/reconcile/view", "", 404),
        ("GET", "/reconcile/properties?type=nonsense", "", 400),
    ],
)
def test_bad_requests_are_refused_with_a_reason(
    server: httpx.Client, method: str, path: str, body: str, status: int
) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"} if body else {}
    answer = server.request(method, path, content=body, headers=headers)
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_another_media_type_is_refused(server: httpx.Client) -> None:
    answer = server.post("/reconcile", json={"queries": {}})
    assert answer.status_code == 415
    assert answer.headers["accept-post"] == "application/x-www-form-urlencoded"


def test_options_say_which_bodies_are_taken(server: httpx.Client) -> None:
    answer = server.options("/reconcile")
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    assert answer.headers["accept-post"] == "application/x-www-form-urlencoded"
    assert "accept-query" not in answer.headers


def test_strange_texts_get_an_answer(server: httpx.Client) -> None:
    texts = [
        "",
        " ",
        "\x00\x07",
        "\u202eنيتوا",
        "(a+)+$",
        "<script>alert(1)</script>",
        "'; DROP TABLE",
        "𝕲ermany",
        "\ud800",
    ]
    answer = post(server, queries={text: {"query": text} for text in texts})
    assert len(answer) == len(texts)
    flyout = server.get("/reconcile/flyout/entity", params={"id": "<script>"})
    assert flyout.status_code == 404


# The page


def test_the_page_reconciles_a_pasted_list(server: httpx.Client) -> None:
    form = {"names": "Germny\nAllemagne\n<b>x</b>\n\nAfghanistan", "type": ""}
    page = server.post("/reconcile/ui", data=form)
    assert page.status_code == 200
    assert "2 of 4 matched" in page.text
    assert 'href="/doc/nation/DEU"' in page.text
    assert "entity/Q183" in page.text
    assert "<b>x</b>" not in page.text
    assert f"{server.base_url}/reconcile".replace("//reconcile", "/reconcile") in page.text
    table = server.post("/reconcile/ui", data=form | {"format": "csv"})
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.text.splitlines()[1].startswith("Germny,https://w3id.org/rsm-graph/id/nation/DEU,Q183,77.1,")
