"""What each constraint costs over the project's data, by both validators.

``python -m tests.bench.shapes [N]`` prints the N costliest (25 if not given) and the sums. All times are milliseconds
of processor time, the least of three runs, so that other work on the machine weighs little:

reference
    pySHACL with this constraint alone, the parsing of its query included, the data loaded; for a dataset check,
    which is one query over all named graphs, pyoxigraph;
quick
    the Rust validator with this constraint alone, less what it needs to read the data; for a dataset check as above.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import pyoxigraph as ox
import shacl

from rsm_graph import release, validation
from rsm_graph.reference import Judge
from rsm_graph.shapes import Constraint, Kind

RUNS = 3
NO_SHAPE = "[] <http://www.w3.org/ns/shacl#targetNode> <urn:nobody> ; <http://www.w3.org/ns/shacl#minCount> 0 ."


class Row(NamedTuple):
    """What one constraint costs; ``nodes`` is the number of its focus nodes."""

    reference: float
    quick: float
    nodes: int
    name: str
    kind: Kind


def least(call: Callable[[], object]) -> float:
    """Return the milliseconds of processor time that a call takes, the least of some runs."""
    taken = []
    for _ in range(RUNS):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return min(taken) * 1000


def ntriples(triples: Iterable[ox.Triple]) -> bytes:
    return ox.serialize(triples, format=ox.RdfFormat.N_TRIPLES) or b""


def measured() -> Iterable[Row]:
    """Yield what each constraint costs."""
    dataset = release.assemble()
    shapes = validation.project_shapes()
    store = validation.loaded(dataset)
    nodes = validation.count_checks(store, shapes)
    data = ntriples(dataset.default_triples)
    text, judge = data.decode(), Judge(data)
    none = shacl.Shapes.from_text(NO_SHAPE)
    reading = least(lambda: none.validate_text(text, format="ntriples"))

    def costs(constraint: Constraint) -> tuple[float, float]:
        alone = shapes.only([constraint.iri])
        if constraint.kind == "dataset":
            cost = least(lambda: list(validation.dataset_checks(store, alone)))
            return cost, cost
        rules = ntriples(dict.fromkeys(alone.shacl(constraint.topic)))
        compiled = shacl.Shapes.from_text(rules.decode(), format="ntriples")
        quick = least(lambda: compiled.validate_text(text, format="ntriples")) - reading
        return least(lambda: judge.results(rules)), max(quick, 0)

    for constraint in shapes.constraints.values():
        yield Row(*costs(constraint), nodes[constraint.iri], constraint.name, constraint.kind)


def main() -> None:
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    rows = sorted(measured(), reverse=True)
    print("|constraint|kind|focus nodes|reference, ms|quick, ms|\n|---|---|--:|--:|--:|")
    for row in rows[:most]:
        print(f"|{row.name}|{row.kind}|{row.nodes}|{row.reference:.0f}|{row.quick:.1f}|")
    for kind in ("core", "sparql", "dataset"):
        of_kind = [row for row in rows if row.kind == kind]
        nodes, reference, quick = (sum(row[n] for row in of_kind) for n in (2, 0, 1))  # type: ignore[misc]
        print(f"|all {len(of_kind)} of this kind|{kind}|{nodes}|{reference:.0f}|{quick:.1f}|")


if __name__ == "__main__":
    main()
