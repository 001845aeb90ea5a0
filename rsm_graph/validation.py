"""Validates a dataset against shapes: SHACL over its default graph, and the dataset checks over its named graphs.

Two engines give the same findings, which the tests hold them to:

``reference``
    pySHACL, which decides a release. The topics of the shapes are validated in parallel processes, and the verdict
    is kept in the user's cache folder under a key made of data, shapes and versions.
``quick``
    the Rust validator ``shacl``, ten times as fast: for a server that must answer soon on a machine that has no
    kept verdict yet, and for files of a million triples. Where a kept verdict exists, it is returned instead.

The dataset checks are SPARQL queries that pyoxigraph evaluates, whichever the engine.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal as OneOf

import pyoxigraph as ox
import shacl

from rsm_graph import locate, reference
from rsm_graph.dataset import Dataset, load_files
from rsm_graph.derive import derive
from rsm_graph.errors import InputError
from rsm_graph.namespaces import DEFAULT_BASE, VOCABULARIES
from rsm_graph.reports import Report, Result
from rsm_graph.shapes import Shapes, load, project_shapes, severity_of, target_queries

__all__ = [
    "Engine",
    "Progress",
    "Report",
    "Result",
    "Shapes",
    "load",
    "project_shapes",
    "validate",
    "validate_files",
]

Engine = OneOf["reference", "quick"]
Progress = Callable[[str], None]

KEPT_RESULTS = 1000
"""Results of one constraint that a report holds; the rest is only counted."""
LARGE = 200_000
"""Statements above which a dataset is left to the quick engine and its verdict is not kept."""
ENOUGH = 5_000
"""Violations after which the shapes of one topic stop over a large dataset: each costs 25 kB while they run."""
KEPT_VERDICTS = 32
"""Verdicts in the cache folder; the oldest beyond them are deleted."""

_QUICKLY = "-quick"
"""What a verdict of the quick engine has behind its key: the reference never takes it for one of its own."""

_SH = VOCABULARIES["sh"]
_SPARQL_COMPONENT = _SH + "SPARQLConstraintComponent"
_IRI = re.compile(r"<[^<>]*>")
_VARIABLE = re.compile(r"\{[?$](\w+)\}")


def validate(
    dataset: Dataset,
    shapes: Shapes,
    *,
    engine: Engine = "reference",
    cache: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Return the report of validating ``dataset`` against ``shapes``; the report itself says whether it conforms.

    ``cache`` is the folder of kept verdicts, see :func:`cache_folder`; without one nothing is kept or looked up. A
    folder that cannot be read or written is as good as none. ``workers`` limits the processes of the reference
    engine (default: one a processor). ``progress`` is called with a sentence now and then. Raises
    :class:`InputError` when a shape itself is faulty, naming file and line.
    """
    started = time.perf_counter()
    cache = cache if len(dataset.quads) <= LARGE else None
    key = _key(dataset, shapes) if cache else ""
    kept = _recall(cache, key, dataset, shapes)
    if kept is None and engine == "quick":
        kept = _recall(cache, key + _QUICKLY, dataset, shapes)
    if kept:
        return replace(_located(kept, dataset), seconds=time.perf_counter() - started, cached=True)
    say = progress or (lambda _sentence: None)
    say("loading")
    store = loaded(dataset)
    say("shapes and dataset checks")
    checks = count_checks(store, shapes)
    stopped: list[str] = []
    results: Iterable[Result]
    with ThreadPoolExecutor(1) as aside:  # pyoxigraph and the validators leave the interpreter to each other
        checked = aside.submit(lambda: _bounded(dataset_checks(store, shapes)))
        if engine == "reference":
            results = reference.validate(dataset.default_triples, shapes, checks=checks, workers=workers, progress=say)
            validators = (f"pySHACL {version('pyshacl')}", f"pyoxigraph {version('pyoxigraph')}")
        else:
            results = _quick(dataset, shapes, say, stopped)
            validators = (f"shacl {version('shacl')}", f"pyoxigraph {version('pyoxigraph')}")
        held, truncated = _bounded(results)
        say("dataset checks")
        of_graphs, more = checked.result()
    report = Report(
        base_iri=dataset.base_iri,
        results=tuple(sorted(_with_graphs([*held, *of_graphs], dataset))),
        constraints=shapes.constraints,
        checks=checks,
        validators=validators,
        triples=len(dataset.default_triples),
        data_hash=dataset.hash if len(dataset.quads) <= LARGE else "",
        truncated={**truncated, **more},
        stopped=tuple(stopped),
    )
    _keep(cache, key if engine == "reference" else key + _QUICKLY, report)
    return replace(_located(report, dataset), seconds=time.perf_counter() - started)


