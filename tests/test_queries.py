"""Every example query is well made, quick, and gives the right answer; together they use the whole vocabulary.

The queries run over the whole dataset. What a test pins is what a source prints or what the rules of the model say,
so that more data of the same kind leave the tests true.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from itertools import pairwise
from typing import cast

import pyoxigraph as ox
import pytest
from rdflib.plugins.sparql import prepareQuery

from rsm_graph import project
from rsm_graph.dataset import Dataset
from rsm_graph.namespaces import DEFAULT_BASE, RDF_TYPE, VOCABULARIES, prefixes, shorten

QUERIES = project.texts(project.QUERIES, DEFAULT_BASE)
LOCAL = [name for name in QUERIES if not name.startswith("federated-")]
"""The queries that need nothing but this dataset; those that ask other endpoints have tests of their own."""

COMPETENCY_QUESTIONS = {
    *("mission-overview", "legal-basis", "hub-and-spokes", "commands-and-commanders", "commander-on-date"),
    *("commander-timeline", "troops-by-nation", "top-contributors-share", "allies-and-partners", "strength-over-time"),
    *("edition-checks", "roadmap", "supporting-functions", "prospective-contributors", "who-says-so", "disagreements"),
    *("single-source-facts", "wikidata-links", "missing-links", "sources", "nations-by-command", "events-timeline"),
    "places-map",
}

TOPICS = {
    *("The mission", "Commands", "People", "Contributions", "Nations", "Places", "Events", "Sources", "Links"),
    "Vocabulary",
}

PREFIXES = prefixes(DEFAULT_BASE)
RSM = PREFIXES["rsm"]
QUICK = 0.05
"""Seconds of processor time that a query may take."""

Row = dict[str, str]
Ask = Callable[[str], list[Row]]


def solve(store: ox.Store, name: str, text: str | None = None) -> list[Row]:
    """The rows of a query in order: IRIs as prefixed names, literals as their lexical form, unbound ones left out."""
    solutions = cast(ox.QuerySolutions, store.query(text or QUERIES[name].text))
    names = [variable.value for variable in solutions.variables]
    return [
        {key: shown(term) for key, term in zip(names, solution, strict=True) if term is not None}
        for solution in solutions
    ]


def shown(term: ox.NamedNode | ox.Literal | ox.BlankNode | ox.Triple) -> str:
    return shorten(term.value, PREFIXES) if isinstance(term, ox.NamedNode) else str(getattr(term, "value", term))


@pytest.fixture(scope="session")
def ask(store: ox.Store) -> Ask:
    """The answer of a query by its name."""
    answers: dict[str, list[Row]] = {}

    def answer(name: str) -> list[Row]:
        if name not in answers:
            answers[name] = solve(store, name)
        return answers[name]

    return answer


def column(rows: list[Row], *names: str) -> list[tuple[str, ...]]:
    return [tuple(row.get(name, "") for name in names) for row in rows]


def code(name: str) -> str:
    """The query without comments."""
    return re.sub(r"(?m)^\s*#.*$", "", QUERIES[name].text)


# What every query has in common


def test_the_competency_questions_of_the_model_are_there() -> None:
    assert set(QUERIES) >= COMPETENCY_QUESTIONS


def test_every_query_has_a_test_of_its_answer() -> None:
    tests = {
        name.removeprefix("test_answer_").replace("_", "-") for name in globals() if name.startswith("test_answer_")
    }
    assert set(LOCAL) == tests


@pytest.mark.parametrize("name", QUERIES)
def test_query_says_what_it_answers(name: str) -> None:
    fields = QUERIES[name].fields
    assert list(fields) == ["title", "description", "topic"]
    assert not fields["title"].endswith(".")
    assert re.fullmatch(r"[A-Z].{20,}\.", fields["description"])
    assert fields["topic"] in TOPICS
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", name)


def test_no_two_queries_have_one_title_or_one_text() -> None:
    assert len({query.title for query in QUERIES.values()}) == len(QUERIES)
    assert len({query.text for query in QUERIES.values()}) == len(QUERIES)


@pytest.mark.parametrize("name", QUERIES)
def test_prefixes_are_the_projects_own_sorted_and_used(name: str) -> None:
    declared = re.findall(r"(?m)^PREFIX ([\w-]+): <([^>]+)>$", QUERIES[name].text)
    body = re.sub(r'(?m)^PREFIX .*$|"[^"]*"|<[^>]*>', "", code(name))
    assert declared == sorted(declared)
    for prefix, namespace in declared:
        of_a_code_list = f"{PREFIXES['concept']}{prefix}/"
        assert namespace == PREFIXES.get(prefix, of_a_code_list), prefix
        assert re.search(rf"(?<![\w-]){prefix}:", body), f"{prefix} is not used"


@pytest.mark.parametrize("name", QUERIES)
def test_query_is_standard_sparql_with_a_stated_order(name: str) -> None:
    prepareQuery(QUERIES[name].text)
    assert "ORDER BY" in code(name) or name == "mission-overview"


@pytest.mark.parametrize("name", LOCAL)
def test_query_names_only_what_exists(dataset: Dataset, name: str) -> None:
    known = {quad.subject.value for quad in dataset.quads} | set(dataset.graphs)
    declared = dict(re.findall(r"(?m)^PREFIX ([\w-]+): <([^>]+)>$", QUERIES[name].text))
    body = re.sub(r'(?m)^PREFIX .*$|"[^"]*"', "", code(name))
    named = {declared[p] + local for p, local in re.findall(r"(?<![\w?-])([a-z][\w-]*):([\w-]+)", body)}
    named |= set(re.findall(r"<(https?://[^>]+)>", body))
    assert {iri for iri in named if iri.startswith(DEFAULT_BASE)} <= known


@pytest.mark.parametrize("name", LOCAL)
def test_rows_come_once(ask: Ask, name: str) -> None:
    rows = ask(name)
    assert rows
    assert len({tuple(sorted(row.items())) for row in rows}) == len(rows)


@pytest.mark.parametrize("name", LOCAL)
def test_every_column_is_filled_somewhere(store: ox.Store, ask: Ask, name: str) -> None:
    solutions = cast(ox.QuerySolutions, store.query(QUERIES[name].text))
    assert {variable.value for variable in solutions.variables} == {key for row in ask(name) for key in row}


@pytest.fixture(scope="session")
def other_store(dataset: Dataset) -> ox.Store:
    """The dataset loaded in another order, which an answer must not depend on."""
    loaded = ox.Store()
    for quad in reversed(dataset.quads):
        loaded.add(quad)
    for triple in reversed(dataset.default_triples):
        loaded.add(ox.Quad(*triple))
    return loaded


@pytest.mark.parametrize("name", LOCAL)
def test_order_of_rows_does_not_depend_on_the_order_of_loading(other_store: ox.Store, ask: Ask, name: str) -> None:
    assert solve(other_store, name) == ask(name)


@pytest.mark.parametrize("name", LOCAL)
def test_labels_are_english(store: ox.Store, name: str) -> None:
    solutions = cast(ox.QuerySolutions, store.query(QUERIES[name].text))
    names = [variable.value for variable in solutions.variables]
    read = {"french", "title", "copyTitle", "originalTitle", "object", "claimed", "accepted"}
    for solution in solutions:
        for key, term in zip(names, solution, strict=True):
            if isinstance(term, ox.Literal) and key not in read:
                assert term.language in (None, "en"), f"{key}: {term}"


@pytest.mark.parametrize("name", LOCAL)
def test_query_is_quick(store: ox.Store, name: str) -> None:
    def seconds() -> float:
        start = time.process_time()
        list(cast(ox.QuerySolutions, store.query(QUERIES[name].text)))
        return time.process_time() - start

    assert min(seconds() for _ in range(3)) < QUICK


def test_the_queries_use_every_class_and_property_of_the_vocabulary(dataset: Dataset) -> None:
    kinds = {VOCABULARIES["owl"] + kind for kind in ("Class", "ObjectProperty", "DatatypeProperty")}
    terms = {
        quad.subject.value.removeprefix(RSM)
        for quad in dataset.graphs[dataset.iri("graph/ontology")]
        if quad.predicate.value == RDF_TYPE and quad.object.value in kinds and quad.subject.value.startswith(RSM)
    }
    used = {term for name in LOCAL for term in re.findall(r"\brsm:(\w+)", code(name))}
    assert terms - used == set()


def test_queries_follow_the_base() -> None:
    elsewhere = project.texts(project.QUERIES, "http://localhost:8000/")
    assert list(elsewhere) == list(QUERIES)
    assert not [name for name, query in elsewhere.items() if DEFAULT_BASE in query.text]


# The mission


def test_answer_mission_overview(ask: Ask) -> None:
    (row,) = ask("mission-overview")
    assert row == {
        "mission": "mission:rsm",
        "label": "Resolute Support Mission",
        "ledBy": "North Atlantic Treaty Organization",
        "start": "2015-01-01",
        "end": "2021-09",
        "predecessor": "International Security Assistance Force",
    }


def test_answer_mission_purpose(ask: Ask) -> None:
    lists: dict[str, set[str]] = {}
    for row in ask("mission-purpose"):
        lists.setdefault(row["list"], set()).add(row["item"])
    assert {name: len(items) for name, items in lists.items()} == {
        "1 purpose": 3,
        "2 supporting function": 6,
        "3 key function": 4,
    }
    assert lists["1 purpose"] == {"train", "advise", "assist"}
    assert not lists["2 supporting function"] & lists["3 key function"]


def test_answer_supporting_functions(ask: Ask) -> None:
    rows = ask("supporting-functions")
    assert column(rows, "label") == [
        ("budgetary development",),
        ("civilian oversight",),
        ("force generation process",),
        ("logistical sustainment",),
        ("management and development of personnel",),
        ("operational planning",),
    ]
    assert {row["document"] for row in rows} == {"source:nato-rsm-placemat-2020-02"}


def test_answer_roadmap(ask: Ask) -> None:
    rows = ask("roadmap")
    assert column(rows, "focusArea", "emphasis") == [
        ("fighting capabilities", "Afghan Air Force; Afghan special operations forces"),
        ("fighting corruption", ""),
        ("leadership development", ""),
        ("unity of command", ""),
    ]
    assert {(row["government"], row["start"], row["years"]) for row in rows} == {
        ("Government of Afghanistan", "2017", "4")
    }
    assert all("effective" in row["aims"] and "accountable" in row["aims"] for row in rows)


def test_answer_legal_basis(ask: Ask) -> None:
    rows = ask("legal-basis")
    assert {(row["relation"], row["instrument"]) for row in rows} == {
        ("legal framework", "legal:sofa-2014"),
        ("supported by", "legal:unscr-2189"),
    }
    found = column(rows, "instrument", "identifier", "kind", "date", "place", "vote")
    assert ("legal:sofa-2014", "", "signature", "2014-09-30", "Kabul", "") in found
    assert ("legal:unscr-2189", "S/RES/2189 (2014)", "adoption", "2014-12-12", "", "unanimous") in found
    ratified = [row for row in rows if row["event"].startswith("Ratification of the Status of Forces Agreement")]
    assert column(ratified, "kind", "date") == [("ratification", "2014-11-27")]


def test_answer_agreements(ask: Ask) -> None:
    sofa = [row for row in ask("agreements") if row["instrument"] == "legal:sofa-2014"]
    assert {row["parties"] for row in sofa} == {"Afghanistan; North Atlantic Treaty Organization"}
    assert column(sofa, "step", "date", "who")[0] == (
        "signature",
        "2014-09-30",
        "Maurits Jochems; Mohammad Hanif Atmar",
    )
    assert ("ratification", "2014-11-23", "Wolesi Jirga") in column(sofa, "step", "date", "who")
    assert column(sofa, "step", "date", "who")[-1] == ("assent", "2014-12-01", "Ashraf Ghani")
    bsa = [row for row in ask("agreements") if row["instrument"] == "legal:bsa-2014"]
    assert column(bsa, "step", "date")[-1] == ("entry into force", "2015-01-01")


def test_answer_declarations_and_decisions(ask: Ask) -> None:
    found = column(ask("declarations-and-decisions"), "instrument", "kind", "date")
    assert ("legal:unscr-2189", "resolution", "2014-12-12") in found
    assert ("legal:nac-decision-2014-12-02", "decision", "2014-12-02") in found
    assert [date for _, _, date in found] == sorted(date for _, _, date in found)
    assert found[0][2].startswith("2012-05")
    assert found[-1][2].startswith("2021")


def test_answer_from_isaf_to_resolute_support(ask: Ask) -> None:
    rows = ask("from-isaf-to-resolute-support")
    (launch,) = (row for row in rows if row["kind"] == "launch")
    assert launch["date"] == "2015-01-01"
    assert launch["follows"] == "Stand-down of the International Security Assistance Force"
    assert (launch["allies"], launch["partners"]) == ("26", "14")
    assert ("2014-12-31", "stand-down") in column(rows, "date", "kind")
    assert ("2014-12-28", "ceremony") in column(rows, "date", "kind")


def test_answer_end_of_the_mission(ask: Ask) -> None:
    rows = ask("end-of-the-mission")
    assert column(rows, "date", "kind")[-1] == ("2021-09", "stand-down")
    assert {row["kind"] for row in rows} == {
        *("withdrawal", "handover", "reorganisation", "change of command", "stand-down")
    }
    assert ("2021-07-02", "handover", "Bagram Airfield") in column(rows, "date", "kind", "place")


def test_answer_wider_effort(ask: Ask) -> None:
    found = column(ask("wider-effort"), "subject", "relation", "object")
    assert ("Resolute Support Mission", "is there at the invitation of", "Government of Afghanistan") in found
    assert (
        "NATO Allies and partner countries",
        "finances",
        "Afghan National Defence and Security Forces",
    ) in found
    assert {relation for _, relation, _ in found} == {
        *("supports", "finances", "contributes to", "is there at the invitation of")
    }


def test_answer_hub_and_spokes(ask: Ask) -> None:
    assert column(ask("hub-and-spokes"), "kind", "location", "place", "sector") == [
        ("hub", "location:kabul-bagram", "Bagram", ""),
        ("hub", "location:kabul-bagram", "Kabul", ""),
        ("spoke", "location:laghman", "Laghman Province", "east"),
        ("spoke", "location:mazar-e-sharif", "Mazar-e-Sharif", "north"),
        ("spoke", "location:kandahar", "Kandahar", "south"),
        ("spoke", "location:herat", "Herat", "west"),
    ]
    commands = {row["sector"]: row["commands"] for row in ask("hub-and-spokes") if "commands" in row}
    assert commands["east"] == "Train, Advise and Assist Command East"
    assert commands["west"] == "Train, Advise and Assist Command West"


# Commands


def test_answer_commands_and_commanders(ask: Ask) -> None:
    rows = ask("commands-and-commanders")
    assert column(rows, "command", "headquarters", "leadNation", "commander", "rank", "grade", "sendingNation") == [
        ("command:taac-air", "", "", "Jeffery D. Valenzia", "Brig. Gen.", "OF-6", "USA"),
        ("command:taac-east", "Laghman Province", "USA", "Charles J. Masaracchia", "Brig. Gen.", "OF-6", "USA"),
        ("command:taac-south", "Kandahar", "USA", "Trevor J. Bredenkamp", "Col.", "OF-5", "USA"),
        ("command:taac-west", "Herat", "ITA", "Enrico Barduani", "Brig. Gen. (ITA Army)", "OF-6", "ITA"),
    ]
    assert all("/nato-rsm-placemat-2020-02/" in row["passage"] for row in rows)


def test_answer_commands_of_the_mission(ask: Ask) -> None:
    rows = ask("commands-of-the-mission")
    taacs = {f"command:taac-{name}" for name in ("capital", "north", "east", "south", "west", "air")}
    assert taacs == {row["command"] for row in rows if row.get("kind") == "train, advise and assist command"}
    assert not [row for row in rows if row["command"].startswith("command:rc-")]
    leads = dict(column(rows, "command", "leadNation"))
    assert leads["command:taac-north"] == "Germany"
    assert leads["command:taac-capital"] == "Turkey"


def test_answer_chain_of_command(ask: Ask) -> None:
    found = column(ask("chain-of-command"), "lower", "relation", "upper")
    assert ("mission:rsm", "answers to", "organization:jfc-brunssum") in found
    assert ("command:taac-west", "is part of", "mission:rsm") in found
    assert ("command:rc-west", "is part of", "mission:isaf") in found
    assert [row for row in found if row[:2] == ("command:taac-air", "shares its commander with")]


def test_answer_isaf_commands_to_taacs(ask: Ask) -> None:
    found = column(ask("isaf-commands-to-taacs"), "before", "afterLed", "date")
    assert found == [
        ("NATO Air Training Command - Afghanistan", "USA", "2015-01-14"),
        ("Regional Command Capital", "TUR", ""),
        ("Regional Command East", "USA", "2014-11"),
        ("Regional Command North", "DEU", "2014-08-01"),
        ("Regional Command South", "USA", "2014-10-14"),
        ("Regional Command West", "ITA", "2014-06-16"),
    ]


def test_answer_lead_nations(ask: Ask) -> None:
    found = column(ask("lead-nations"), "command", "nation")
    assert ("command:taac-west", "Italy") in found
    assert ("command:rc-south", "Netherlands") in found
    assert ("command:rc-south", "United States") in found
    capital = [row for row in ask("lead-nations") if row["command"] == "command:rc-capital"]
    assert column(capital, "nation", "start") == [("France", ""), ("Turkey", "2009-11-01")]


def test_answer_advised_forces(ask: Ask) -> None:
    found = column(ask("advised-forces"), "command", "advised")
    corps = {"north": "209th", "west": "207th", "south": "205th", "east": "201st"}
    for name, number in corps.items():
        assert (f"command:taac-{name}", f"{number} Corps, Afghan National Army") in found
    assert ("command:taac-air", "Afghan Air Force") in found


def test_answer_provinces_by_command(ask: Ask) -> None:
    rows = ask("provinces-by-command")
    north = {row["area"] for row in rows if row["command"] == "command:rc-north"}
    west = {row["area"] for row in rows if row["command"] == "command:rc-west"}
    assert len(north) == 9
    assert west == {"place:herat-province", "place:farah-province", "place:badghis", "place:ghor"}


def test_answer_nations_in_commands(ask: Ask) -> None:
    rows = {row["command"]: row for row in ask("nations-in-commands")}
    assert {"ITA", "ALB", "UKR"} <= set(rows["command:taac-west"]["codes"].split())
    for row in rows.values():
        assert row["codes"].split() == sorted(row["codes"].split())
        assert len(row["codes"].split()) == int(row["nations"])


def test_answer_seats_of_commands(ask: Ask) -> None:
    rows = ask("seats-of-commands")
    assert ("command:taac-east", "place:fob-gamberi") in column(rows, "command", "place")
    assert ("command:taac-east", "place:laghman") in column(rows, "command", "place")
    points = [row["wkt"] for row in rows if "wkt" in row]
    assert points
    assert all(re.fullmatch(r"POINT\(6\d\.\d+ 3\d\.\d+\)|POINT\(7\d\.\d+ 3\d\.\d+\)", point) for point in points)


def test_answer_nations_by_command(ask: Ask) -> None:
    found = column(ask("nations-by-command"), "command", "nation")
    assert {nation for command, nation in found if command == "command:taac-west"} == {"ITA"}
    assert {nation for command, nation in found if command == "command:taac-north"} == {"DEU"}
    assert {nation for command, nation in found if command == "mission:rsm"} == {"USA"}
    (west,) = (row for row in ask("nations-by-command") if row["command"] == "command:taac-west")
    assert int(west["tenures"]) >= 13


# People


def test_answer_commander_on_date(ask: Ask) -> None:
    (row,) = ask("commander-on-date")
    assert (row["holder"], row["certainty"]) == ("person:miller-austin-scott", "surely")


BOUNDS = {
    # holder: earliest start, latest start, earliest end, latest end
    "ada": ("2015-01-01", "2015-01-01", "2016-06-30", "2016-06-30"),
    "ben": ("2016-06-30", "2016-06-30", "", ""),  # when he left is not known
    "cleo": ("", "2018-03-31", "2018-03-01", ""),  # only known to have been there some day in March 2018
    "dan": ("2019-01-01", "2019-12-31", "2020-05-05", "2020-12-31"),  # from some day in 2019 to some day in 2020
}


@pytest.mark.parametrize(
    ("day", "answer"),
    [
        ("2014-12-31", {}),
        ("2015-01-01", {"ada": "surely"}),
        ("2016-01-01", {"ada": "surely"}),
        ("2016-06-30", {"ada": "surely", "ben": "surely"}),
        ("2017-01-01", {"ben": "possibly", "cleo": "possibly"}),
        ("2018-03-15", {"ben": "possibly", "cleo": "possibly"}),
        ("2018-04-01", {"cleo": "possibly"}),
        ("2019-06-01", {"cleo": "possibly", "dan": "possibly"}),
        ("2020-01-01", {"dan": "surely"}),
        ("2020-12-31", {"dan": "possibly"}),
        ("2021-01-01", {}),
    ],
)
def test_who_surely_and_who_possibly_commanded(day: str, answer: dict[str, str]) -> None:
    store = ox.Store()
    properties = ("earliestStart", "latestStart", "earliestEnd", "latestEnd")
    for holder, bounds in BOUNDS.items():
        dates = " ; ".join(
            f'rsm:{name} "{bound}"^^xsd:date' for name, bound in zip(properties, bounds, strict=True) if bound
        )
        text = f"""
            tenure:{holder} rsm:post post:commander-rsm ; rsm:holder person:{holder} ; {dates} .
            person:{holder} rdfs:label "{holder}"@en .
        """
        prologue = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in PREFIXES.items())
        store.load((prologue + text).encode(), format=ox.RdfFormat.TURTLE)
    rows = solve(store, "commander-on-date", QUERIES["commander-on-date"].text.replace("2019-06-01", day))
    assert {row["name"]: row["certainty"] for row in rows} == answer


def test_answer_posts_on_date(ask: Ask) -> None:
    found = dict(column(ask("posts-on-date"), "post", "holder"))
    assert found["post:commander-rsm"] == "person:miller-austin-scott"
    assert found["post:deputy-commander-rsm"] == "person:hill-giles"
    assert found["post:commander-taac-west"] == "person:barduani-enrico"
    assert found["post:senior-civilian-representative-nato"] == "person:kay-nicholas"


def test_answer_commander_timeline(ask: Ask) -> None:
    assert column(ask("commander-timeline"), "name", "start", "end") == [
        ("John F. Campbell", "2015-01-01", "2016-03-02"),
        ("John W. Nicholson Jr.", "2016-03-02", "2018-09-02"),
        ("Austin Scott Miller", "2018-09-02", "2021-07-12"),
    ]


def test_answer_taac_west_commanders(ask: Ask) -> None:
    rows = ask("taac-west-commanders")
    brigades = {row["holder"]: row.get("brigade", "") for row in rows}
    assert len(brigades) == len(rows)
    assert "Ariete" in brigades["person:barduani-enrico"]
    assert "Julia" in brigades["person:risi-michele"]
    assert "Folgore" in brigades["person:vergori-beniamino"]
    order = [row["holder"] for row in rows]
    assert order[0] == "person:scopigno-manlio"
    assert order[-1] == "person:vergori-beniamino"
    assert order.index("person:risi-michele") < order.index("person:barduani-enrico")


def test_answer_changes_of_command(ask: Ask) -> None:
    rows = ask("changes-of-command")
    found = column(rows, "date", "from", "to")
    assert ("2016-03-02", "John F. Campbell", "John W. Nicholson Jr.") in found
    assert ("2018-09-02", "John W. Nicholson Jr.", "Austin Scott Miller") in found
    assert ("2020-12-16", "Giles Hill", "Nicola Zanelli") in found
    assert [row["date"] for row in rows] == sorted(row["date"] for row in rows)


def test_answer_senior_ranks(ask: Ask) -> None:
    rows = ask("senior-ranks")
    assert {row["grade"] for row in rows} <= {"OF-8", "OF-9", "OF-10"}
    assert [row["grade"] for row in rows] == sorted((row["grade"] for row in rows), reverse=True)
    assert ("OF-9", "person:campbell-john-f", "Commander, Resolute Support Mission") in column(
        rows, "grade", "holder", "post"
    )
    assert "person:barduani-enrico" not in {row["holder"] for row in rows}


def test_answer_ranks_by_nation(ask: Ask) -> None:
    counts = {(row["nation"], row["grade"]): int(row["people"]) for row in ask("ranks-by-nation")}
    assert counts["nation:ITA", "OF-6"] >= 12
    assert counts["nation:USA", "OF-9"] >= 3
    assert ("nation:TUR", "OF-9") not in counts


def test_answer_ranks_as_printed(ask: Ask) -> None:
    found = column(ask("ranks-as-printed"), "printed", "rank", "grade")
    assert ("Brig. Gen. (ITA Army)", "brigadier general", "OF-6") in found
    assert ("Brigadegeneral", "brigadier general", "OF-6") in found
    assert ("Col.", "colonel", "OF-5") in found


def test_answer_service_branches(ask: Ask) -> None:
    found = column(ask("service-branches"), "nation", "branch")
    assert ("USA", "United States Marine Corps") in found
    assert ("ITA", "Italian Army") in found


def test_answer_several_posts(ask: Ask) -> None:
    rows = ask("several-posts")
    campbell = [row["post"] for row in rows if row["holder"] == "person:campbell-john-f"]
    assert campbell == ["Commander, International Security Assistance Force", "Commander, Resolute Support Mission"]
    assert all(sum(other["holder"] == row["holder"] for other in rows) > 1 for row in rows)


def test_answer_spellings(ask: Ask) -> None:
    spellings: dict[str, set[str]] = {}
    for row in ask("spellings"):
        spellings.setdefault(row["person"], set()).add(row["spelling"])
    assert {"Giles Hill", "Gilles Hill"} <= spellings["person:hill-giles"]
    assert {"Austin Scott Miller", "Austin S. Miller"} <= spellings["person:miller-austin-scott"]
    assert all(len(forms) > 1 for forms in spellings.values())


# Contributions


def test_answer_troops_by_nation(ask: Ask) -> None:
    rows = ask("troops-by-nation")
    assert len(rows) == 38
    assert sum(int(row["troops"]) for row in rows) == 16551
    assert column(rows, "iso3", "troops", "asPrinted")[0] == ("USA", "8000", "8.000")
    assert column(rows, "iso3", "troops")[1] == ("DEU", "1300")
    assert column(rows, "iso3", "troops")[-1] == ("LUX", "2")


def test_answer_top_contributors_share(ask: Ask) -> None:
    rows = ask("top-contributors-share")
    assert [row["nation"].removeprefix("nation:") for row in rows] == [
        *("USA", "DEU", "GBR", "ITA", "GEO", "ROU", "TUR", "POL", "CZE", "MNG")
    ]
    assert rows[0]["percent"] == "48.3"
    assert all(abs(float(row["percent"]) - int(row["troops"]) / 165.51) <= 0.05 for row in rows)


def test_answer_allies_and_partners(ask: Ask) -> None:
    rows = {row["status"]: row for row in ask("allies-and-partners")}
    assert sum(int(row["nations"]) for row in rows.values()) == 38
    assert sum(int(row["troops"]) for row in rows.values()) == 16551
    partners = ["ARM", "AUS", "AUT", "AZE", "BIH", "FIN", "GEO", "MNG", "NZL", "SWE", "UKR"]
    assert set(rows["partner"]["members"].split()) - set(partners) <= {"MKD"}  # an Ally since 27 March 2020
    assert {"USA", "DEU", "MNE", "ALB", "HRV"} <= set(rows["Ally"]["members"].split())
    assert not {"MKD", *partners} & set(rows["Ally"]["members"].split())


def test_answer_edition_checks(ask: Ask) -> None:
    assert ask("edition-checks") == [
        {
            "edition": "edition:rsm-2020-02",
            "printedTotal": "16551",
            "computedTotal": "16551",
            "printedCount": "38",
            "computedCount": "38",
            "agrees": "true",
        }
    ]


def test_answer_editions(ask: Ask) -> None:
    rows = {row["edition"]: row for row in ask("editions")}
    sheet = rows["edition:rsm-2020-02"]
    assert (sheet["transcription"], sheet["rows"], sheet["dateBasis"]) == ("complete", "38", "inferred")
    assert (sheet["statedStrength"], sheet["qualifier"]) == ("16000", "more than")
    assert sheet["document"] == "source:nato-rsm-placemat-2020-02"
    partial = [row for row in rows.values() if row["transcription"] == "partial"]
    assert partial
    assert all(int(row["rows"]) < 38 for row in partial)


def test_answer_printed_against_second_reading(ask: Ask) -> None:
    rows = ask("printed-against-second-reading")
    assert len(rows) >= 38
    assert {row["agrees"] for row in rows} == {"true"}
    assert ("Germany", "1.300", "Germany 1.300", "1300") in column(
        rows, "nationAsPrinted", "asPrinted", "rowAsPrinted", "troops"
    )


def test_answer_names_of_nations_as_printed(ask: Ask) -> None:
    found = column(ask("names-of-nations-as-printed"), "nation", "nationAsPrinted", "document")
    assert ("nation:CZE", "Czech Republic", "source:nato-rsm-placemat-2020-02") in found
    assert ("nation:BIH", "Bosnia-Herzegovina", "source:nato-rsm-placemat-2020-02") in found
    assert not [row for row in found if row[1] == "Germany"]


def test_answer_contributors_without_a_figure(ask: Ask) -> None:
    rows = ask("contributors-without-a-figure")
    assert {row["edition"] for row in rows} == {"edition:rsm-2015-undated"}
    assert len(rows) == 31


def test_answer_troops_of_a_nation(ask: Ask) -> None:
    rows = ask("troops-of-a-nation")
    assert ("2020-02", "895", "source:nato-rsm-placemat-2020-02") in column(rows, "asOf", "troops", "document")
    assert ("2019-09", "900", "just under") in column(rows, "asOf", "troops", "qualifier")
    assert [row["asOf"] for row in rows] == sorted(row["asOf"] for row in rows)


def test_answer_contributions_by_edition(ask: Ask) -> None:
    rows = ask("contributions-by-edition")
    assert column(rows, "iso3", "earlier", "later", "difference")[0] == ("USA", "8000", "2500", "-5500")
    assert all(int(row["later"]) - int(row["earlier"]) == int(row["difference"]) for row in rows)


def test_answer_strength_over_time(ask: Ask) -> None:
    rows = ask("strength-over-time")
    peak = max(rows, key=lambda row: int(row["troops"]))
    assert (peak["asOf"], peak["troops"], peak["precision"]) == ("2019-10", "17178", "exact")
    sheet = [row for row in rows if row["document"] == "source:nato-rsm-placemat-2020-02"]
    assert column(sheet, "asOf", "troops", "nations", "reliability") == [("2020-02", "16551", "38", "primary")]
    assert [row["asOf"] for row in rows] == sorted(row["asOf"] for row in rows)
    exact = {(row["asOf"], row["troops"]) for row in rows if row["precision"] == "exact"}
    assert {("2015-12", "12905"), ("2018-07", "16229"), ("2020-06", "15937"), ("2021-02", "9592")} <= exact
    assert not [row for row in rows if int(row["troops"]) < 9000], "a contingent is no total"


def test_answer_strength_and_nations(ask: Ask) -> None:
    rows = ask("strength-and-nations")
    assert ("2020-02", "16551", "38", "436") in column(rows, "asOf", "troops", "nations", "average")
    assert all(abs(int(row["average"]) - int(row["troops"]) / int(row["nations"])) <= 0.5 for row in rows)


def test_answer_strength_of_commands(ask: Ask) -> None:
    assert ("command:taac-air", "United States", "2015-01", "250", "about") in column(
        ask("strength-of-commands"), "command", "nation", "asOf", "troops", "qualifier"
    )


def test_answer_planned_and_peak_strength(ask: Ask) -> None:
    found = set(column(ask("planned-and-peak-strength"), "what", "asOf", "troops"))
    assert found == {("planned", "", "12000"), ("peak", "2019-10", "17178")}


def test_answer_prospective_contributors(ask: Ask) -> None:
    rows = ask("prospective-contributors")
    meetings = [
        ("attended", "2018-07-12", "head of state or government"),
        ("invited", "2018-12-05", "minister of foreign affairs"),
        ("invited", "2019-06-27", "minister of defence"),
        ("invited", "2019-10-25", "minister of defence"),
        ("invited", "2020-02-13", "minister of defence"),
    ]
    assert column(rows, "nation", "manner", "date", "level") == [
        *(("nation:QAT", *meeting) for meeting in meetings),
        *(("nation:ARE", *meeting) for meeting in meetings),
    ]


def test_answer_offers_and_announcements(ask: Ask) -> None:
    found = column(ask("offers-and-announcements"), "name", "date", "what")
    assert ("Qatar", "2018-06-08", "attended") in found
    assert ("United Arab Emirates", "2017-11-09", "took part") in found
    assert ("Qatar", "2020-02", "named") in found
    assert {name for name, _, _ in found} == {"Qatar", "United Arab Emirates"}


# Nations


def test_answer_nations(ask: Ask) -> None:
    rows = {row["iso3"]: row for row in ask("nations")}
    assert (rows["DEU"]["iso2"], rows["DEU"]["m49"]) == ("DE", "276")
    assert (rows["DEU"]["english"], rows["DEU"]["french"]) == ("Germany", "Allemagne")
    assert all(row["nation"] == f"nation:{iso3}" for iso3, row in rows.items())
    assert sum(int(row["contributions"]) > 0 for row in rows.values()) >= 38


def test_answer_status_of_nations(ask: Ask) -> None:
    statuses = dict(column(ask("status-of-nations"), "iso3", "status"))
    assert statuses["MNE"] == "Ally"
    assert statuses["MKD"] == "partner"
    assert statuses["FIN"] == "partner"
    assert sum(status == "Ally" for status in statuses.values()) <= 29
    assert len(statuses) == len(ask("status-of-nations"))


def test_answer_nations_that_changed_status(ask: Ask) -> None:
    found = column(ask("nations-that-changed-status"), "nation", "allySince", "duringTheMission")
    assert [row for row in found if row[2] == "true"] == [
        ("nation:MNE", "2017-06-05", "true"),
        ("nation:MKD", "2020-03-27", "true"),
    ]


# Places and events


def test_answer_places_map(ask: Ask) -> None:
    rows = {row["place"]: row for row in ask("places-map")}
    assert len(rows) == len(ask("places-map"))
    longitude, latitude = map(float, re.findall(r"[\d.]+", rows["place:kabul"]["wkt"]))
    assert 69 < longitude < 70
    assert 34 < latitude < 35


def test_answer_places_within(ask: Ask) -> None:
    assert ("place:kabul", "city") in column(ask("places-within"), "place", "kind")
    assert "place:herat" not in {row["place"] for row in ask("places-within")}


def test_answer_airfields(ask: Ask) -> None:
    rows = {row["icao"]: row for row in ask("airfields")}
    assert rows["OAKB"]["airfield"] == "place:kabul-airport"
    assert rows["OAIX"]["handedOver"] == "2021-07-02"
    assert all(re.fullmatch("OA[A-Z]{2}", icao) for icao in rows)


def test_answer_visits_and_ceremonies(ask: Ask) -> None:
    rows = {row["event"]: row for row in ask("visits-and-ceremonies")}
    assert rows["event:hagel-visit-gamberi-2014"]["kind"] == "visit"
    assert rows["event:camp-marmal-handover-2021"]["present"] == "Ansgar Meyer; Mohammed Saheer Nasari"
    assert rows["event:isaf-rsm-transition-ceremony-2014"]["date"] == "2014-12-28"


def test_answer_meetings(ask: Ask) -> None:
    rows = {row["event"]: row for row in ask("meetings")}
    summit = rows["event:heads-of-state-meeting-2018-07-12"]
    assert summit["level"] == "head of state or government"
    assert int(summit["nationsPresent"]) >= 2
    assert rows["event:defence-ministers-meeting-2020-02-13"]["nationsInvited"] == "2"
    levels = column(ask("meetings"), "event", "level")
    assert len(set(levels)) == len(levels), "a meeting has one row for each level at which the nations came"


def test_answer_events_timeline(ask: Ask) -> None:
    rows = ask("events-timeline")
    assert len({row["event"] for row in rows}) == len(rows) >= 60
    begins = [row.get("begin", "") for row in rows]
    assert begins == sorted(begins)
    by_event = {row["event"]: row for row in rows}
    signature = by_event["event:sofa-2014-signature"]
    assert (signature["kinds"], signature["begin"], signature["places"]) == ("signature", "2014-09-30", "Kabul")
    assert {"Maurits Jochems", "Mohammad Hanif Atmar"} <= set(signature["participants"].split("; "))
    assert by_event["event:rsm-launch"]["begin"] == "2015-01-01"


def test_answer_events_between(ask: Ask) -> None:
    rows = {row["event"]: row for row in ask("events-between")}
    assert rows["event:kandahar-airfield-handover-2021"]["certainty"] == "surely"  # some day in May
    assert "event:rsm-end" not in rows
    assert "event:withdrawal-start-2021" in rows


# Sources


def test_answer_who_says_so(ask: Ask) -> None:
    rows = ask("who-says-so")
    sheet = [row for row in rows if row["document"] == "source:nato-rsm-placemat-2020-02"]
    assert ("rsm:headquarters", "location:laghman") in column(sheet, "predicate", "object")
    assert len({row["document"] for row in rows}) > 1
    assert all(row["locator"] and row["reliability"] for row in rows)


def test_answer_disagreements(ask: Ask) -> None:
    found = {
        (row["subject"], row["predicate"], row["claimed"]): (row.get("accepted", ""), row["standing"])
        for row in ask("disagreements")
    }
    atmar_and_jochems = "; ".join(PREFIXES["person"] + key for key in ("atmar-mohammad-hanif", "jochems-maurits"))
    signatory = found["event:sofa-2014-signature", "rsm:signatory", "person:ghani-ashraf"]
    assert signatory[0] == atmar_and_jochems
    assert found["event:sofa-2014-signature", "rsm:date", "2014-12-30"] == ("2014-09-30", "rejected")
    assert found["event:isaf-stand-down", "rsm:date", "2014-12-28"] == ("2014-12-31", "rejected")
    assert found["mission:rsm", "rsm:endDate", "2021-07-12"] == ("2021-09", "rejected")
    assert ("mission:rsm", "rsm:contributingNation", "nation:ARE") in found
    assert ("mission:rsm", "org:hasSite", "location:jalalabad") in found
    assert found["event:wales-summit-2014", "rsm:startDate", "2014-09-05"][0] == "2014-09-04"
    assert all(row["ruling"].endswith(".") for row in ask("disagreements"))


def test_answer_rulings(ask: Ask) -> None:
    rows = ask("rulings")
    assert {row["standing"] for row in rows} == {"disputed", "rejected"}
    assert {row["passage"] for row in rows} >= {
        f"{PREFIXES['source']}friendlywiki-resolute-support-mission/last-commander",
        f"{PREFIXES['source']}wikipedia-en-resolute-support-mission-2019/sofa-afghan-signatory",
    }
    assert all(row["rivalDocument"] for row in rows if row["standing"] == "rejected")


def test_answer_single_source_facts(ask: Ask) -> None:
    found = column(ask("single-source-facts"), "subject", "predicate", "object", "document")
    sheet = "source:nato-rsm-placemat-2020-02"
    assert ("edition:rsm-2020-02", "rsm:printedTotal", "16551", sheet) in found
    assert not [row for row in found if row[:2] == ("event:sofa-2014-signature", "rsm:date")], "several say so"


def test_answer_tertiary_facts(ask: Ask) -> None:
    rows = ask("tertiary-facts")
    documents = {document for row in rows for document in row["documents"].split(" ")}
    tertiary = {row["document"] for row in ask("sources") if row["reliability"] == "tertiary"}
    assert {shorten(document, PREFIXES) for document in documents} <= tertiary
    assert ("mission:rsm", "rsm:startDate") not in column(rows, "subject", "predicate")


def test_answer_well_supported_facts(ask: Ask) -> None:
    rows = ask("well-supported-facts")
    assert all(int(row["documents"]) >= 3 for row in rows)
    assert all(int(row["primaryDocuments"]) <= int(row["documents"]) for row in rows)
    counts = [int(row["documents"]) for row in rows]
    assert all(more >= less for more, less in pairwise(counts))
    assert ("post:commander-rsm", "org:postIn", "mission:rsm") in column(rows, "subject", "predicate", "object")


def test_answer_sources(ask: Ask, dataset: Dataset) -> None:
    rows = {row["document"]: row for row in ask("sources")}
    assert len(rows) == len(ask("sources"))
    sheet = rows["source:nato-rsm-placemat-2020-02"]
    assert (sheet["reliability"], sheet["publisher"]) == ("primary", "North Atlantic Treaty Organization")
    passages = [name for name in dataset.graphs if name.startswith(dataset.iri("id/source/nato-rsm-placemat-2020-02/"))]
    assert int(sheet["passages"]) == len(passages)
    assert int(sheet["statements"]) == sum(len(dataset.graphs[name]) for name in passages)
    assert [row["reliability"] for row in ask("sources")] == sorted(row["reliability"] for row in ask("sources"))


def test_answer_statements_by_reliability(ask: Ask, dataset: Dataset) -> None:
    rows = ask("statements-by-reliability")
    in_passages = sum(
        len(quads) for name, quads in dataset.graphs.items() if name.startswith(dataset.iri("id/source/"))
    )
    assert sum(int(row["statements"]) for row in rows) == in_passages
    assert {row["reliability"] for row in rows} == {"primary", "secondary", "tertiary"}


def test_answer_statements_by_graph(ask: Ask, dataset: Dataset) -> None:
    rows = {row["where"]: int(row["statements"]) for row in ask("statements-by-graph")}
    assert sum(rows.values()) == len(dataset.quads)
    assert {"passages, accepted", "passages, disputed", "passages, rejected"} < set(rows)
    assert not [where for where in rows if where.startswith(dataset.iri("id/"))], "a graph of data without a passage"


def test_answer_copies_of_documents(ask: Ask) -> None:
    rows = {row["copy"]: row for row in ask("copies-of-documents")}
    backgrounder = rows["source:docslib-backgrounder-afghanistan-2020-04"]
    assert backgrounder["original"] == "source:nato-backgrounder-afghanistan-2020-04"
    assert rows["source:friendlywiki-resolute-support-mission"]["copyReliability"] == "tertiary"
    order = ["primary", "secondary", "tertiary"]
    assert all(
        order.index(row["copyReliability"]) >= order.index(row["originalReliability"]) for row in rows.values()
    ), "no copy is more reliable than its original"


def test_answer_dates_of_documents(ask: Ask) -> None:
    rows = {row["document"]: row for row in ask("dates-of-documents")}
    assert len(rows) == len(ask("dates-of-documents")) == len(ask("sources"))
    sheet = rows["source:nato-rsm-placemat-2020-02"]
    assert "issued" not in sheet
    assert sheet["notBefore"] <= "2020-04"
    assert sheet["notAfter"] <= "2020-06"


def test_answer_addresses_of_documents(ask: Ask) -> None:
    rows = ask("addresses-of-documents")
    assert [row for row in rows if "address" not in row]
    assert all(row["note"].endswith(".") for row in rows)


def test_answer_inferred_dates(ask: Ask) -> None:
    found = column(ask("inferred-dates"), "subject", "property", "date")
    assert ("edition:rsm-2020-02", "rsm:asOf", "2020-02") in found
    assert ("tenure:commander-rsm--campbell-john-f", "rsm:startDate", "2015-01-01") in found
    assert not [row for row in found if row[0] == "event:rsm-launch"]


def test_answer_derived_bounds(ask: Ask) -> None:
    rows = {row["tenure"]: row for row in ask("derived-bounds")}
    biagini = rows["tenure:commander-taac-west--biagini-massimo"]
    assert (biagini["start"], biagini["earliestStart"], biagini["latestStart"]) == (
        "2017-06",
        "2017-06-01",
        "2017-06-27",
    )
    assert (biagini["end"], biagini["earliestEnd"], biagini["latestEnd"]) == ("2017-12", "2017-12-01", "2017-12-31")
    assert len(rows) == len(ask("derived-bounds"))


# Links and vocabulary


def test_answer_wikidata_links(ask: Ask) -> None:
    rows = ask("wikidata-links")
    assert ("nation:USA", "skos:exactMatch", "wd:Q30") in column(rows, "thing", "predicate", "entity")
    assert {row["predicate"] for row in rows if row["thing"] in ("nation:DNK", "nation:NLD")} == {"skos:closeMatch"}
    assert all(0 < float(row["confidence"]) <= 1 for row in rows)
    assert {row["state"] for row in rows} <= {"confirmed", "contradicted", "unchecked"}
    assert all(row["justification"].startswith("semapv:") for row in rows)


def test_answer_links_to_check(ask: Ask) -> None:
    open_links = column(ask("links-to-check"), "thing", "entity")
    links = ask("wikidata-links")
    assert set(open_links) == set(column([row for row in links if row["state"] == "unchecked"], "thing", "entity"))
    confidences = [float(row["confidence"]) for row in ask("links-to-check")]
    assert confidences == sorted(confidences)


def test_answer_missing_links(ask: Ask) -> None:
    missing = {row["thing"] for row in ask("missing-links")}
    linked = {row["thing"] for row in ask("wikidata-links")}
    assert not missing & linked
    assert "person:barduani-enrico" in missing


def test_answer_things_by_class(ask: Ask, dataset: Dataset) -> None:
    members = {row["class"]: int(row["members"]) for row in ask("things-by-class")}
    passages = [name for name in dataset.graphs if name.startswith(dataset.iri("id/source/"))]
    assert members["rsm:Passage"] == len(passages)
    assert members["rsm:Mission"] == 2
    assert members["rsm:SecurityCouncilResolution"] >= 1
    assert min(members.values()) > 0


def test_answer_code_lists(ask: Ask) -> None:
    found = column(ask("code-lists"), "english", "french", "notation", "broader")
    assert ("brigadier general", "OF-6") in column(ask("code-lists"), "english", "broader")
    assert [row for row in found if row[2] == "OF-6"]
    assert all(english and french for english, french, _, _ in found)
