"""Dereferencing over HTTP: every IRI has an address, every address every format."""

from __future__ import annotations

import random
import re
from datetime import date
from urllib.parse import quote, urlsplit

import httpx
import pyoxigraph as ox
import pytest

from rsm_graph import formats
from rsm_graph.dataset import Dataset
from rsm_graph.describe import Index
from rsm_graph.namespaces import DEFAULT_BASE, VOCABULARIES
from rsm_graph.shapes import project_shapes
from tests.conftest import serving

PREFIXES = "".join(
    f"PREFIX {name}: <{iri}> " for name, iri in (*VOCABULARIES.items(), ("dqv", "http://www.w3.org/ns/dqv#"))
)
RDF = [*formats.TRIPLES, *formats.QUADS]


def local(iri: str) -> str:
    return "/" + quote(iri.removeprefix(DEFAULT_BASE), safe="/%:@!$&'()*+,;=~-._#").partition("#")[0]


def statements(answer: httpx.Response, fmt: formats.Format) -> set[ox.Quad]:
    return set(formats.parse(answer.content, fmt, str(answer.url)))


def test_a_thing_redirects_to_its_description(server: httpx.Client) -> None:
    answer = server.get("/id/nation/DEU", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/doc/nation/DEU"
    assert answer.headers["vary"] == "Accept"


@pytest.mark.parametrize("fmt", RDF, ids=lambda f: f.name)
def test_a_description_comes_in_every_format(server: httpx.Client, dataset: Dataset, fmt: formats.Format) -> None:
    iri = f"{DEFAULT_BASE}id/command/taac-east"
    negotiated = server.get("/id/command/taac-east", headers={"accept": fmt.media_type}, follow_redirects=True)
    pinned = server.get(f"/doc/command/taac-east.{fmt.name}", headers={"accept": "text/html"})
    assert negotiated.headers["content-type"] == pinned.headers["content-type"] == fmt.content_type
    assert negotiated.headers["content-location"] == f"/doc/command/taac-east.{fmt.name}"
    assert "content-location" not in pinned.headers
    assert pinned.content == negotiated.content
    index = Index(dataset)
    expected = index.quads(iri) if fmt.carries == "quads" else index.triples(iri)
    found = statements(negotiated, fmt)
    if fmt.carries == "quads":
        assert found == set(expected)
    else:
        assert {q.triple for q in found} == set(expected)


def test_a_description_links_to_its_other_formats_and_to_what_it_belongs_to(server: httpx.Client) -> None:
    link = server.get("/doc/nation/DEU", headers={"accept": "text/turtle"}).headers["link"]
    for part in (
        '</doc/nation/DEU.html>; rel="alternate"; type="text/html"',
        '</doc/nation/DEU.nq>; rel="alternate"; type="application/n-quads"',
        f'<{DEFAULT_BASE}id/nation/DEU>; rel="cite-as"',
        '</dataset>; rel="describedby"',
        '<https://creativecommons.org/licenses/by/4.0/>; rel="license"',
        '</browse/nation>; rel="collection"',
    ):
        assert part in link
    assert ".ttl" not in link


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        ("text/turtle", "text/turtle"),
        ("application/ld+json, text/html;q=0.9", "application/ld+json"),
        ("text/html;q=0, */*", "text/turtle"),
        ("application/trig", "application/trig"),
        ("application/xhtml+xml", "text/html"),
    ],
)
def test_descriptions_are_negotiated(server: httpx.Client, accept: str, media_type: str) -> None:
    answer = server.get("/doc/nation/DEU", headers={"accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == media_type
    assert "Accept" in answer.headers["vary"]


def test_a_format_that_is_not_on_offer_is_406_or_404(server: httpx.Client) -> None:
    assert server.get("/doc/nation/DEU", headers={"accept": "image/png"}).status_code == 406
    assert server.get("/doc/nation/DEU.png").status_code == 404


@pytest.mark.parametrize(
    "address",
    ["/id/nation/XXX", "/doc/nation/XXX", "/id/", "/doc/nation", "/id/nation/DEU/", "/ontology/9.9.9", "/graph/none",
     "/concepts/none", "/nothing", "/id/nation/%FF", "/doc/%00", "/browse/none", "/queries/none", "/wikidata/Q0",
     "/download/../pyproject.toml", "/download/%2e%2e/pyproject.toml", "/static/..%2fapp.py", "/static/app.py"],
)  # fmt: skip
def test_where_there_is_nothing_the_answer_is_404(server: httpx.Client, address: str) -> None:
    answer = server.get(address, headers={"accept": "application/json"})
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    page = server.get(address, headers={"accept": "text/html"})
    assert page.status_code == 404
    assert "<h1>" in page.text


def test_every_iri_under_the_base_dereferences(server: httpx.Client, dataset: Dataset) -> None:
    iris = {t.value for quad in dataset.quads for t in quad if isinstance(t, ox.NamedNode)}
    own = sorted(iri for iri in iris if iri.startswith(DEFAULT_BASE))
    described = {q.subject.value for q in dataset.quads if isinstance(q.subject, ox.NamedNode)}
    documents = {iri.partition("#")[0] for iri in own if iri in described or "#" in iri or "/graph/" in iri}
    sample = random.Random(7).sample(sorted(documents), min(400, len(documents)))
    fixed = [iri for iri in sorted(documents) if "/id/" not in iri]
    for iri in {*sample, *fixed}:
        answer = server.get(local(iri), headers={"accept": "text/turtle"}, follow_redirects=True)
        assert answer.status_code == 200, iri
        assert answer.content, iri


def test_every_page_of_a_kind_renders(server: httpx.Client, dataset: Dataset) -> None:
    index = Index(dataset)
    by_kind: dict[str, list[str]] = {}
    for iri in index.things:
        by_kind.setdefault(iri.removeprefix(f"{DEFAULT_BASE}id/").partition("/")[0], []).append(iri)
    for iris in by_kind.values():
        for iri in [*random.Random(3).sample(iris, min(4, len(iris)))]:
            page = server.get(local(iri), headers={"accept": "text/html"}, follow_redirects=True)
            assert page.status_code == 200, iri
            assert iri in page.text


@pytest.mark.parametrize(
    "address", ["/ontology", "/shapes", "/concepts/rank", "/dataset", "/validation", "/graph/identity"]
)
@pytest.mark.parametrize("fmt", RDF, ids=lambda f: f.name)
def test_documents_about_the_whole_come_in_every_format(
    server: httpx.Client, address: str, fmt: formats.Format
) -> None:
    answer = server.get(address, headers={"accept": fmt.media_type})
    assert answer.headers["content-type"] == fmt.content_type
    assert len(statements(answer, fmt)) > 10
    assert server.get(f"{address}.{fmt.name}").content == answer.content


@pytest.mark.parametrize("address", ["/ontology", "/shapes", "/dataset", "/validation", "/graph/links"])
def test_every_part_of_a_document_has_an_anchor_on_its_page(server: httpx.Client, address: str) -> None:
    start = f"{DEFAULT_BASE}{address[1:]}#"
    described = formats.parse(server.get(f"{address}.nt").content, formats.by_name("nt"), address)
    parts = {q.subject.value.removeprefix(start) for q in described if q.subject.value.startswith(start)}
    assert len(parts) > 100
    page = server.get(address, headers={"accept": "text/html"}).text
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert parts <= set(ids), sorted(parts - set(ids))[:20]
    assert len(ids) == len(set(ids))


def test_the_ontology_page_shows_the_classes_at_a_glance(server: httpx.Client) -> None:
    assert '<svg class="diagram"' in server.get("/ontology", headers={"accept": "text/html"}).text


def test_a_graph_of_the_project_is_not_called_a_passage(server: httpx.Client) -> None:
    page = server.get("/graph/links", headers={"accept": "text/html"}).text
    assert "This passage" not in page
    assert '<tr id="nation-DEU-wd-Q183">' in page
    passage = server.get("/doc/source/nato-rsm-placemat-2020-02/launch", headers={"accept": "text/html"}).text
    assert "This passage is <strong>accepted</strong>" in passage


def test_the_version_iri_of_the_ontology_dereferences(server: httpx.Client) -> None:
    answer = server.get("/ontology/1.0.0", headers={"accept": "text/turtle"})
    assert answer.content == server.get("/ontology.ttl").content


def test_the_shapes_page_has_a_section_for_every_constraint(server: httpx.Client) -> None:
    page = server.get("/shapes", headers={"accept": "text/html"}).text
    assert 'id="nationCode"' in page
    assert "Invalid example" in page


def test_the_dataset_is_found_at_its_well_known_address(server: httpx.Client) -> None:
    answer = server.get("/.well-known/void", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/dataset")
    home = server.get("/", headers={"accept": "text/turtle"}, follow_redirects=False)
    assert (home.status_code, home.headers["location"]) == (303, "/dataset")


def test_a_wikidata_item_leads_to_the_thing_linked_to_it(server: httpx.Client) -> None:
    answer = server.get("/wikidata/Q183", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, "/doc/nation/DEU")


def test_descriptions_are_revalidated(server: httpx.Client) -> None:
    first = server.get("/doc/nation/DEU", headers={"accept": "text/turtle"})
    headers = {"accept": "text/turtle", "if-none-match": first.headers["etag"]}
    assert server.get("/doc/nation/DEU", headers=headers).status_code == 304
    dated = {"accept": "text/turtle", "if-modified-since": first.headers["last-modified"]}
    assert server.get("/doc/nation/DEU", headers=dated).status_code == 304
    older = {"accept": "text/turtle", "if-modified-since": "Mon, 01 Jan 2001 00:00:00 GMT"}
    assert server.get("/doc/nation/DEU", headers=older).status_code == 200


def test_a_statement_stands_with_the_passage_that_makes_it(server: httpx.Client) -> None:
    page = server.get("/doc/mission/rsm", headers={"accept": "text/html"}).text
    assert "/doc/source/nato-rsm-placemat-2020-02/launch" in page
    assert "text, paragraph 1, sentence 2" in page
    assert "1 January 2015" in page
    assert "primary" in page


def test_disputed_statements_stand_apart_with_the_ruling(server: httpx.Client, dataset: Dataset) -> None:
    ruling = next(q for q in dataset.quads if q.predicate.value == f"{DEFAULT_BASE}ontology#ruling")
    graph = dataset.graphs[ruling.subject.value]
    page = server.get(local(graph[0].subject.value), headers={"accept": "text/html"}, follow_redirects=True).text
    assert "Disputed and rejected" in page


@pytest.mark.parametrize("base", ["https://example.org/kg/x/", "http://127.0.0.1:8000/"])
def test_everything_dereferences_whatever_the_base_is(base: str) -> None:
    path = urlsplit(base).path.rstrip("/")
    with serving("--base-iri", base) as client:
        for prefix in {"", path}:
            answer = client.get(f"{prefix}/id/nation/DEU", headers={"accept": "text/turtle"}, follow_redirects=True)
            assert f"<{base}id/nation/DEU>" in answer.text or f"@prefix nation: <{base}id/nation/>" in answer.text
            assert client.get(f"{prefix}/ontology").status_code == 200
        assert client.get("/doc/nation/DEU").headers["link"].count(f"<{base}id/nation/DEU>") == 1


def test_behind_a_proxy_with_a_path_prefix_every_link_has_it() -> None:
    with serving("--public-url", "https://data.example.org/rsm/") as client:
        for asked in ("/rsm", ""):  # proxies that pass the prefix on, and proxies that strip it
            page = client.get(f"{asked}/doc/nation/DEU", headers={"accept": "text/html"})
            assert page.status_code == 200
            links = [part.split('"')[0] for part in page.text.split('href="')[1:]]
            assert all(link.startswith(("/rsm/", "http", "#")) for link in links), links
            redirect = client.get(f"{asked}/id/nation/DEU", follow_redirects=False)
            assert redirect.headers["location"] == "/rsm/doc/nation/DEU"
        assert "https://data.example.org/rsm/doc/nation/DEU" in client.get("/sitemap.xml").text
        description = client.get("/sparql", headers={"accept": "text/turtle"}).text
        assert "https://data.example.org/rsm/sparql" in description


def test_the_validation_report_says_when_by_what_on_what_and_how_often(server: httpx.Client) -> None:
    graph = ox.Store()
    graph.load(server.get("/validation.ttl").content, format=ox.RdfFormat.TURTLE)
    page = server.get("/validation", headers={"Accept": "text/html"}).text
    (row,) = graph.query(
        PREFIXES + "SELECT ?day ?hash ?conforms { ?report a sh:ValidationReport ; dcterms:issued ?day ;"
        " sh:conforms ?conforms ; spdx:checksum/spdx:checksumValue ?hash }"
    )
    assert row["conforms"].value == "true"
    assert row["hash"].value in page
    assert f"{date.fromisoformat(row['day'].value):%-d %B %Y}" in page
    judges = graph.query(PREFIXES + "SELECT ?name { ?r prov:wasAttributedTo/rdfs:label ?name }")
    names = {judge["name"].value for judge in judges}
    assert len(names) == 2
    assert all(re.fullmatch(r"(pySHACL|shacl|pyoxigraph) [\d.]+", name) and name in page for name in names)
    counts = graph.query(PREFIXES + "SELECT ?c ?n { [] dqv:isMeasurementOf ?any ; dcterms:subject ?c ; dqv:value ?n }")
    checks = {r["c"].value.rpartition("#")[2]: int(r["n"].value) for r in counts}
    assert set(checks) == {c.name for c in project_shapes().constraints.values()}
    assert checks["label"] > 1000
    assert '#label">label</a>' in page


def test_an_entity_page_says_which_shapes_it_was_checked_against(server: httpx.Client) -> None:
    page = server.get("/doc/nation/DEU.html").text
    (listed,) = re.findall(r'<details class="more"><summary>(\d+) shapes</summary><p class="shapes">(.*?)</p>', page)
    names = re.findall(r'href="/shapes#(\w+)"', listed[1])
    assert len(names) == int(listed[0])
    assert {"nationCode", "label", "labelFr"} <= set(names)
    assert "tenureHolder" not in names
    documented = server.get("/shapes", headers={"Accept": "text/html"}).text
    assert all(f'id="{name}"' in documented for name in names)


def test_every_constraint_is_documented_with_its_two_examples(server: httpx.Client) -> None:
    page = server.get("/shapes", headers={"Accept": "text/html"}).text
    articles = dict(re.findall(r'<article class="term" id="(\w+)">(.*?)</article>', page, re.DOTALL))
    constraints = {c.name: c for c in project_shapes().constraints.values()}
    assert set(articles) == set(constraints)
    for name, text in articles.items():
        assert f">{constraints[name].severity}</span>" in text
        for part in ("<dt>message</dt>", "<dt>remedy</dt>", "Valid example</summary>", "Invalid example</summary>"):
            assert part in text, name


def test_hidden_labels_are_data_and_no_names_for_readers(server: httpx.Client) -> None:
    data = server.get("/doc/nation/DEU.ttl").text
    assert "skos:hiddenLabel" in data
    assert '"Federal Republic of Germany"@en' in data
    page = server.get("/doc/nation/DEU.html").text
    assert "Federal Republic of Germany" not in page
    assert "BRD" not in page