def validate_files(
    files: Iterable[Path],
    project: Dataset,
    shapes: Shapes,
    *,
    engine: Engine = "reference",
    cache: Path | None = None,
    baseline: Report | None = None,
    progress: Progress | None = None,
) -> Report:
    """Return the report on RDF files that somebody wants to add to a project's dataset.

    The files are validated together with the project's dataset, so that they may refer to whatever it holds and so
    that a clash with it (a second holder, another figure) is noticed; the report leaves out what the project's
    dataset by itself is found to have (``baseline``, if that report is at hand). A file that names no graph counts
    as one accepted passage. Above :data:`LARGE` triples the quick engine judges, whatever ``engine`` says: the
    reference would need hours.

    Raises :class:`~rsm_graph.errors.RdfSyntaxError` and :class:`InputError` for files that cannot be used.
    """
    say = progress or (lambda _sentence: None)
    named = [(path, path.resolve().as_uri()) for path in files]
    say(f"reading {', '.join(str(path) for path, _ in named)}")
    added = load_files(named, project.base_iri)
    say(f"{len(added.quads):,} statements read")
    known = set(project.quads)
    dropped = project.iri("graph/shapes")  # it is not data, and blank nodes of two documents must not meet
    quads = [q for q in project.quads if q.graph_name.value != dropped] + [q for q in added.quads if q not in known]
    both = Dataset(project.base_iri, tuple(quads), {**project.files, **_joined(project.files, added.files)})
    chosen: Engine = "quick" if len(quads) > LARGE else engine
    say("deriving")
    report = validate(derive(both), shapes, engine=chosen, cache=cache, progress=say)
    if report.results:
        say("comparing with the project's own report")
        baseline = baseline or validate(derive(project), shapes, engine=chosen, cache=cache)
        report = report.without(result.key for result in baseline.results)
    return report


def _joined(
    first: Mapping[str, tuple[Path, ...]], second: Mapping[str, tuple[Path, ...]]
) -> dict[str, tuple[Path, ...]]:
    """Return which files hold each graph of ``second``, its own files before those of ``first``."""
    return {graph: tuple(dict.fromkeys((*paths, *first.get(graph, ())))) for graph, paths in second.items()}


