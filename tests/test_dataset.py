"""Files become one dataset: what the default graph holds, what re-basing does, what a bad file says."""

from __future__ import annotations

from pathlib import Path

import pyoxigraph as ox
import pytest

from rsm_graph import dataset, formats, release
from rsm_graph.derive import derive
from rsm_graph.errors import InputError, RdfSyntaxError
from rsm_graph.namespaces import DEFAULT_BASE, prefixes

HEAD = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in prefixes(DEFAULT_BASE).items())
SOURCES = 'graph:sources { source:a\\/x rsm:standing "%s" . source:b\\/y rsm:standing "accepted" . }\n'


def load(tmp_path: Path, text: str) -> dataset.Dataset:
    file = tmp_path / "facts.trig"
    file.write_text(HEAD + text)
    return dataset.load_files([(file, "")], DEFAULT_BASE)


def objects(of: dataset.Dataset, local: str) -> set[str]:
    return {t.object.value for t in of.default_triples if t.predicate.value == f"{DEFAULT_BASE}ontology#{local}"}


@pytest.mark.parametrize(("standing", "kept"), [("accepted", {"1", "2"}), ("disputed", {"2"}), ("rejected", {"2"})])
def test_the_default_graph_holds_what_is_accepted(tmp_path: Path, standing: str, kept: set[str]) -> None:
    facts = 'source:a\\/x { event:e rsm:vote "1" } source:b\\/y { event:e rsm:vote "2" }'
    loaded = load(tmp_path, SOURCES % standing + facts)
    assert objects(loaded, "vote") == kept
    assert len(loaded.graphs) == 3, "every graph stays in the dataset"


def test_shapes_stay_out_of_the_default_graph(tmp_path: Path) -> None:
    loaded = load(tmp_path, 'graph:shapes { event:e rsm:vote "1" } graph:identity { event:e rsm:vote "2" }')
    assert objects(loaded, "vote") == {"2"}


def test_of_dates_that_agree_the_default_graph_keeps_the_most_precise(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        """source:a\\/x { tenure:t rsm:startDate "2019"^^xsd:gYear , "2019-12"^^xsd:gYearMonth }
           source:b\\/y { tenure:t rsm:startDate "2019-12-11"^^xsd:date ; rsm:endDate "2020"^^xsd:gYear }""",
    )
    assert objects(loaded, "startDate") == {"2019-12-11"}
    assert objects(loaded, "endDate") == {"2020"}


def test_dates_that_disagree_both_stay_for_a_shape_to_find(tmp_path: Path) -> None:
    loaded = load(
        tmp_path, 'graph:identity { tenure:t rsm:startDate "2019-11"^^xsd:gYearMonth , "2019-12-11"^^xsd:date }'
    )
    assert objects(loaded, "startDate") == {"2019-11", "2019-12-11"}


@pytest.mark.parametrize(
    ("statement", "bounds"),
    [
        ('rsm:startDate "2019"^^xsd:gYear', {"earliestStart": "2019-01-01", "latestStart": "2019-12-31"}),
        ('rsm:startDate "2020-02"^^xsd:gYearMonth', {"earliestStart": "2020-02-01", "latestStart": "2020-02-29"}),
        ('rsm:startDate "2019-02"^^xsd:gYearMonth', {"earliestStart": "2019-02-01", "latestStart": "2019-02-28"}),
        ('rsm:startDate "2018-09-02"^^xsd:date', {"earliestStart": "2018-09-02", "latestStart": "2018-09-02"}),
        ('rsm:endDate "2021-09"^^xsd:gYearMonth', {"earliestEnd": "2021-09-01", "latestEnd": "2021-09-30"}),
        ('rsm:attestedOn "2020"^^xsd:gYear', {"latestStart": "2020-12-31", "earliestEnd": "2020-01-01"}),
        (
            'rsm:startDate "2019"^^xsd:gYear ; rsm:attestedOn "2019-10-17"^^xsd:date',
            {"earliestStart": "2019-01-01", "latestStart": "2019-10-17", "earliestEnd": "2019-10-17"},
        ),
        ('rsm:asOf "2019-10"^^xsd:gYearMonth', {"earliest": "2019-10-01", "latest": "2019-10-31"}),
        ('rsm:date "2014-11-30"^^xsd:date', {"earliest": "2014-11-30", "latest": "2014-11-30"}),
    ],
)
def test_bounds_follow_from_dates(tmp_path: Path, statement: str, bounds: dict[str, str]) -> None:
    derived = derive(load(tmp_path, f"graph:identity {{ tenure:t {statement} }}"))
    found = {
        q.predicate.value.partition("#")[2]: q.object.value for q in derived.graphs[f"{DEFAULT_BASE}graph/derived"]
    }
    assert found == bounds


def test_a_disputed_passage_derives_nothing(tmp_path: Path) -> None:
    loaded = load(tmp_path, SOURCES % "disputed" + 'source:a\\/x { tenure:t rsm:startDate "2019"^^xsd:gYear }')
    assert f"{DEFAULT_BASE}graph/derived" not in derive(loaded).graphs


def test_another_base_is_only_a_renaming(dataset: dataset.Dataset) -> None:
    other = "http://data.example.org/mission/"
    renamed = release.assemble(other)
    assert other.encode() in renamed.nquads
    assert DEFAULT_BASE.encode() not in renamed.nquads
    back = ox.Dataset(
        formats.parse(renamed.nquads.replace(other.encode(), DEFAULT_BASE.encode()), formats.by_name("nq"), "")
    )
    ours = ox.Dataset(dataset.quads)
    checksum = ox.NamedNode(f"{DEFAULT_BASE}dataset#checksum")  # of the content, so it differs where the content does
    for each in (back, ours):
        for quad in list(each.quads_for_subject(checksum)):
            each.remove(quad)
        each.canonicalize(ox.CanonicalizationAlgorithm.RDFC_1_0)  # blank nodes are named after what surrounds them
    assert back == ours


def test_literals_stay_as_they_are_written(tmp_path: Path) -> None:
    written = [
        '"01"^^xsd:integer',
        '"+1"^^xsd:int',
        '"1.50"^^xsd:decimal',
        '"8000"^^xsd:nonNegativeInteger',
        '"2019-02-30"^^xsd:date',
    ]
    loaded = load(tmp_path, f"graph:identity {{ event:e rsm:vote {', '.join(written)} }}")
    for fmt in formats.TRIPLES:
        content = formats.serialize(loaded.default_triples, fmt, prefixes(DEFAULT_BASE))
        back = {(q.object.value, q.object.datatype.value.partition("#")[2]) for q in formats.parse(content, fmt, "")}
        assert back == {(w.split('"')[1], w.partition(":")[2]) for w in written}, fmt.name


def test_blank_nodes_are_named_the_same_each_time(tmp_path: Path) -> None:
    text = "graph:identity { event:e rsm:vote [ rsm:vote [ ] ] , [ rsm:vote 1 ] }"
    assert load(tmp_path, text).hash == load(tmp_path, text).hash


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.ttl: cannot be read \(No such file or directory\)"):
        dataset.load_files([(tmp_path / "nowhere.ttl", "")], DEFAULT_BASE)


def test_a_faulty_file_names_its_place(tmp_path: Path) -> None:
    with pytest.raises(RdfSyntaxError, match=r"facts\.trig:\d+:\d+: "):
        load(tmp_path, "graph:identity { event:e rsm:vote }")


def test_a_folder_without_the_project_says_so(tmp_path: Path) -> None:
    assert dataset.load_project(root=tmp_path).quads == ()
