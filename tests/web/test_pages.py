"""Pages, and what operators and crawlers ask for."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import httpx
import pytest

from rsm_graph import project
from rsm_graph.namespaces import DEFAULT_BASE
from rsm_graph.web import problems

PAGES = [
    "/", "/browse", "/browse/nation", "/browse/event", "/browse/source", "/queries", "/queries/legal-basis", "/sparql",
    "/download/", "/ontology", "/shapes", "/concepts", "/concepts/rank", "/dataset", "/validation", "/sources",
    "/search", "/search?q=kabul", "/docs", "/map", "/timeline", "/doc/nation/DEU", "/doc/mission/rsm",
    "/graph/identity", "/doc/source/nato-rsm-placemat-2020-02", "/doc/source/nato-rsm-placemat-2020-02/launch",
]  # fmt: skip
HTML = {"accept": "text/html"}
_VOID = {"meta", "link", "input", "br", "img", "col", "hr", "wbr"}


class Page(HTMLParser):
    """What a test asks of a page: its tags balanced, its ids, its links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.styles = 0
        self.headings: list[int] = []
        self.labels: list[str] = []
        self.fields: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in _VOID:
            self.open.append(tag)
        if values.get("id"):
            self.ids.append(str(values["id"]))
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        if tag in ("script", "img", "source") and values.get("src"):
            self.loads.append(str(values["src"]))
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload"):
            self.loads.append(str(values["href"]))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "label":
            self.labels.append(str(values.get("for")))
        if tag in ("input", "textarea", "select") and values.get("type") != "hidden":
            self.fields.append(values)
        if tag == "img":
            assert "alt" in values
        self.styles += "style" in values or tag == "style"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1] == tag, f"</{tag}> closes <{self.open[-1]}>"
        self.open.pop()


@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_sound_and_asks_nothing_of_anybody_else(server: httpx.Client, address: str) -> None:
    answer = server.get(address, headers=HTML)
    assert answer.status_code == 200, answer.text[:500]
    page = Page(answer.text)
    assert not page.open
    assert len(page.ids) == len(set(page.ids)), [i for i in page.ids if page.ids.count(i) > 1]
    assert page.loads
    assert all(load.startswith("/") for load in page.loads)
    assert not page.styles, "inline styles are against the content security policy"
    assert re.search(r"<title>[^<]+</title>", answer.text)
    assert answer.text.count("<h1") == 1
    assert '<html lang="en">' in answer.text
    assert all(after - before <= 1 for before, after in itertools.pairwise(page.headings)), page.headings
    assert all(field.get("id") in page.labels or field.get("aria-label") for field in page.fields)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["etag"]
    for name in {link.partition("#")[2] for link in page.links if link.startswith("#")}:
        assert name in page.ids


