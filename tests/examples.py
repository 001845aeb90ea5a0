"""The examples of the constraints: for each a valid and an invalid file, and changes of one of the two.

``shapes/<constraint>/valid.*`` has everything that the constraint is about and nothing that it finds; the first line of
``invalid.*`` says what that file breaks. A row of ``shapes/changes.tsv`` is such a file with one thing changed:
statements left out, or added, after which the constraint speaks up or keeps quiet. Together they are to show what each
part of a constraint is there for; :mod:`tests.mutation.test_shape_mutants` measures whether they do.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyoxigraph as ox
import shacl

from rsm_graph import formats, namespaces, shapes, validation
from rsm_graph.dataset import Dataset, load_files
from rsm_graph.derive import derive
from rsm_graph.namespaces import DEFAULT_BASE

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "tests" / "shapes"
SHAPES = shapes.project_shapes()
BY_NAME = {constraint.name: constraint for constraint in SHAPES.constraints.values()}
SEVERITIES = {"breaks": "violation", "warns": "warning", "notes": "info"}


def ntriples(triples: Iterable[ox.Triple]) -> str:
    """Return triples as the quick validator reads them."""
    return (ox.serialize(triples, format=ox.RdfFormat.N_TRIPLES) or b"").decode()


@dataclass(frozen=True)
class Change:
    """A row of the table of changes."""

    constraint: str
    example: str
    """``valid`` or ``invalid``."""
    found: bool
    """Whether the constraint finds something afterwards."""
    without: str
    added: str
    """Statements in TriG, with the project's prefixes."""


@dataclass(frozen=True)
class Case:
    """A dataset in the forms that the validators read."""

    triples: str
    store: ox.Store

    def severities(self, rules: shapes.Shapes, constraint: shapes.Constraint) -> set[str]:
        """Return the severities of what a constraint out of ``rules`` finds."""
        if constraint.kind == "dataset":
            results = list(validation.dataset_checks(self.store, rules))
        else:
            compiled = shacl.Shapes.from_text(ntriples(rules.shacl(constraint.topic)), format="ntriples")
            report = compiled.validate_text(self.triples, format="ntriples")
            results = [validation.quick_result(found, rules) for found in report.results]
        return {result.severity for result in results if result.name == constraint.name}


def case(dataset: Dataset) -> Case:
    """Return a dataset as a case."""
    return Case(ntriples(dataset.default_triples), validation.loaded(dataset))


def added(quads: Iterable[ox.Quad]) -> Case:
    """Return the background with an example, as one accepted passage."""
    graph = ox.NamedNode("file:///example")
    named = (ox.Quad(*q.triple, graph) if q.graph_name == ox.DefaultGraph() else q for q in quads)
    return case(derive(Dataset(DEFAULT_BASE, tuple(dict.fromkeys((*background().quads, *named))))))


@cache
def changes() -> dict[str, list[Change]]:
    """Return the changes by constraint."""
    found: dict[str, list[Change]] = defaultdict(list)
    with (EXAMPLES / "changes.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            assert row["then"] in ("found", "not found"), row
            name = row["constraint"]
            found[name].append(Change(name, row["example"], row["then"] == "found", row["without"], row["added"]))
    return dict(found)


@cache
def background() -> Dataset:
    """The ontology, the code lists and the few things that the examples refer to."""
    graph = f"{DEFAULT_BASE}graph/"
    concepts = [(path, graph + "concepts") for path in sorted((ROOT / "ontology" / "concepts").glob("*.ttl"))]
    return load_files(
        [(ROOT / "ontology" / "rsm.ttl", graph + "ontology"), *concepts, (EXAMPLES / "background.trig", "")],
        DEFAULT_BASE,
    )


@cache
def project() -> tuple[Dataset, validation.Report]:
    """The background, and the report on it alone."""
    dataset = background()
    return dataset, validation.validate(derive(dataset), SHAPES, engine="quick")


def report(path: Path, engine: validation.Engine, rules: shapes.Shapes) -> validation.Report:
    """Return what a validator says of a file that is added to the background."""
    dataset, alone = project()
    return validation.validate_files([path], dataset, rules, engine=engine, baseline=alone)


def example(name: str, kind: str) -> Path:
    """Return the file of a constraint's valid or invalid example."""
    (path,) = (EXAMPLES / name).glob(f"{kind}.*")
    return path


def declared(path: Path) -> set[tuple[str, str]]:
    """Return the severities and constraints that the first line of an invalid example says it has."""
    first = path.read_text(encoding="utf-8").splitlines()[0]
    parts = re.findall(r"(breaks|warns|notes): (\w+(?:, \w+)*)", first)
    assert first == "# " + "; ".join(f"{word}: {names}" for word, names in parts), f"{path}: not '# breaks: name, name'"
    return {(SEVERITIES[word], name) for word, names in parts for name in names.split(", ")}


def changed(change: Change) -> tuple[ox.Quad, ...]:
    """Return the statements of an example after a change."""
    path = example(change.constraint, change.example)
    quads = dict.fromkeys(formats.read(path))
    without, added = _statements(change.without), _statements(change.added)
    assert without <= quads.keys(), f"{change}: the example does not say {without - quads.keys()}"
    assert not added & quads.keys(), f"{change}: the example says {added & quads.keys()} already"
    return tuple(quad for quad in (*quads, *sorted(added, key=str)) if quad not in without)


_PREFIXES = "".join(f"@prefix {name}: <{iri}> .\n" for name, iri in namespaces.prefixes(DEFAULT_BASE).items())


def _statements(text: str) -> set[ox.Quad]:
    return set(formats.parse(f"{_PREFIXES}{text}".encode(), formats.by_name("trig"), "changes.tsv"))
