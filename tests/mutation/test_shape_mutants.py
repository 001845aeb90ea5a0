"""How many single changes of the shapes the examples notice, kind by kind.

A change is *noticed* when the changed constraint finds something else than it should in its valid example, its invalid
one, or one of the changes of these (``tests/shapes/changes.tsv``), when it finds a violation in the project's dataset,
or when it cannot be used at all. The table is printed with ``-rP``; ``RSM_GRAPH_SHAPE_MUTANTS`` (a number a kind, or
``all``) and ``RSM_GRAPH_MUTATION_SEED`` choose.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from functools import cache

import pytest

from rsm_graph import formats, release
from rsm_graph.errors import InputError
from rsm_graph.shapes import Constraint, Shapes
from tests.examples import BY_NAME, SHAPES, Case, added, case, changed, changes, declared, example
from tests.mutation.shape_mutants import Mutant, mutants

pytestmark = pytest.mark.mutation

COUNT = os.environ.get("RSM_GRAPH_SHAPE_MUTANTS", "20")
SEED = int(os.environ.get("RSM_GRAPH_MUTATION_SEED", "2020"))
PROCESSES = min(4, os.cpu_count() or 1)


@cache
def cases(name: str) -> list[tuple[Case, set[str]]]:
    """Return the examples of a constraint, each with the severities of what it is to find there."""
    own = {severity for severity, other in declared(example(name, "invalid")) if other == name}
    found = [(formats.read(example(name, "valid")), set()), (formats.read(example(name, "invalid")), own)]
    found += [(changed(change), own if change.found else set()) for change in changes().get(name, ())]
    return [(added(quads), severities) for quads, severities in found]


@cache
def data() -> Case:
    """The project's dataset."""
    return case(release.assemble())


def is_kept(rules: Shapes, constraint: Constraint) -> bool:
    """Return whether a constraint out of ``rules`` finds what it should, and only that."""
    kept = all(one.severities(rules, constraint) == expected for one, expected in cases(constraint.name))
    return kept and "violation" not in data().severities(rules, constraint)


def is_noticed(mutant: Mutant) -> bool:
    """Return whether somebody would see that a constraint has been changed."""
    try:
        rules = mutant.of(SHAPES)
        return not is_kept(rules, rules.constraints[mutant.constraint.iri])
    except (InputError, ValueError, KeyError, SyntaxError):
        return True  # it is no constraint any more


def chosen() -> list[Mutant]:
    """Return so many changes of each kind, the same for the same seed."""
    found: dict[str, list[Mutant]] = defaultdict(list)
    for name in sorted(BY_NAME):
        for mutant in sorted(mutants(SHAPES, BY_NAME[name]), key=lambda mutant: (mutant.kind, mutant.what)):
            found[mutant.kind].append(mutant)
    chance = random.Random(SEED)
    number = None if COUNT == "all" else int(COUNT)
    return [
        m for kind in found.values() for m in (kind if number is None else chance.sample(kind, min(number, len(kind))))
    ]


def examine(chosen: list[Mutant]) -> list[bool]:
    """Return which changes are noticed."""
    return [is_noticed(mutant) for mutant in chosen]


@pytest.fixture(scope="module")
def outcomes() -> list[tuple[Mutant, bool]]:
    of_one: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in chosen():
        of_one[mutant.constraint.name].append(mutant)
    with ProcessPoolExecutor(PROCESSES) as pool:
        found = pool.map(examine, of_one.values(), chunksize=4)
        return [
            pair
            for some, noticed in zip(of_one.values(), found, strict=True)
            for pair in zip(some, noticed, strict=True)
        ]


def test_the_examples_keep_what_they_promise() -> None:
    """The measure itself: unchanged constraints find what they are to find."""
    for name in sorted(BY_NAME)[::10]:
        assert is_kept(SHAPES.only([BY_NAME[name].iri]), BY_NAME[name]), name


def test_changes_of_the_shapes_are_noticed(outcomes: list[tuple[Mutant, bool]]) -> None:
    print(f"{'kind':36} {'changes':>8} {'noticed':>8} {'share':>7}")
    shares = {}
    for kind in (*dict.fromkeys(mutant.kind for mutant, _ in outcomes), "all"):
        group = [noticed for mutant, noticed in outcomes if kind in (mutant.kind, "all")]
        shares[kind] = sum(group) / len(group)
        print(f"{kind:36} {len(group):8} {sum(group):8} {shares[kind]:7.1%}")
    for mutant, noticed in outcomes:
        if not noticed:
            print(f"not noticed: {mutant.constraint.name}: {mutant.kind}: {mutant.what}")
    assert shares["all"] >= 0.9
    assert min(shares.values()) >= 0.75