@pytest.mark.parametrize("address", PAGES)
def test_links_on_a_page_lead_somewhere(server: httpx.Client, address: str) -> None:
    page = Page(server.get(address, headers=HTML).text)
    local = sorted({link.partition("#")[0] for link in page.links if link.startswith("/")} - {""})
    for link in local[:: max(1, len(local) // 25)]:
        status = server.head(link, headers=HTML, follow_redirects=True).status_code
        assert status == 200, link


def test_head_is_answered_wherever_get_is(server: httpx.Client) -> None:
    for address in [
        *PAGES,
        "/health/live",
        "/health/ready",
        "/robots.txt",
        "/sitemap.xml",
        "/openapi.json",
        "/metrics",
    ]:
        head = server.head(address)
        assert (head.status_code, head.content) == (200, b""), address


@pytest.mark.parametrize("address", ["/", "/doc/nation/DEU", "/queries", "/download/", "/health/live"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_not_allowed(server: httpx.Client, address: str, method: str) -> None:
    answer = server.request(method, address)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("address", ["/", "/doc/nation/DEU", "/sparql", "/reconcile"])
def test_a_preflight_is_answered_without_content_or_its_length(server: httpx.Client, address: str) -> None:
    for _ in range(2):  # on one connection, so that the end of the first answer is where the client thinks
        answer = server.options(address)
        assert (answer.status_code, answer.content) == (204, b"")
        assert "GET" in answer.headers["access-control-allow-methods"]
        assert not {"content-length", "transfer-encoding"} & set(answer.headers)


def test_static_files_are_kept_for_ever_under_the_digest_of_their_content(server: httpx.Client) -> None:
    page = Page(server.get("/", headers=HTML).text)
    for load in page.loads:
        answer = server.get(load)
        assert answer.status_code == 200, load
        assert "immutable" in answer.headers["cache-control"]
    style = next(load for load in page.loads if load.endswith(".css"))
    for font in re.findall(r'url\("([^"]+)"\)', server.get(style).text):
        assert server.get(f"/static/{font}").headers["content-type"] == "font/woff2"


def test_the_home_page_shows_the_mission_at_a_glance(server: httpx.Client) -> None:
    page = server.get("/", headers=HTML).text
    for words in ("Resolute Support Mission", "1 January 2015", "Train, Advise and Assist Command East", "16,551"):
        assert words in page


LOCAL = sorted(name for name in project.texts(project.QUERIES, DEFAULT_BASE) if not name.startswith("federated-"))


@pytest.mark.parametrize("name", LOCAL)
def test_every_example_query_has_a_page_and_its_answer_in_formats(server: httpx.Client, name: str) -> None:
    page = server.get(f"/queries/{name}", headers=HTML)
    assert page.status_code == 200
    json = server.get(f"/queries/{name}.json")
    if "SERVICE" in server.get(f"/queries/{name}.rq").text:
        assert json.status_code == 403  # the page says so, and shows the query all the same
        assert "--allow-service" in page.text
        return
    csv = server.get(f"/queries/{name}.csv")
    assert json.headers["content-type"] == "application/sparql-results+json"
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert csv.text.splitlines()[0].split(",") == json.json()["head"]["vars"]
    text = server.get(f"/queries/{name}.rq")
    assert text.headers["content-type"].startswith("application/sparql-query")
    again = server.post("/sparql", content=text.content, headers={"content-type": "application/sparql-query"})
    assert again.content == json.content


def test_the_data_behind_pages_come_as_json(server: httpx.Client) -> None:
    places = server.get("/map.geojson")
    assert places.headers["content-type"] == "application/geo+json"
    kabul = next(f for f in places.json()["features"] if f["id"].endswith("/place/kabul"))
    longitude, latitude = kabul["geometry"]["coordinates"]
    assert 69 < longitude < 69.5
    assert 34 < latitude < 35
    assert kabul["properties"]["role"] == "hub"
    assert server.get("/map", headers={"accept": "application/geo+json"}).content == places.content
    timeline = server.get("/timeline.json").json()
    assert {"events", "tenures", "figures", "posts"} <= set(timeline)
    assert max(f["troops"] for f in timeline["figures"] if f["exact"]) == 17178
    sources = server.get("/sources.json").json()
    assert {d["reliability"] for d in sources} == {"primary", "secondary", "tertiary"}
    assert server.get("/map.json").status_code == 404


def test_the_map_and_the_timeline_are_drawn_with_links(server: httpx.Client) -> None:
    assert 'href="/doc/place/mazar-e-sharif"' in server.get("/map", headers=HTML).text
    timeline = server.get("/timeline", headers=HTML).text
    assert 'href="/doc/tenure/commander-rsm--nicholson-john-w"' in timeline
    assert "Nicholson" in timeline


def test_the_timeline_shows_every_tenure_for_as_long_as_sources_allow_and_no_longer(server: httpx.Client) -> None:
    page = server.get("/timeline", headers=HTML).text
    titles = re.findall(r'href="/doc/tenure/[^"]*" aria-label="([^"]*)"', page)
    for title in (
        "John W. Nicholson Jr., from 2 March 2016 until 2 September 2018",
        "Thorsten Poschwatta, attested 2021",
        "Hans-Lothar Domröse, attested 28 December 2014",
    ):
        assert title in titles
    drawn = set(re.findall(r'href="/doc/tenure/([^"]*)" aria-label', page))
    tenures = server.get("/timeline.json").json()["tenures"]
    late = {t["iri"].rpartition("/")[2] for t in tenures
            if max(t["earliest_start"], t["latest_start"], t["earliest_end"], t["latest_end"]) >= "2014"}  # fmt: skip
    assert drawn == late
    (poschwatta,) = re.findall(r'aria-label="Thorsten Poschwatta[^>]*>(.*?)</a>', page)
    assert "sure" not in poschwatta, "nobody says on which day of the year he held the post"
    (year,) = re.findall(r'd="M([0-9.]+) 18V\d+"/><text class="soft" x="[0-9.]+" y="14">2021<', page)
    (left,) = re.findall(r'class="may" x="([0-9.]+)"', poschwatta)
    assert float(left) == float(year)


def test_things_are_found_by_name_code_and_in_other_languages(server: httpx.Client) -> None:
    for wanted in ("Germany", "germany", "Allemagne", "DEU", "Germ"):
        results = server.get("/search", params={"q": wanted}, headers={"accept": "application/json"}).json()["results"]
        assert "nation/DEU" in " ".join(r["iri"] for r in results[:5]), wanted
    page = server.get("/search", params={"q": "<script>alert(1)</script>"}, headers=HTML)
    assert "<script>alert" not in page.text
    assert server.get("/search", params={"q": "x" * 5000}).status_code == 400


def rows(page: str, table: int = 0) -> list[list[str]]:
    """The cells of one table of a page as text, a list a row."""
    bodies = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in bodies[table].split("</tr>")]
    return [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in cells if row]


def test_the_downloads_page_says_what_each_file_holds(server: httpx.Client) -> None:
    files = {name: holds for name, holds, *_ in rows(server.get("/download/", headers=HTML).text)}
    assert files["rsm-graph.trig"] == files["rsm-graph.nq"] == "every graph"
    assert files["rsm-graph.ttl"] == files["rsm-graph.jsonld"] == "the accepted statements"
    others = [holds for name, holds in files.items() if not name.startswith("rsm-graph.")]
    assert "a row for each tenure" in others
    assert not {"every graph", "the accepted statements", ""} & set(others)


def test_passages_are_listed_with_their_documents_and_after_them(server: httpx.Client) -> None:
    page = server.get("/browse/source", headers=HTML).text
    assert page.index('id="source-documents"') < page.index('id="passages"')
    passages = rows(page, 1)
    assert len(passages) > 400
    assert all(document and locator for document, locator, *_ in passages)
    assert any(document.startswith("Resolute Support Mission (RSM)") for document, *_ in passages)


def test_what_only_disputed_passages_tell_of_has_its_name(server: httpx.Client) -> None:
    label = "Kenneth F. McKenzie Jr. as Commander, Resolute Support Mission"
    page = server.get("/doc/tenure/commander-rsm--mckenzie-kenneth-f", headers=HTML).text
    assert f"<h1>{label}</h1>" in page
    heading = '<h2 id="disputed-and-rejected-{0}">Disputed and rejected <small>· {0}</small>'
    for address, said in (("/doc/person/mckenzie-kenneth-f", "holder"), ("/doc/post/commander-rsm", "post")):
        other = server.get(address, headers=HTML).text
        assert heading.format(said) in other
        assert f">{label}</a>" in other.partition(heading.format(said))[2]
    mission = server.get("/doc/mission/rsm", headers=HTML).text
    tenures = mission.partition('<h2 id="tenures-post">')[2].partition("</section>")[0]
    assert all(row[0] for row in rows(tenures)), "each tenure has a holder, so no disputed one is among them"
    listed = server.get("/browse/tenure", headers=HTML).text
    assert [label] in rows(listed, 1)
    assert '<h2 id="disputed-and-rejected">Disputed and rejected <span class="count">2</span></h2>' in listed


def test_code_lists_are_in_the_order_of_their_numbers(server: httpx.Client) -> None:
    page = server.get("/concepts/rank", headers=HTML).text
    grades = [int(number) for number in re.findall(r'<h2 class="small"><a href="[^"]*/of-(\d+)">', page)]
    assert grades == list(range(1, 11))


def test_every_hit_says_what_it_is(server: httpx.Client) -> None:
    found = server.get("/search", params={"q": "kabul"}, headers={"accept": "application/json"}).json()["results"]
    kinds = {hit["label"]: hit["kind"] for hit in found}
    assert kinds["Kabul"] == "place"
    assert kinds["Kabul Multinational Brigade"] == "organization"


def test_an_answer_aligns_numbers_by_column_and_writes_terms_as_queries_do(server: httpx.Client) -> None:
    page = server.get("/queries/strength-over-time", headers=HTML).text
    numeric = set(re.findall(r'<th scope="col" class="number">(\w+)</th>', page))
    assert numeric == {"troops", "nations"}
    assert "<td>2015</td>" in re.sub(r"</?span[^>]*>", "", page)
    ask = server.get("/sparql", params={"query": "SELECT ?x { VALUES ?x { 1.5 -2 3e0 } }"}, headers=HTML).text
    assert ask.count('<td class="number">') == 3
    terms = server.get(
        "/sparql", params={"query": "SELECT * { VALUES ?x { rdf:type org:Role nation:DEU } }"}, headers=HTML
    )
    assert [cells[0] for cells in rows(terms.text)] == ["rdf:type", "org:Role", "nation:DEU"]
    mixed = server.get("/sparql", params={"query": 'SELECT ?x { VALUES ?x { 1 "one" UNDEF } }'}, headers=HTML).text
    assert 'class="number"' not in mixed


def test_the_server_says_how_it_is(server: httpx.Client) -> None:
    assert server.get("/health/live").text == "ok\n"
    ready = server.get("/health/ready")
    assert (ready.status_code, ready.headers["cache-control"]) == (200, "no-store")
    server.get("/sparql", params={"query": "ASK {}"})
    metrics = server.get("/metrics").text
    assert 'rsm_graph_http_requests_total{route="sparql",method="GET",status="200"}' in metrics
    assert 'rsm_graph_queries_total{outcome="answered"}' in metrics
    assert "rsm_graph_engine_ready 1" in metrics
    for line in metrics.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) .+|[a-z_]+(\{[^{}]*\})? [0-9.e+-]+", line), line


def test_every_request_has_an_id_of_its_own(server: httpx.Client) -> None:
    ids = {server.get("/health/live").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


def test_the_interface_is_described(server: httpx.Client) -> None:
    described = server.get("/openapi.json").json()
    assert described["openapi"].startswith("3.1")
    assert {"/sparql", "/id/{key}", "/doc/{key}", "/download/{name}", "/search"} <= set(described["paths"])
    operations = [o for path in described["paths"].values() for o in path.values()]
    assert all(operation["summary"] for operation in operations)
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    given = {
        path
        for path, methods in described["paths"].items()
        for operation in methods.values()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    }
    assert given
    assert all(path.startswith(("/sparql", "/search", "/reconcile")) for path in given)
    listed = Page(server.get("/docs", headers=HTML).text).links
    assert {"/ontology", "/dataset", "/map", "/timeline"} <= set(listed)


@pytest.mark.parametrize(
    "address", ["/", "/doc/nation/DEU", "/doc/nation/DEU.ttl", "/id/nation/DEU", "/map", "/queries"]
)
def test_a_query_string_that_says_nothing_here_costs_no_second_rendering(server: httpx.Client, address: str) -> None:
    plain = server.get(address)
    for query in ("", "x=1", "ending=nt", "utm_source=a&x", "?", "q=%FF"):
        answer = server.get(f"{address}?{query}")
        assert answer.headers["server-timing"] == "kept", query
        assert (answer.status_code, answer.content) == (plain.status_code, plain.content)


def test_a_query_string_that_says_something_is_read_however_the_address_is_spelt(server: httpx.Client) -> None:
    found = {
        server.get(f"{address}?q={wanted}", headers={"accept": "application/json"}).json()["query"]
        for address in ("/search", "/%73earch")
        for wanted in ("kabul", "herat")
    }
    assert found == {"kabul", "herat"}
    texts = [server.get(f"{address}?query=ASK{{{bgp}}}").text for address in ("/sparql", "/%73parql", "/sparql.csv")
             for bgp in ("", "<a:b><a:b><a:b>")]  # fmt: skip
    assert len(set(texts)) > 2
    assert texts[0] != texts[1]
    assert texts[2] != texts[3]


def test_every_problem_type_is_documented(server: httpx.Client) -> None:
    docs = server.get("/docs", headers=HTML).text
    problem = server.get("/sparql", params={"query": "nonsense"}).json()
    assert problem["type"] == "/docs#query-syntax"
    assert [kind.name for kind in problems.ALL if f'id="{kind.name}"' not in docs] == []


def test_crawlers_find_every_thing(server: httpx.Client) -> None:
    robots = server.get("/robots.txt").text
    sitemap = re.search(r"Sitemap: (\S+)", robots)
    assert sitemap is not None
    tree = ElementTree.fromstring(server.get(sitemap[1]).content)
    addresses = [node.text or "" for node in tree.iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")]
    assert f"{server.base_url}doc/nation/DEU" in addresses
    assert len(addresses) == len(set(addresses)) > 500
    assert all(address.startswith(str(server.base_url)) for address in addresses)
