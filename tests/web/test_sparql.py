"""The endpoint as the SPARQL 1.1 Protocol has it, asked over HTTP: tables of requests, the ugly ones too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import httpx
import pyoxigraph as ox
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsm_graph import formats
from rsm_graph.namespaces import DEFAULT_BASE, VOCABULARIES
from rsm_graph.web.problems import HttpProblem
from rsm_graph.web.sparql import parameters
from tests.conftest import serving

ASK = "ASK {}"
SELECT = "SELECT ?mission WHERE { ?mission a rsm:Mission } ORDER BY ?mission"
CONSTRUCT = "CONSTRUCT { ?m rdfs:label ?l } WHERE { ?m a rsm:Mission ; rdfs:label ?l }"
DIRECT = {"content-type": "application/sparql-query"}
FORM = {"content-type": "application/x-www-form-urlencoded"}

MISSIONS = [f"{DEFAULT_BASE}id/mission/isaf", f"{DEFAULT_BASE}id/mission/rsm"]


def missions(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["mission"]["value"] for row in answer.json()["results"]["bindings"]]


@pytest.mark.parametrize(
    ("method", "address", "headers", "body"),
    [
        ("GET", f"/sparql?query={quote(SELECT)}", {}, ""),
        ("GET", f"/sparql?query={quote(SELECT).replace('%20', '+')}", {}, ""),
        ("POST", "/sparql", FORM, f"query={quote(SELECT)}"),
        ("POST", "/sparql", FORM | {"content-type": FORM["content-type"] + ";charset=UTF-8"}, f"query={quote(SELECT)}"),
        ("POST", "/sparql", DIRECT, SELECT),
        ("POST", "/sparql", {"content-type": 'application/sparql-query; charset="utf-8"'}, SELECT),
        ("POST", "/sparql", {"content-type": "Application/SPARQL-Query"}, SELECT),
        ("QUERY", "/sparql", DIRECT, SELECT),
        ("QUERY", "/sparql", FORM, f"query={quote(SELECT)}"),
    ],
)
def test_a_query_arrives_by_every_method(
    server: httpx.Client, method: str, address: str, headers: dict[str, str], body: str
) -> None:
    assert missions(server.request(method, address, headers=headers, content=body)) == MISSIONS


def test_a_query_that_differs_in_a_comment_is_not_evaluated_again(server: httpx.Client) -> None:
    def evaluated() -> str:
        found = re.search(r'queries_total\{outcome="answered"\} (\d+)', server.get("/metrics").text)
        assert found is not None
        return found[1]

    first = server.get("/sparql", params={"query": f"# tool: a\n{SELECT} LIMIT 7 # 1"})
    known = evaluated()
    again = server.get("/sparql", params={"query": f"{SELECT} LIMIT 7 # 2"})
    posted = server.post("/sparql", content=f"# it's the same\n{SELECT} LIMIT 7", headers=DIRECT)
    assert first.content == again.content == posted.content
    assert first.headers["etag"] == again.headers["etag"]
    assert evaluated() == known
    server.get("/sparql", params={"query": f"{SELECT} LIMIT 8"})
    assert evaluated() != known


@pytest.mark.parametrize(
    ("method", "address", "headers", "body", "status", "says"),
    [
        ("POST", "/sparql", FORM, "", 400, "query is missing"),
        ("GET", "/sparql?default-graph-uri=http://e/g", {}, "", 400, "query is missing"),
        ("GET", "/sparql?query=ASK%7B%7D&query=ASK%7B%7D", {}, "", 400, "2 times"),
        ("POST", "/sparql", FORM, "query=ASK%7B%7D&query=ASK%7B%7D", 400, "2 times"),
        ("GET", "/sparql?query=ASK%7B%7D&timeout=5", {}, "", 400, "timeout"),
        ("GET", "/sparql?query=ASK%7B%7D&format=docx", {}, "", 400, "json, xml, csv, tsv"),
        ("GET", "/sparql?query=ASK%7B%7D&format=json&output=xml", {}, "", 400, "json, xml"),
        ("GET", "/sparql?Query=ASK%7B%7D", {}, "", 400, "Query"),
        ("POST", "/sparql?query=ASK%7B%7D", FORM, "query=ASK%7B%7D", 400, "address"),
        ("POST", "/sparql?query=ASK%7B%7D", DIRECT, ASK, 400, "both"),
        ("POST", "/sparql?update=DROP+ALL", DIRECT, ASK, 403, "read-only"),
        ("POST", "/sparql", FORM, "update=DROP+ALL", 403, "read-only"),
        ("POST", "/sparql", {"content-type": "application/sparql-update"}, "DROP ALL", 403, "read-only"),
        ("GET", "/sparql?update=DROP+ALL", {}, "", 403, "read-only"),
        ("GET", f"/sparql?query={quote('INSERT DATA { <a> <b> <c> }')}", {}, "", 403, "read-only"),
        ("POST", "/sparql", {}, ASK, 415, "media type"),
        ("POST", "/sparql", {"content-type": "text/plain"}, ASK, 415, "text/plain"),
        ("POST", "/sparql", {"content-type": "multipart/form-data; boundary=x"}, "--x--", 415, "multipart"),
        ("POST", "/sparql", {"content-type": "application/sparql-query; charset=latin-1"}, ASK, 415, "latin-1"),
        ("POST", "/sparql", DIRECT | {"content-encoding": "gzip"}, ASK, 415, "compressed"),
        ("PUT", "/sparql", DIRECT, ASK, 405, "PUT"),
        ("DELETE", "/sparql", {}, "", 405, "DELETE"),
        ("PATCH", "/sparql", DIRECT, ASK, 405, "PATCH"),
        ("GET", "/sparql?query=%GG", {}, "", 400, "percent"),
        ("GET", "/sparql?query=%FF", {}, "", 400, "UTF-8"),
        ("GET", "/sparql?query=ASK%7B%7D%00", {}, "", 400, ""),
        ("GET", "/sparql?query=", {}, "", 400, "empty"),
        ("GET", "/sparql?query=SELECT+*+WHERE+%7B", {}, "", 400, "never closed"),
        ("GET", "/sparql?query=ASK%7B%7D&default-graph-uri=relative", {}, "", 400, "absolute"),
        ("GET", "/sparql?query=ASK%7B%7D&named-graph-uri=http://e/<x>", {}, "", 400, "absolute"),
        ("GET", f"/sparql?query={quote('ASK { SERVICE <http://127.0.0.1:9/> {} }')}", {}, "", 403, "SERVICE"),
        ("GET", f"/sparql?query={quote('SELECT * FROM <file:///etc/passwd> {}')}", {}, "", 403, "graph"),
        ("GET", "/sparql.ods?query=ASK%7B%7D", {}, "", 404, ""),
        ("GET", "/sparql.ttl?query=ASK%7B%7D", {}, "", 400, "json, xml, csv, tsv"),
        ("GET", "/sparql.csv", {}, "", 400, "query is missing"),
    ],
)
def test_what_the_protocol_does_not_know_is_refused_with_a_reason(
    server: httpx.Client, method: str, address: str, headers: dict[str, str], body: str, status: int, says: str
) -> None:
    answer = server.request(method, address, headers=headers, content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert says in f"{problem['detail']} {problem.get('remedy', '')}"
    assert "Traceback" not in answer.text


def test_a_malformed_query_is_answered_with_its_place(server: httpx.Client) -> None:
    answer = server.get("/sparql", params={"query": "SELECT *\nWHERE { ?s ?p }"})
    assert answer.status_code == 400
    assert (answer.json()["line"], answer.json()["column"]) == (2, 15)


def test_methods_that_are_not_allowed_name_those_that_are(server: httpx.Client) -> None:
    assert server.put("/sparql").headers["allow"] == "GET, HEAD, POST, QUERY, OPTIONS"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "application/sparql-results+json"),
        ("*/*", "application/sparql-results+json"),
        ("application/sparql-results+json", "application/sparql-results+json"),
        ("application/json", "application/sparql-results+json"),
        ("application/*", "application/sparql-results+json"),
        ("application/sparql-results+xml", "application/sparql-results+xml"),
        ("application/xml", "application/sparql-results+xml"),
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/*", "text/csv; charset=utf-8"),
        ("text/tab-separated-values", "text/tab-separated-values; charset=utf-8"),
        ("text/csv;q=0.5, text/tab-separated-values", "text/tab-separated-values; charset=utf-8"),
        ("application/sparql-results+json;q=0, */*;q=0.1", "application/sparql-results+xml"),
        ("TEXT/CSV", "text/csv; charset=utf-8"),
        ("text/csv; charset=utf-8", "text/csv; charset=utf-8"),
        ("image/png, text/csv;q=0.1", "text/csv; charset=utf-8"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
    ],
)
def test_solutions_come_in_the_preferred_format(server: httpx.Client, accept: str, media_type: str) -> None:
    answer = server.get("/sparql", params={"query": SELECT}, headers={"accept": accept})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    assert "Accept" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/turtle; charset=utf-8"),
        ("*/*", "text/turtle; charset=utf-8"),
        ("application/n-triples", "application/n-triples"),
        ("application/ld+json", "application/ld+json"),
        ('application/ld+json;profile="http://www.w3.org/ns/json-ld#expanded"', "application/ld+json"),
        ("application/json", "application/ld+json"),
        ("application/rdf+xml", "application/rdf+xml"),
        ("text/turtle;q=0.2, application/rdf+xml;q=0.3", "application/rdf+xml"),
        ("text/plain", "application/n-triples"),
    ],
)
def test_triples_come_in_the_preferred_format(server: httpx.Client, accept: str, media_type: str) -> None:
    answer = server.get("/sparql", params={"query": CONSTRUCT}, headers={"accept": accept})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    fmt = next(f for f in formats.TRIPLES if f.content_type == media_type)
    assert len({q.triple for q in formats.parse(answer.content, fmt, "answer")}) >= 4


@pytest.mark.parametrize("accept", ["image/png", "text/turtle", "*/*;q=0", "application/json;q=0, image/*"])
def test_no_acceptable_format_is_406(server: httpx.Client, accept: str) -> None:
    answer = server.get("/sparql", params={"query": ASK}, headers={"accept": accept})
    assert answer.status_code == 406
    assert "text/csv" in answer.text


@pytest.mark.parametrize("ending", ["json", "xml", "csv", "tsv"])
def test_the_address_can_fix_the_format(server: httpx.Client, ending: str) -> None:
    answer = server.get(f"/sparql.{ending}", params={"query": SELECT}, headers={"accept": "text/html"})
    assert answer.headers["content-type"] == formats.by_name(ending, formats.SOLUTIONS).content_type


def test_the_dataset_of_the_request_counts(server: httpx.Client) -> None:
    count = "SELECT (COUNT(*) AS ?n) WHERE { ?s ?p ?o }"
    passage = f"{DEFAULT_BASE}id/source/nato-rsm-placemat-2020-02/launch"

    def number(**parameters: str) -> int:
        answer = server.get("/sparql", params={"query": count, **parameters})
        return int(answer.json()["results"]["bindings"][0]["n"]["value"])

    inside = number(**{"default-graph-uri": passage})
    assert 0 < inside < 20 < number()
    direct = server.post("/sparql", params={"default-graph-uri": passage}, headers=DIRECT, content=count)
    assert int(direct.json()["results"]["bindings"][0]["n"]["value"]) == inside
    body = f"query={quote(count)}&default-graph-uri={quote(passage)}"
    form = server.post("/sparql", headers=FORM, content=body)
    assert form.json() == direct.json()
    named = server.get(
        "/sparql",
        params={"query": "SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } }", "named-graph-uri": passage},
    )
    assert [row["g"]["value"] for row in named.json()["results"]["bindings"]] == [passage]


def test_head_has_the_fields_of_get_and_no_body(server: httpx.Client) -> None:
    got = server.get("/sparql", params={"query": SELECT})
    head = server.head("/sparql", params={"query": SELECT})
    assert head.status_code == 200
    assert head.content == b""
    for name in ("content-length", "content-type", "etag"):
        assert head.headers[name] == got.headers[name]


def test_every_origin_may_ask(server: httpx.Client) -> None:
    preflight = server.options(
        "/sparql", headers={"origin": "https://example.org", "access-control-request-method": "POST"}
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "QUERY" in preflight.headers["access-control-allow-methods"]
    assert "content-type" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["accept-query"] == "application/sparql-query"
    for address in ("/sparql?query=ASK%7B%7D", "/sparql?query=nonsense", "/doc/nation/DEU", "/download/SHA256SUMS"):
        answer = server.get(address)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "retry-after" in answer.headers["access-control-expose-headers"], "problems have such fields, too"


def test_a_repeated_query_is_kept_and_revalidated(server: httpx.Client) -> None:
    query = {"query": "SELECT (COUNT(*) AS ?kept) WHERE { ?s a rsm:Nation }"}
    first = server.get("/sparql", params=query)
    second = server.get("/sparql", params=query)
    assert second.content == first.content
    assert "kept" not in first.headers["server-timing"]
    assert "kept" in second.headers["server-timing"]
    assert first.headers["etag"] == second.headers["etag"]
    assert "max-age" in first.headers["cache-control"]
    same = server.get("/sparql", params=query, headers={"if-none-match": f'"other", {first.headers["etag"]}'})
    assert same.status_code == 304
    assert same.content == b""
    assert same.headers["etag"] == first.headers["etag"]
    other = server.get("/sparql", params=query, headers={"if-none-match": '"other"'})
    assert other.status_code == 200


def test_what_is_no_function_of_the_release_is_not_kept(server: httpx.Client) -> None:
    query = {"query": "SELECT (UUID() AS ?id) {}"}
    first, second = (server.get("/sparql", params=query) for _ in range(2))
    assert first.text != second.text
    assert first.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_long_answers_are_compressed_on_request(server: httpx.Client, encoding: str) -> None:
    query = {"query": "SELECT * WHERE { ?nation a rsm:Nation ; ?p ?o } ORDER BY ?nation ?p ?o"}
    plain = server.get("/sparql", params=query, headers={"accept-encoding": "identity"})
    packed = server.get("/sparql", params=query, headers={"accept-encoding": encoding})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == encoding
    assert packed.content == plain.content
    assert packed.headers["etag"] != plain.headers["etag"]
    assert "Accept-Encoding" in packed.headers["vary"]


@pytest.mark.parametrize(
    ("query", "wish", "media_type"),
    [
        (ASK, "format=csv", "text/csv"),
        (SELECT, "format=JSON", "application/sparql-results+json"),
        (SELECT, "output=xml&results=xml", "application/sparql-results+xml"),
        (SELECT, "format=text/tab-separated-values", "text/tab-separated-values"),
        (CONSTRUCT, "format=json", "application/ld+json"),
        (CONSTRUCT, "format=xml", "application/rdf+xml"),
        (CONSTRUCT, "format=n3", "text/turtle"),
        (CONSTRUCT, "format=application/n-triples", "application/n-triples"),
    ],
)
def test_a_parameter_can_name_the_format(server: httpx.Client, query: str, wish: str, media_type: str) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    for answer in (
        server.get(f"/sparql?query={quote(query)}&{wish}", headers=browser),
        server.post("/sparql", headers=FORM | browser, content=f"query={quote(query)}&{wish}"),
        server.post(f"/sparql?{wish}", headers=DIRECT | browser, content=query),
    ):
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].partition(";")[0] == media_type


@pytest.mark.parametrize("fmt", formats.TRIPLES, ids=lambda f: f.name)
def test_the_service_description_describes_this_endpoint(server: httpx.Client, fmt: formats.Format) -> None:
    answer = server.get("/sparql", headers={"accept": fmt.media_type})
    assert answer.status_code == 200
    store = ox.Store()
    store.extend(formats.parse(answer.content, fmt, "service description"))
    prefixes = {"sd": VOCABULARIES["sd"], "void": VOCABULARIES["void"]}
    found = store.query(
        """SELECT ?endpoint ?triples (COUNT(DISTINCT ?format) AS ?formats) (COUNT(DISTINCT ?graph) AS ?graphs) {
             ?service a sd:Service ; sd:endpoint ?endpoint ; sd:resultFormat ?format ;
                      sd:supportedLanguage sd:SPARQL11Query ; sd:defaultDataset ?dataset .
             ?dataset sd:defaultGraph/void:triples ?triples ; sd:namedGraph/sd:name ?graph .
           } GROUP BY ?endpoint ?triples""",
        prefixes=prefixes,
    )
    row = next(iter(found))  # type: ignore[arg-type]
    assert row["endpoint"].value == f"{server.base_url}sparql"
    count = server.get("/sparql", params={"query": "SELECT (COUNT(*) AS ?n) { ?s ?p ?o }"})
    assert row["triples"].value == count.json()["results"]["bindings"][0]["n"]["value"]
    assert int(row["formats"].value) == len(formats.SOLUTIONS) + len(formats.TRIPLES)
    assert int(row["graphs"].value) >= 5
    parts = [VOCABULARIES["sd"] + name for name in ("Dataset", "Graph", "NamedGraph", "Service")]
    for part in store.quads_for_pattern(None, ox.NamedNode(VOCABULARIES["rdf"] + "type"), None):
        others = {q.object.value for q in store.quads_for_pattern(part.subject, part.predicate, None)}
        assert len(others & set(parts)) == 1, f"{part.subject} is several things at once"
    (entities,) = store.query("SELECT ?n { ?graph void:entities ?n }", prefixes=prefixes)  # type: ignore[misc]
    release = formats.parse(server.get("/dataset.nt").content, formats.by_name("nt"), "dataset")
    (stated,) = {q.object.value for q in release if q.predicate.value == VOCABULARIES["void"] + "entities"
                 and q.subject.value.endswith("/id/dataset/rsm/1.0.0")}  # fmt: skip
    assert entities["n"].value == stated


def test_a_query_that_fails_in_a_browser_can_be_mended_there(server: httpx.Client) -> None:
    query = "SELECT ?s { ?s a rsm:Nation } ORDER\n</textarea><b>"
    page = server.get("/sparql", params={"query": query}, headers={"accept": "text/html"})
    assert page.status_code == 400
    assert "Line 2" in page.text
    assert "ORDER\n&lt;/textarea&gt;&lt;b&gt;</textarea>" in page.text
    assert "<textarea" not in server.get("/nothing", headers={"accept": "text/html"}).text
    long = f"SELEC # {'x' * 100_000}"
    assert len(server.post("/sparql", data={"query": long}, headers={"accept": "text/html"}).content) < 20_000


def test_a_browser_gets_the_editor_and_answers_as_pages(server: httpx.Client) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
    editor = server.get("/sparql", headers=browser)
    assert "<textarea" in editor.text
    assert editor.headers["content-type"].startswith("text/html")
    page = server.get("/sparql", params={"query": SELECT}, headers=browser)
    assert "mission:rsm" in page.text
    assert "/sparql.csv?query=" in page.text
    yes = server.get("/sparql", params={"query": ASK}, headers=browser)
    assert "Yes" in yes.text
    graph = server.get("/sparql", params={"query": CONSTRUCT}, headers=browser)
    assert "rdfs:label" in graph.text
    wrong = server.get("/sparql", params={"query": "SELECT <b>"}, headers=browser)
    assert wrong.status_code == 400
    assert wrong.headers["content-type"].startswith("text/html")
    assert "&lt;b&gt;" in wrong.text


def test_a_body_beyond_the_bound_is_refused(server: httpx.Client) -> None:
    body = "query=" + "x" * (3 * 2**20)
    assert server.post("/sparql", headers=FORM, content=body).status_code == 413
    endless = (b"x" * 65536 for _ in range(64))
    assert server.post("/sparql", headers=DIRECT, content=endless).status_code == 413


def test_literals_come_out_as_they_stand_in_the_data(server: httpx.Client) -> None:
    query = f"SELECT ?troops {{ <{DEFAULT_BASE}id/contribution/rsm-2020-02/USA> rsm:troops ?troops }}"
    binding = json.loads(server.get("/sparql", params={"query": query}).text)["results"]["bindings"][0]
    assert binding["troops"]["value"] == "8000"
    assert binding["troops"]["datatype"].endswith("#nonNegativeInteger")


def test_other_files_are_served_without_pages_about_their_things(tmp_path: Path) -> None:
    data = tmp_path / "data.ttl"
    data.write_text("<http://example.org/a> a <http://example.org/C> ; <http://example.org/p> 1 .", encoding="utf-8")
    with serving("--data", str(data)) as client:
        description = client.get("/sparql", headers={"accept": "application/n-triples"}).text
        assert re.search(r'void#triples> "2"\^\^', description)
        home = client.get("/", headers={"accept": "text/html"})
        assert "<textarea" in home.text
        assert "Contributions" not in home.text
        for address in ("/browse", "/sources", "/search?q=a", "/dataset", "/validation", "/map", "/timeline", "/docs"):
            assert client.get(address, headers={"accept": "text/html"}).status_code == 200, address
        assert client.get("/queries/troops-by-nation").status_code == 404
        assert len(re.findall("<loc>", client.get("/sitemap.xml").text)) == 3
        assert "license" not in client.get("/openapi.json").json()["info"]


@given(st.lists(st.one_of(st.binary(max_size=4), st.sampled_from([b"%3D", b"%0a", b"%0D", b"%e2%82%ac", b"=", b"+"]))))
def test_forms_are_decoded_as_the_standard_library_does(parts: list[bytes]) -> None:
    raw = b"".join(parts).replace(b"&", b"")
    decoded = unquote_to_bytes(raw.replace(b"+", b" "))
    faulty = re.search(rb"%(?![0-9A-Fa-f]{2})", raw) is not None
    try:
        decoded.decode()
    except UnicodeDecodeError:
        faulty = True
    if faulty:
        with pytest.raises(HttpProblem):
            parameters(b"a=" + raw, "body")
    else:
        assert parameters(b"a=" + raw, "body") == [("a", decoded.decode())]
