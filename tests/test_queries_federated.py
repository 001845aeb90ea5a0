"""The example queries that join our data with Wikidata, against a second local server in its place."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from rsm_graph import project
from rsm_graph.namespaces import DEFAULT_BASE
from tests.conftest import serving

ADDRESS = "https://query.wikidata.org/sparql"
QUERIES = {
    name: query.text
    for name, query in project.texts(project.QUERIES, DEFAULT_BASE).items()
    if name.startswith("federated-")
}

THERE = """
@prefix wd: <http://www.wikidata.org/entity/> .
@prefix wdt: <http://www.wikidata.org/prop/direct/> .
wd:Q183 wdt:P297 "DE" ; wdt:P463 wd:Q7184 .
wd:Q222 wdt:P297 "XX" ; wdt:P463 wd:Q7184 .
wd:Q408 wdt:P297 "AU" .
wd:Q756617 wdt:P297 "DK" .
wd:Q35 wdt:P463 wd:Q7184 .
wd:Q1 wdt:P297 "ZZ" ; wdt:P463 wd:Q7184 .
wd:Q121104 wdt:P300 "AF-BAL" ; wdt:P625 "Point(67 36.5)" .
wd:Q2 wdt:P300 "AF-BDS" .
wd:Q3 wdt:P300 "DE-BY" .
"""
"""What the second server knows: a few nations, one with a wrong code, and provinces."""

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, str]]:
    """A server that may ask the other one, and the address of that."""
    data = tmp_path_factory.mktemp("there") / "there.ttl"
    data.write_text(THERE, encoding="utf-8")
    with serving("--data", str(data)) as there:
        address = f"{str(there.base_url).rstrip('/')}/sparql"
        with serving("--allow-service", address) as here:
            yield here, address


def ask(pair: tuple[httpx.Client, str], name: str) -> Rows:
    here, address = pair
    query = QUERIES[name].replace(ADDRESS, address)
    answer = here.post("/sparql", data={"query": query}, headers={"accept": "application/sparql-results+json"})
    assert answer.status_code == 200, answer.text
    return [{k: v["value"] for k, v in row.items()} for row in answer.json()["results"]["bindings"]]


def test_there_are_three_and_each_says_that_it_needs_the_network() -> None:
    assert len(QUERIES) == 3
    for name, query in project.texts(project.QUERIES, DEFAULT_BASE).items():
        if name in QUERIES:
            assert "needs the network" in query.description
            assert f"SERVICE <{ADDRESS}>" in query.text


def test_iso_codes(pair: tuple[httpx.Client, str]) -> None:
    rows = ask(pair, "federated-iso-codes")
    found = {(row["codeHere"], row["codeThere"], row["same"]) for row in rows}
    assert found == {("DE", "DE", "true"), ("AL", "XX", "false"), ("AU", "AU", "true"), ("DK", "DK", "true")}
    assert rows[0]["label"] == "Albania"


def test_members_of_nato(pair: tuple[httpx.Client, str]) -> None:
    rows = ask(pair, "federated-members-of-nato")
    assert [(row["label"], row["troops"]) for row in rows] == [
        ("Germany", "1300"),
        ("Denmark", "155"),
        ("Albania", "99"),
    ]
    assert {row["statusThen"] for row in rows} == {"Ally"}


def test_items_of_provinces(pair: tuple[httpx.Client, str]) -> None:
    rows = ask(pair, "federated-items-of-provinces")
    found = {row["code"]: (row["item"].rpartition("/")[2], row["isLinked"]) for row in rows}
    assert found == {"AF-BAL": ("Q121104", "true"), "AF-BDS": ("Q2", "false")}


@pytest.mark.parametrize("name", QUERIES)
def test_a_server_that_is_not_allowed_to_says_so(server: httpx.Client, name: str) -> None:
    answer = server.get(f"/queries/{name}.csv")
    assert answer.status_code == 403
    page = server.get(f"/queries/{name}", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "--allow-service" in page.text


def test_nothing_is_asked_of_an_address_that_is_not_listed(pair: tuple[httpx.Client, str]) -> None:
    here, address = pair
    query = QUERIES["federated-iso-codes"].replace(ADDRESS, address + "/elsewhere")
    assert here.post("/sparql", data={"query": query}).status_code == 403
