"""The gate of the mapping set lets no faulty row through, and says which cell of which line is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsm_graph import sssom
from rsm_graph.errors import InputError
from rsm_graph.namespaces import DEFAULT_BASE, VOCABULARIES

HEADER = """#curie_map:
#  nation: https://w3id.org/rsm-graph/id/nation/
#  concept: https://w3id.org/rsm-graph/id/concept/
#  wd: http://www.wikidata.org/entity/
#  skos: http://www.w3.org/2004/02/skos/core#
#mapping_set_id: https://example.org/set
"""
ROW = {
    "subject_id": "nation:DEU",
    "predicate_id": "skos:exactMatch",
    "object_id": "wd:Q183",
    "object_label": "Germany",
    "mapping_justification": "semapv:ManualMappingCuration",
    "confidence": "0.98",
    "author_label": "A",
    "mapping_date": "2026-11-22",
}


def read(tmp_path: Path, *rows: dict[str, str], drop: str = "") -> tuple[sssom.Mapping, ...]:
    columns = [name for name in ROW if name != drop]
    lines = ["\t".join(columns), *("\t".join(row[name] for name in columns) for row in rows)]
    file = tmp_path / "mappings.sssom.tsv"
    file.write_text(HEADER + "\n".join(lines) + "\n")
    return sssom.read(file)


def test_a_row_becomes_a_link_and_its_description(tmp_path: Path) -> None:
    mappings = read(tmp_path, ROW)
    found = {(t.subject.value, t.predicate.value, t.object.value) for t in sssom.triples(mappings, DEFAULT_BASE)}
    germany, entity = f"{DEFAULT_BASE}id/nation/DEU", "http://www.wikidata.org/entity/Q183"
    assert (germany, VOCABULARIES["skos"] + "exactMatch", entity) in found
    assert (germany, "https://schema.org/sameAs", entity) in found
    node = f"{DEFAULT_BASE}graph/links#nation-DEU-wd-Q183"
    assert (node, VOCABULARIES["sssom"] + "confidence", "0.98") in found
    assert (node, VOCABULARIES["sssom"] + "object_label", "Germany") in found
    assert not any("sameAs" in predicate and "owl" in predicate for _, predicate, _ in found)


def test_concepts_and_close_matches_are_not_the_same_thing(tmp_path: Path) -> None:
    rows = ROW | {"subject_id": "concept:rank/colonel"}, ROW | {"predicate_id": "skos:closeMatch"}
    found = [t.predicate.value for t in sssom.triples(read(tmp_path, *rows), DEFAULT_BASE)]
    assert "https://schema.org/sameAs" not in found


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"mapping_justification": ""}, ":8: mapping_justification is empty"),
        ({"object_label": " "}, ":8: object_label is empty"),
        ({"mapping_justification": "semapv:NoSuchThing"}, ":8: mapping_justification is 'semapv:NoSuchThing'"),
        ({"predicate_id": "skos:exactlyMatch"}, ":8: predicate_id is 'skos:exactlyMatch'"),
        ({"predicate_id": "owl:sameAs"}, ":8: predicate_id is 'owl:sameAs'"),
        ({"object_id": "wd:Q0"}, "is no identifier of"),
        ({"object_id": "wd:P31"}, "is no identifier of"),
        ({"object_id": "wd:"}, "is no identifier of"),
        ({"object_id": "https://www.wikidata.org/wiki/Q183"}, "is a page"),
        ({"object_id": "wdx:Q183"}, "the prefix of 'wdx:Q183' is not in curie_map"),
        ({"confidence": "1.5"}, "confidence is '1.5'"),
        ({"confidence": "high"}, "confidence is 'high'"),
        ({"confidence": "nan"}, "confidence is 'nan'"),
        ({"object_label": "Germany\tand more"}, "9 cells where the header has 8"),
    ],
)
def test_a_faulty_cell_is_named(tmp_path: Path, fault: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, ROW | fault)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mapping_justification is empty"):
        read(tmp_path, ROW, drop="mapping_justification")


def test_a_row_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=":9: this mapping stands in an earlier row"):
        read(tmp_path, ROW, ROW)


def test_no_row_is_lost(tmp_path: Path) -> None:
    rows = [ROW | {"object_id": f"wd:Q{number}"} for number in range(1, 50)]
    assert len(read(tmp_path, *rows)) == 49


CHECK = (
    "nation:DEU",
    "skos:exactMatch",
    "wd:Q183",
    "confirmed",
    "P298 is DEU",
    "Germany",
    "a country",
    "7",
    "",
    "2026-11-23",
)


def checks(tmp_path: Path, *rows: tuple[str, ...]) -> tuple[sssom.Check, ...]:
    file = tmp_path / "mappings.checked.tsv"
    file.write_text("".join("\t".join(row) + "\n" for row in (sssom.CHECKS, *rows)))
    return sssom.read_checks(file)


def test_a_link_is_unchecked_until_its_other_side_was_reached(tmp_path: Path) -> None:
    def said(*seen: sssom.Check) -> dict[str, str]:
        found = sssom.triples(read(tmp_path, ROW), DEFAULT_BASE, seen)
        return {t.predicate.value.rpartition("/")[2].rpartition("#")[2]: t.object.value for t in found}

    assert said()["linkState"] == "unchecked"
    unreached = (*CHECK[:3], "unreachable", "no answer", *[""] * 4, "2026-11-23")
    assert said(*checks(tmp_path, unreached))["linkState"] == "unchecked"
    other = (*CHECK[:1], "skos:closeMatch", *CHECK[2:])
    assert said(*checks(tmp_path, other))["linkState"] == "unchecked"
    seen = said(*checks(tmp_path, CHECK))
    assert seen["linkState"] == "confirmed"
    assert seen["checkedOn"] == "2026-11-23"
    assert (seen["description"], seen["version"]) == ("a country", "7")


@pytest.mark.parametrize("row", [CHECK[:9], (*CHECK[:3], "fine", *CHECK[4:])])
def test_a_row_that_is_no_check_is_named(tmp_path: Path, row: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=r"mappings\.checked\.tsv:2: no row of a check"):
        checks(tmp_path, row)


def test_a_file_that_holds_no_checks_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text("a\tb\n")
    with pytest.raises(InputError, match="its columns are not"):
        sssom.read_checks(tmp_path / "x.tsv")