def cache_folder() -> Path:
    """Return the folder of kept verdicts: ``rsm-graph/validation`` in the user's cache folder (XDG)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "rsm-graph" / "validation"


def loaded(dataset: Dataset) -> ox.Store:
    """Return the dataset as a store: named graphs without the shapes, and the default graph drawn from them."""
    store = ox.Store()
    store.bulk_extend(ox.Quad(*triple) for triple in dataset.default_triples)
    shapes = dataset.iri("graph/shapes")
    store.bulk_extend(q for q in dataset.quads if q.graph_name.value not in ("", shapes))
    return store


def dataset_checks(store: ox.Store, shapes: Shapes) -> Iterator[Result]:
    """Yield what the dataset checks find in a store that :func:`loaded` made."""
    prologue = shapes.prologue()
    for constraint in shapes.constraints.values():
        if constraint.kind != "dataset":
            continue
        solutions = store.query(prologue + constraint.select)
        names = [variable.value for variable in solutions.variables]
        for solution in solutions:
            bound = {name: solution[name] for name in names if solution[name] is not None}
            yield Result(
                constraint=constraint.iri,
                focus=str(bound["this"]),
                path=str(bound.get("path", "")),
                value=str(bound.get("value", "")),
                message=_filled(constraint.message, bound),
                severity=constraint.severity,
                component=_SPARQL_COMPONENT,
                graphs=(bound["graph"].value,) if "graph" in bound else (),
            )


def _filled(message: str, bound: Mapping[str, object]) -> str:
    """Return a message with its variables replaced by what a solution binds them to (SHACL 5.3.2)."""
    return _VARIABLE.sub(lambda found: str(getattr(bound.get(found[1]), "value", "")), message)


def _quick(dataset: Dataset, shapes: Shapes, say: Progress, stopped: list[str]) -> Iterator[Result]:
    """Yield the results of the Rust validator; over a large dataset topic by topic, and of each only so many.

    The topics that have more are added to ``stopped``.
    """
    large = len(dataset.quads) > LARGE
    topics = list(dict.fromkeys(c.topic for c in shapes.constraints.values() if c.kind != "dataset"))
    data = ox.serialize(dataset.default_triples, format=ox.RdfFormat.N_TRIPLES).decode()
    for number, part in enumerate([[topic] for topic in topics] if large else [topics], start=1):
        graph = dict.fromkeys(triple for topic in part for triple in shapes.shacl(topic))
        turtle = ox.serialize(graph, format=ox.RdfFormat.N_TRIPLES).decode()
        try:
            compiled = shacl.Shapes.from_text(turtle, format="ntriples")
            results = compiled.validate_text(data, format="ntriples", max_results=ENOUGH if large else None).results
        except ValueError as error:
            raise InputError(f"{_names(shapes)}: the shapes cannot be used ({error}).") from error
        yield from (quick_result(found, shapes) for found in results)
        if large:
            stopped += part if len(results) >= ENOUGH else ()
            say(f"{part[0]}: {number} of {len(topics)} topics")


def quick_result(found: shacl.Result, shapes: Shapes) -> Result:
    """Return a result of the Rust validator in the form that all engines share."""
    constraint = shapes.constraints[(found.root_shape or found.source_shape or "").strip("<>")]
    return Result(
        constraint=constraint.iri,
        focus=found.focus_node,
        path=found.path if found.path and _IRI.fullmatch(found.path) else constraint.path,
        value=found.value or "",
        message=(found.message if constraint.kind == "sparql" else "") or constraint.message or found.message or "",
        severity=severity_of(found.severity_iri),
        component=found.component_iri,
    )


def _names(shapes: Shapes) -> str:
    return ", ".join(str(path) for path in shapes.files.values())


def _bounded(results: Iterable[Result]) -> tuple[list[Result], Mapping[str, int]]:
    """Return each finding once, at most :data:`KEPT_RESULTS` a constraint, and how many were left out."""
    counts: Counter[str] = Counter()
    kept: dict[tuple[str, str, str, str], Result] = {}
    for result in results:
        if result.key not in kept:
            counts[result.constraint] += 1
            if counts[result.constraint] <= KEPT_RESULTS:
                kept[result.key] = result
    return list(kept.values()), {iri: n - KEPT_RESULTS for iri, n in counts.items() if n > KEPT_RESULTS}


def count_checks(store: ox.Store, shapes: Shapes) -> dict[str, int]:
    """Return how many focus nodes each constraint has; a dataset check counts as one."""
    counts = {}
    for constraint in shapes.constraints.values():
        union = " UNION ".join(f"{{ {pattern} }}" for pattern in target_queries(constraint))
        query = f"SELECT (COUNT(DISTINCT ?node) AS ?n) WHERE {{ {union} }}"
        solutions = store.query(query) if union else None
        counts[constraint.iri] = int(next(solutions)["n"].value) if isinstance(solutions, ox.QuerySolutions) else 1
    return counts


def _with_graphs(results: Iterable[Result], dataset: Dataset) -> Iterator[Result]:
    """Yield the results with the named graphs that hold their statement, or else speak of their focus node."""
    results = list(results)
    wanted = {result.focus for result in results}
    about: dict[str, list[ox.Quad]] = {focus: [] for focus in wanted}
    for quad in dataset.quads if wanted else ():
        if (subject := str(quad.subject)) in wanted:
            about[subject].append(quad)
    for result in results:
        if result.graphs:
            yield result
            continue
        quads = about[result.focus]
        exact = [q for q in quads if str(q.predicate) == result.path and str(q.object) == result.value]
        near = exact or [q for q in quads if str(q.predicate) == result.path] or quads
        yield replace(result, graphs=tuple(sorted({q.graph_name.value for q in near} - {""})))


def _located(report: Report, dataset: Dataset) -> Report:
    """Return the report with file and line of each result, from the files as they are now."""

    def written(iri: str) -> str:
        return iri.replace(dataset.base_iri, DEFAULT_BASE, 1)

    def place(result: Result) -> str:
        subject, predicate = result.focus.strip("<>"), result.path.strip("<>")
        for graph in result.graphs or ("",):
            if found := locate.find(dataset.files.get(graph, ()), written(subject), written(predicate), written(graph)):
                return found
        return ""

    return replace(report, results=tuple(replace(result, place=place(result)) for result in report.results))


def _key(dataset: Dataset, shapes: Shapes) -> str:
    """Return the key of a verdict: whatever can change it goes in."""
    digest = hashlib.sha256(f"{dataset.hash} {shapes.digest}".encode())
    for name in ("rsm-graph", "pyshacl", "rdflib", "pyoxigraph"):
        digest.update(f"{name} {_version(name)}".encode())
    return digest.hexdigest()


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "0"


def _recall(cache: Path | None, key: str, dataset: Dataset, shapes: Shapes) -> Report | None:
    """Return a kept verdict; none when there is none or when what is kept cannot be understood."""
    if cache is None:
        return None
    try:
        kept = json.loads((cache / f"{key}.json").read_text(encoding="utf-8"))
        results = tuple(Result(**{**row, "graphs": tuple(row["graphs"])}) for row in kept["results"])
        if kept["key"] != key or {r.constraint for r in results} - set(shapes.constraints):
            return None
        return Report(
            base_iri=dataset.base_iri,
            results=results,
            constraints=shapes.constraints,
            checks={str(iri): int(n) for iri, n in kept["checks"].items()},
            validators=tuple(kept["validators"]),
            triples=int(kept["triples"]),
            data_hash=dataset.hash,
            truncated={str(iri): int(n) for iri, n in kept["truncated"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _keep(cache: Path | None, key: str, report: Report) -> None:
    """Keep a verdict. It is only a shortcut, so a folder that cannot be written is no error."""
    if cache is None:
        return
    content = {
        "key": key,
        "results": [asdict(result) for result in report.results],
        "checks": dict(report.checks),
        "validators": report.validators,
        "triples": report.triples,
        "truncated": dict(report.truncated),
    }
    partial = cache / f"{key}.{os.getpid()}.part"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(cache / f"{key}.json")
        verdicts = sorted(cache.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for stale in verdicts[:-KEPT_VERDICTS]:
            stale.unlink(missing_ok=True)
    except OSError:
        partial.unlink(missing_ok=True)
