"""The endpoint as other people's clients ask it, with their own defaults."""

from __future__ import annotations

import json

import httpx
import pytest
import rdflib
from rdflib.plugins.stores.sparqlstore import SPARQLStore
from SPARQLWrapper import CSV, GET, JSON, JSONLD, POST, POSTDIRECTLY, TURTLE, URLENCODED, XML, SPARQLWrapper

from rsm_graph.namespaces import DEFAULT_BASE

NAMES = "SELECT ?name { nation:DEU rdfs:label ?name FILTER (LANG(?name) = 'fr') }"
NATION = rdflib.URIRef(f"{DEFAULT_BASE}id/nation/DEU")


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning")  # SPARQLWrapper makes one
@pytest.mark.parametrize(("method", "how"), [(GET, URLENCODED), (POST, URLENCODED), (POST, POSTDIRECTLY)])
def test_sparqlwrapper(server: httpx.Client, method: str, how: str) -> None:
    client = SPARQLWrapper(str(server.base_url.join("/sparql")))
    client.setMethod(method)
    client.setRequestMethod(how)
    client.setQuery(NAMES)
    client.setReturnFormat(JSON)
    assert client.query().convert()["results"]["bindings"][0]["name"]["value"] == "Allemagne"
    client.setReturnFormat(XML)
    assert "Allemagne" in client.query().convert().toxml()
    client.setReturnFormat(CSV)
    assert client.query().convert().decode() == "name\r\nAllemagne\r\n"
    client.setQuery(f"DESCRIBE <{NATION}>")
    client.setReturnFormat(TURTLE)
    described = rdflib.Graph().parse(data=client.query().convert(), format="turtle")
    assert rdflib.Literal("Allemagne", "fr") in set(described.objects(NATION, rdflib.RDFS.label))
    for wish in (XML, JSONLD):
        client.setReturnFormat(wish)
        assert set(client.query().convert()) == set(described)


def test_a_store_of_rdflib(server: httpx.Client) -> None:
    graph = rdflib.Graph(SPARQLStore(str(server.base_url.join("/sparql"))))
    assert rdflib.Literal("Allemagne", "fr") in set(graph.objects(NATION, rdflib.RDFS.label))
    assert [str(row[0]) for row in graph.query(NAMES)] == ["Allemagne"]


def test_a_script_that_was_written_for_wikidata(server: httpx.Client) -> None:
    answer = httpx.get(str(server.base_url.join("/sparql")), params={"query": NAMES, "format": "json"})
    assert json.loads(answer.text)["results"]["bindings"][0]["name"]["xml:lang"] == "fr"
