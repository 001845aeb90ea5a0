"""Things are found by name, code and identifier, misspelt, abbreviated and in other languages; others are not."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from babel import Locale
from hypothesis import given
from hypothesis import strategies as st

from rsm_graph import search
from rsm_graph.dataset import Dataset
from rsm_graph.describe import Index
from rsm_graph.errors import InputError
from rsm_graph.search import Search, fold


@pytest.fixture(scope="session")
def finder(dataset: Dataset) -> Search:
    return Search.of(Index(dataset))


def first(finder: Search, text: str, *kinds: str) -> tuple[str, float, str]:
    """The best hit as (key, score, reason)."""
    hits = finder.search(text, 1, kinds, prefix=False)
    return (hits[0].iri.partition("/id/")[2], hits[0].score, hits[0].reason) if hits else ("", 0.0, "")


@pytest.mark.parametrize(
    ("text", "key", "score", "reason"),
    [
        ("Germany", "nation/DEU", 100.0, "label"),
        ("GERMANY", "nation/DEU", 100.0, "label"),
        ("DEU", "nation/DEU", 100.0, "code"),
        ("276", "nation/DEU", 100.0, "code"),
        ("deu", "nation/DEU", 90.0, "code"),
        ("Q183", "nation/DEU", 100.0, "identifier"),
        ("nation/DEU", "nation/DEU", 100.0, "identifier"),
        ("https://w3id.org/rsm-graph/id/nation/DEU", "nation/DEU", 100.0, "identifier"),
        ("S/RES/2189 (2014)", "legal/unscr-2189", 100.0, "code"),
        ("UNSCR 2189", "legal/unscr-2189", 85.0, "acronym"),
        ("Allemagne", "nation/DEU", 95.0, "translation"),
        ("ألمانيا", "nation/DEU", 95.0, "translation"),
        ("\u202eألمانيا\u202c", "nation/DEU", 93.0, "translation"),
        ("Etats-Unis", "nation/USA", 93.0, "translation"),
        ("TAAC-E", "command/taac-east", 97.0, "name"),
    ],
)
def test_names_codes_and_identifiers_score_by_their_sort(
    finder: Search, text: str, key: str, score: float, reason: str
) -> None:
    assert first(finder, text) == (key, score, reason)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Germny", "nation/DEU"),
        ("Polnad", "nation/POL"),
        ("New Zea land", "nation/NZL"),
        ("Macedonia, North", "nation/MKD"),
        ("Nicholson", "person/nicholson-john-w"),
        ("Gen. J. W. Nicholson", "person/nicholson-john-w"),
        ("Train Advise Assist Command - East", "command/taac-east"),
        ("Commander TAAC-W", "post/commander-taac-west"),
    ],
)
def test_what_is_merely_like_a_name_scores_below_every_name(finder: Search, text: str, key: str) -> None:
    found, score, _ = first(finder, text)
    assert found == key
    assert score >= 70 or text.startswith("Commander")


def test_codes_are_never_misspelt(finder: Search) -> None:
    assert "code" not in {hit.reason for hit in finder.search("DUE", kinds=["nation"], prefix=False)}
    assert first(finder, "DUE", "nation")[1] < 90


@pytest.mark.parametrize("language", ["en", "fr", "de", "es", "it", "pl", "tr", "ru"])
def test_no_other_country_is_taken_for_one_of_ours(finder: Search, dataset: Dataset, language: str) -> None:
    index = Index(dataset)
    ours = {str(v.value) for iri in index.things for v in index.values(iri, dataset.iri("ontology#iso2"))}
    others = {name for code, name in Locale(language).territories.items() if len(code) == 2 and code not in ours}
    assert len(others) > 150
    taken = {name: first(finder, name, "nation") for name in others}
    assert not {name: found for name, found in taken.items() if found[1] >= 70}


def test_a_beginning_finds_while_it_is_typed(finder: Search) -> None:
    assert finder.search("ger", 3)[0].label == "Germany"
    assert "person/nicholson-john-w" in finder.search("nichols", 1)[0].iri
    assert finder.search("commander taac w", 1)[0].label == "Commander, TAAC West"


def test_pages_of_hits_do_not_overlap(finder: Search) -> None:
    whole = finder.search("a", 20)
    assert [*finder.search("a", 10), *finder.search("a", 10, offset=10)] == whole


def test_the_file_finds_the_same_and_is_the_same_twice(finder: Search, tmp_path: Path) -> None:
    finder.write(tmp_path / "one.json")
    again = Search.open(tmp_path / "one.json")
    again.write(tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert again.search("Germny") == finder.search("Germny")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"names": [[1]], "labels": {}, "elsewhere": []}'])
def test_a_file_that_is_no_index_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "search.json").write_text(content)
    with pytest.raises(InputError, match=r"search\.json: no search index"):
        Search.open(tmp_path / "search.json")


def test_folding_leaves_what_tells_names_apart() -> None:
    assert fold("  Selçuk YURTSIZOĞLU ") == "selcuk yurtsizoglu"
    assert fold("U.S.A.") == "usa"
    assert fold("Bosnia & Herzegovina") == "bosnia and herzegovina"
    assert fold("Mazar-e-Sharif") == "mazar e sharif"
    assert fold("\u200fقطر\x00") == "قطر"
    assert fold("… – !") == ""


@given(st.text(max_size=400))
def test_any_text_gets_an_answer(finder: Search, text: str) -> None:
    for hit in finder.search(text, 5):
        assert search.LOWEST <= hit.score <= 100
        assert hit.iri in finder


@pytest.mark.parametrize(
    "text", ["(a+)+$" * 50, "a" * 10_000_000, "\x00" * 1000, " ".join("abcdefgh" * 20), "%" * 300, "\ud800"]
)
def test_hostile_texts_are_answered_at_once(finder: Search, text: str) -> None:
    started = time.perf_counter()
    finder.search(text)
    assert time.perf_counter() - started < 0.5


def test_a_thousand_misspelt_names_take_less_than_two_seconds(finder: Search) -> None:
    chance = random.Random(1)
    names = [name for iri in sorted(finder.things) for name in finder.names_of(iri) if "/id/nation/" in iri]
    slipped = [name[:2] + name[3:] for name in chance.sample(names, 1000)]
    started = time.perf_counter()
    for name in slipped:
        finder.search(name, 5, prefix=False)
    assert time.perf_counter() - started < 2
