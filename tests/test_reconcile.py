"""Reconciliation without HTTP: candidates, matches, types, properties, data extension, and what it does to a file."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsm_graph.dataset import Dataset
from rsm_graph.describe import Index
from rsm_graph.errors import InputError
from rsm_graph.reconcile import protocol, sheet
from rsm_graph.reconcile.catalogue import Catalogue
from rsm_graph.reconcile.matching import CLEAR, SURE, Question, candidates
from rsm_graph.search import Search
from tests.conftest import ROOT, run

NAMES = ROOT / "tests" / "reconciliation" / "names.csv"
TYPES = {
    "nation": "rsm:Nation",
    "person": "foaf:Person",
    "command": "rsm:Command",
    "place": "rsm:Place",
    "mission": "rsm:Mission",
    "legal": "rsm:LegalInstrument",
}


@pytest.fixture(scope="module")
def catalogue(dataset: Dataset) -> Catalogue:
    index = Index(dataset)
    return Catalogue(index, Search.of(index))


def ask(catalogue: Catalogue, **query: object) -> list[dict[str, object]]:
    batch = protocol.read_batch(catalogue, json.dumps({"q": query}))
    result: list[dict[str, object]] = protocol.answer_batch(catalogue, batch)["q"]["result"]
    return result


def match(catalogue: Catalogue, **query: object) -> object:
    """The identifier of the match, or None."""
    return next((c["id"] for c in ask(catalogue, **query) if c["match"]), None)


# Candidates and matches


def test_at_most_one_candidate_is_a_match_and_it_stands_clear(catalogue: Catalogue) -> None:
    for text in ("Germany", "Kabul", "Miller", "Slovakia", "TAAC", "Afghanistan", "general", "commander"):
        found = ask(catalogue, query=text, limit=20)
        scores = [float(str(c["score"])) for c in found]
        assert scores == sorted(scores, reverse=True)
        matches = [c for c in found if c["match"]]
        assert len(matches) <= 1
        if matches:
            assert matches[0] is found[0]
            assert scores[0] >= SURE
            assert len(scores) == 1 or scores[0] - scores[1] >= CLEAR


def test_what_two_things_are_called_is_no_match_until_a_type_is_asked_for(catalogue: Catalogue) -> None:
    assert {c["id"] for c in ask(catalogue, query="Afghanistan")} >= {"nation/AFG", "place/afghanistan"}
    assert match(catalogue, query="Afghanistan") is None
    assert match(catalogue, query="Afghanistan", type="rsm:Nation") == "nation/AFG"
    assert match(catalogue, query="Afghanistan", type=["rsm:Place"]) == "place/afghanistan"


@pytest.mark.parametrize("name", ["rsm:Nation", "https://w3id.org/rsm-graph/ontology#Nation", "Nation", "nation"])
def test_types_go_by_identifier_iri_and_name(catalogue: Catalogue, name: str) -> None:
    assert match(catalogue, query="Germany", type=name) == "nation/DEU"


def test_a_broader_type_holds_the_narrower_one(catalogue: Catalogue) -> None:
    assert match(catalogue, query="UNSCR 2189", type="rsm:LegalInstrument") == "legal/unscr-2189"
    assert match(catalogue, query="UNSCR 2189", type="rsm:SecurityCouncilResolution") == "legal/unscr-2189"
    assert match(catalogue, query="UNSCR 2189", type="rsm:StatusOfForcesAgreement") is None


def test_strictness_of_types(catalogue: Catalogue) -> None:
    both = ["rsm:Nation", "rsm:Place"]
    assert len(ask(catalogue, query="Afghanistan", type=both, type_strict="any")) >= 2
    assert ask(catalogue, query="Afghanistan", type=both, type_strict="all") == []
    should = ask(catalogue, query="Afghanistan", type="rsm:Nation", type_strict="should")
    assert should[0]["id"] == "nation/AFG"
    assert "place/afghanistan" in {c["id"] for c in should}
    assert match(catalogue, query="Afghanistan", type="rsm:Nation", type_strict="should") == "nation/AFG"


def test_limit(catalogue: Catalogue) -> None:
    assert len(ask(catalogue, query="Kabul", limit=1)) == 1
    assert len(ask(catalogue, query="Kabul", limit=3.0)) == 3
    assert len(ask(catalogue, query="a", limit=10**6)) <= protocol.MOST


def test_properties_decide_between_namesakes(catalogue: Catalogue) -> None:
    nationality = {"pid": "nation", "v": "États-Unis"}
    assert (
        match(catalogue, query="Nicholson", type="foaf:Person", properties=[nationality]) == "person/nicholson-john-w"
    )
    wrong = {"pid": "nation", "v": {"id": "nation/DEU", "name": "Germany"}}
    assert match(catalogue, query="Nicholson", type="foaf:Person", properties=[wrong]) is None
    command = {"pid": "command", "v": ["TAAC-E", "TAAC East"]}
    assert match(catalogue, query="Masaracchia", properties=[command]) == "person/masaracchia-charles-j"


def test_properties_alone_find_too(catalogue: Catalogue) -> None:
    assert match(catalogue, properties=[{"pid": "rsm:iso3", "v": "DEU"}]) == "nation/DEU"
    assert match(catalogue, properties=[{"pid": "rsm:m49", "v": "276"}]) == "nation/DEU"
    assert match(catalogue, properties=[{"pid": "wikidata", "v": "Q183"}]) == "nation/DEU"
    assert match(catalogue, properties=[{"pid": "troops/rsm-2020-02", "v": 1300}]) == "nation/DEU"
    assert ask(catalogue, properties=[{"pid": "rsm:iso3", "v": "XXX"}]) == []


def test_a_property_that_nothing_is_known_of_costs_less_than_another_value(catalogue: Catalogue) -> None:
    def score(value: str) -> float:
        found = ask(catalogue, query="Germany", type="rsm:Nation", properties=[{"pid": "rsm:iso3", "v": value}])
        return float(str(found[0]["score"]))

    assert score("DEU") == 100 > score("") > score("FRA")


# The list of names


def test_precision_and_recall_on_the_list_of_names(catalogue: Catalogue, capsys: pytest.CaptureFixture[str]) -> None:
    with NAMES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = Counter(row["how"] for row in rows)
    assert sum(wanted.values()) - wanted["none"] >= 200
    for typed in (True, False):
        right, wrong, by_how = 0, list[str](), Counter[str]()
        for row in rows:
            types = (catalogue.type(TYPES[row["type"]]),) if typed else ()
            found = [catalogue.key(c.iri) for c in candidates(catalogue, Question(row["name"], types)) if c.match]
            if found == [row["expected"]]:
                right += 1
                by_how[row["how"]] += 1
            elif found:
                wrong.append(f"{row['name']} → {found[0]}, not {row['expected'] or 'anything here'}")
        positives = sum(bool(row["expected"]) for row in rows)
        precision, recall = right / (right + len(wrong)), right / positives
        parts = ", ".join(f"{how} {by_how[how]}/{wanted[how]}" for how in wanted if how != "none")
        with capsys.disabled():
            kind = "with" if typed else "without"
            print(f"\n{len(rows)} names {kind} types: precision {precision:.3f}, recall {recall:.3f} ({parts})")
        assert precision >= 0.99, wrong
        assert recall >= (0.95 if typed else 0.93)


def test_a_thousand_queries_take_less_than_two_seconds(catalogue: Catalogue) -> None:
    with NAMES.open(encoding="utf-8", newline="") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    queries = {str(n): {"query": f"{names[n % len(names)]}{' ' * (n // len(names))}"} for n in range(1000)}
    batch = protocol.read_batch(catalogue, json.dumps(queries))
    started = time.perf_counter()
    assert len(protocol.answer_batch(catalogue, batch)) == 1000
    assert time.perf_counter() - started < 2


# Data extension


def extend(catalogue: Catalogue, key: str, prop: str, **settings: object) -> list[dict[str, object]]:
    query = {"ids": [key], "properties": [{"id": prop, "settings": settings}]}
    rows: dict[str, dict[str, list[dict[str, object]]]] = protocol.extend(catalogue, json.dumps(query))["rows"]
    return rows[key][prop]


def test_values_of_every_kind(catalogue: Catalogue) -> None:
    assert extend(catalogue, "nation/DEU", "iri") == [{"str": "https://w3id.org/rsm-graph/id/nation/DEU"}]
    assert extend(catalogue, "nation/DEU", "wikidata") == [{"id": "Q183", "name": "Germany"}]
    assert extend(catalogue, "nation/DEU", "rsm:iso2") == [{"str": "DE"}]
    assert extend(catalogue, "nation/DEU", "troops/rsm-2020-02") == [{"int": 1300}]
    assert extend(catalogue, "event/sofa-2014-ratification", "rsm:date") == [{"date": "2014-11-27T00:00:00Z"}]
    assert extend(catalogue, "nowhere", "iri") == []


def test_the_commander_on_a_day(catalogue: Catalogue) -> None:
    found = extend(catalogue, "mission/rsm", "commander", on="2019-06-01", content="name")
    assert found == [{"str": "Austin Scott Miller"}]
    everybody = [c["str"] for c in extend(catalogue, "mission/rsm", "commander", content="name")]
    assert everybody.index("John F. Campbell") < everybody.index("Austin Scott Miller")


def test_settings_of_data_extension(catalogue: Catalogue) -> None:
    assert len(extend(catalogue, "nation/DEU", "rdfs:label")) == 2
    assert extend(catalogue, "nation/DEU", "rdfs:label", language="fr") == [{"str": "Allemagne"}]
    assert len(extend(catalogue, "nation/DEU", "rdfs:label", limit="1")) == 1
    assert len(extend(catalogue, "nation/DEU", "rdfs:label", limit=0)) == 2
    assert extend(catalogue, "nation/DEU", "wikidata", content="iri") == [
        {"str": "http://www.wikidata.org/entity/Q183"}
    ]


def test_proposed_properties_are_those_that_things_of_the_type_have(catalogue: Catalogue) -> None:
    proposed = {p["id"] for p in protocol.propose(catalogue, "rsm:Nation", None)["properties"]}
    assert {"iri", "wikidata", "rsm:iso2", "rsm:iso3", "rsm:m49", "troops/rsm-2020-02"} <= proposed
    assert not {"commander", "rank", "rsm:headquarters"} & proposed
    assert "commander" in {p["id"] for p in protocol.propose(catalogue, "rsm:Command", None)["properties"]}
    assert len(protocol.propose(catalogue, "rsm:Nation", 3)["properties"]) == 3


# Faulty messages


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("", "not JSON at line 1, column 1"),
        ("[1]", "not a JSON object"),
        ('{"q0": 5}', "not a JSON object"),
        ('{"q0": {}}', "neither query nor properties"),
        ('{"q0": {"properties": []}}', "neither query nor properties"),
        ('{"q0": {"query": 5}}', "query is no string"),
        ('{"q0": {"query": "x", "props": []}}', 'unknown field "props"'),
        ('{"q0": {"query": "x", "limit": 0}}', "limit is 0"),
        ('{"q0": {"query": "x", "limit": "many"}}', 'limit is "many"'),
        ('{"q0": {"query": "x", "limit": 1e999}}', "limit is Infinity"),
        ('{"q0": {"query": "x", "limit": NaN}}', "limit is NaN"),
        ('{"q0": {"query": "x", "type": {"id": "a"}}}', "type is neither"),
        ('{"q0": {"query": "x", "type": "rsm:Nonsense"}}', "no type 'rsm:Nonsense'"),
        ('{"q0": {"query": "x", "type_strict": "perhaps"}}', "type_strict is"),
        ('{"q0": {"query": "x", "properties": {}}}', "is no list"),
        ('{"q0": {"query": "x", "properties": [{"pid": "rsm:iso3"}]}}', "without pid and v"),
        ('{"q0": {"query": "x", "properties": [{"pid": "rsm:none", "v": 1}]}}', "no property 'rsm:none'"),
        ('{"q0": {"query": "x", "properties": [{"pid": "rsm:iso3", "v": [[1]]}]}}', "neither text"),
        ("[" * 100_000, "nests too deeply"),
        ('{"q0": {"query": "x", "limit": ' + "9" * 10_000 + "}}", "too long a number"),
    ],
)
def test_a_faulty_batch_is_refused_with_a_reason(catalogue: Catalogue, message: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        protocol.read_batch(catalogue, message)
    assert reason in caught.value.message


@pytest.mark.parametrize(
    "message",
    ["", "5", '{"ids": 5}', '{"ids": [5]}', '{"ids": [], "properties": [5]}', '{"properties": [{"id": "rsm:none"}]}',
     '{"properties": [{"id": "iri", "settings": 5}]}', '{"properties": [{"id": "iri", "settings": {"limit": "x"}}]}'],
)  # fmt: skip
def test_a_faulty_extension_is_refused(catalogue: Catalogue, message: str) -> None:
    with pytest.raises(InputError):
        protocol.extend(catalogue, message)


def test_too_much_at_once_is_refused(catalogue: Catalogue) -> None:
    many = json.dumps({f"q{n}": {"query": "x"} for n in range(10_000)})
    with pytest.raises(protocol.TooMany):
        protocol.read_batch(catalogue, many)
    with pytest.raises(protocol.TooMany):
        protocol.extend(catalogue, json.dumps({"ids": ["x"] * 10_000, "properties": []}))


@pytest.mark.parametrize("text", ["", "   ", "\x00\x01", "\u202e\u200f", "(a+)+$", "…", "\ud800", "𒀀" * 999])
def test_strange_names_get_an_answer(catalogue: Catalogue, text: str) -> None:
    assert isinstance(ask(catalogue, query=text), list)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["query", "type", "limit", "properties", "pid", "v", "q0"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_answered_or_refused(catalogue: Catalogue, content: object) -> None:
    with contextlib.suppress(InputError):
        protocol.answer_batch(catalogue, protocol.read_batch(catalogue, json.dumps({"q0": content})))


# Files


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "table.csv"
    path.write_bytes("\ufeffcountry;iri\nGermny;x\nAllemagne;\nKosovo\n;\n".encode())
    return path


def test_a_file_gains_four_columns(catalogue: Catalogue, table: Path) -> None:
    out = io.StringIO()
    tally = sheet.reconcile_file(catalogue, table, "country", out, [catalogue.type("nation")])
    rows = list(csv.reader(io.StringIO(out.getvalue()), delimiter=";"))
    assert rows[0] == ["country", "iri", "rsm_iri", "wikidata", "score", "reason"]
    assert rows[1] == ["Germny", "x", "https://w3id.org/rsm-graph/id/nation/DEU", "Q183", "77.1", "like “Germany”"]
    assert rows[2][2:] == [rows[1][2], "Q183", "95", "in another language, “Allemagne”"]
    assert rows[3][:3] == ["Kosovo", "", ""]
    assert rows[4] == ["", "", "", "", "", "empty"]
    assert (tally.rows, tally.matched) == (4, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column 'country'"),
        (b"land\nx\n", "Its columns: land"),
        (b"country\n\xff\n", "not UTF-8 .at byte 8."),
        (b"country\nGermany,more\n", "a row has 2 cells, the header 1"),
        (b'country\n"' + b"x" * 200_000 + b'"\n', "not CSV"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    catalogue: Catalogue, tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        sheet.reconcile_file(catalogue, path, "country", io.StringIO())
    assert "bad.csv" in str(caught.value)


def test_the_command_line(table: Path) -> None:
    done = run("reconcile", str(table), "--column", "country", "--type", "nation")
    assert done.returncode == 0
    assert "Q183" in done.stdout.splitlines()[1]
    assert "4 rows: 2 matched" in done.stderr
    assert run("reconcile", str(table), "--column", "nation").returncode == 2
    assert run("reconcile", str(table.with_name("none.csv")), "--column", "x").returncode == 2
