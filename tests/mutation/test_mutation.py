"""How many random single changes of the valid dataset the shapes notice, kind by kind.

A change is *noticed* when validation finds a violation or a warning that the valid dataset does not have. A change
that is not noticed is one of three:

``true``
    what is left is still true: a statement was taken away, and nothing says how many there were;
``unknowable``
    nothing else in the dataset says what the changed statement said, so that only its source can tell (a wording, an
    estimate, a judgement, a value given once and in no other form);
``missed``
    the rest of the dataset denies it, and no shape says so: another passage says what this one no longer says, of
    something of which there is one only; a word is not in its list; a property leads to a thing of a class, or to a
    literal of a datatype, that it leads to nowhere else; a type changed; a statement moved to another passage.

The share of the noticed among noticed and missed is what the shapes are held to; the plain share is held to a floor,
so that the two excuses cannot swallow it. The table is printed with ``-rP``; ``RSM_GRAPH_MUTANTS`` and
``RSM_GRAPH_MUTATION_SEED`` change number and seed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import pyoxigraph as ox
import pytest

from rsm_graph.namespaces import RDF_TYPE
from tests.mutation import mutants
from tests.mutation.examiner import Examiner

pytestmark = pytest.mark.mutation

COUNT = int(os.environ.get("RSM_GRAPH_MUTANTS", "15"))
SEED = int(os.environ.get("RSM_GRAPH_MUTATION_SEED", "2020"))
PROCESSES = min(4, os.cpu_count() or 1)

WORDING = frozenset(
    """note scopeNote description dateReason locator ruling subjectMatter aim offerStage urlNote altLabel hiddenLabel
    title vote slogan strengthQualifier rankAsPrinted page references""".split()  # noqa: SIM905
)
"""Properties that hold a wording, or an address: what another wording says, only a reader can tell."""

JUDGEMENTS = frozenset({"reliability", "standing", "issuedNotBefore", "issuedNotAfter", "dateBasis", "precision"})
"""Properties that hold what the project judges or estimates, not what a source says."""


@dataclass(frozen=True)
class Outcome:
    """What became of one change: ``noticed`` holds the constraints, ``excuse`` why it need not have been."""

    kind: str
    change: str
    noticed: frozenset[tuple[str, str]]
    excuse: str

    @property
    def word(self) -> str:
        return "noticed" if self.noticed else self.excuse or "missed"


@cache
def bench() -> tuple[Examiner, mutants.Scene]:
    """The examiner and the scene of this process."""
    examiner = Examiner()
    return examiner, mutants.Scene(examiner.dataset)


def local(quad: ox.Quad) -> str:
    return quad.predicate.value.replace("#", "/").rpartition("/")[2]


def unheard(quad: ox.Quad, scene: mutants.Scene) -> bool:
    """Whether the property leads to a thing of a class that it leads to nowhere else."""
    types = scene.types.get(quad.object, frozenset())
    used = (scene.types.get(other.object, frozenset()) for other in scene.by_predicate[quad.predicate.value])
    return bool(types) and not any(types & others for others in used)


def several(quad: ox.Quad, scene: mutants.Scene) -> bool:
    """Whether there may be several: the property leads from some subject to two things, so that one denies no other."""
    found: dict[object, set[object]] = {}
    for other in scene.by_predicate[quad.predicate.value]:
        found.setdefault(other.subject, set()).add(other.object)
    return isinstance(quad.object, ox.NamedNode) and any(len(values) > 1 for values in found.values())


def other_datatype(quad: ox.Quad, scene: mutants.Scene) -> bool:
    """Whether the property has a literal of a datatype that its literals have nowhere else."""
    used = {getattr(other.object, "datatype", None) for other in scene.by_predicate[quad.predicate.value]}
    return isinstance(quad.object, ox.Literal) and quad.object.datatype not in used


def excuse(change: mutants.Change, scene: mutants.Scene) -> str:
    """Return why a change that was not noticed cannot be noticed, or the empty string."""
    if not change.added:
        return "true"
    old, new = set(change.removed), set(change.added)
    if any(quad.predicate.value == RDF_TYPE for quad in old | new):
        return ""
    if any(quad.object.value not in mutants.WORDS.get(local(quad), (quad.object.value,)) for quad in new):
        return ""  # no such word
    if any(unheard(quad, scene) or other_datatype(quad, scene) for quad in new):
        return ""
    if all(local(quad) in WORDING | JUDGEMENTS for quad in old | new):
        return "unknowable"
    if {quad.triple for quad in old} == {quad.triple for quad in new}:
        return ""  # a statement in the wrong passage puts words into somebody's mouth
    said = {quad.triple for quad in scene.quads if quad not in old}
    return "" if any(gone.triple in said and not several(gone, scene) for gone in old) else "unknowable"


def examine(task: tuple[int, int]) -> list[Outcome]:
    """Examine one share of the changes of one kind."""
    number, share = task
    examiner, scene = bench()
    found = []
    for change in mutants.changes(scene, mutants.KINDS[number], COUNT, SEED)[share::PROCESSES]:
        noticed = frozenset(examiner.notices(change))
        found.append(Outcome(change.kind, str(change), noticed, "" if noticed else excuse(change, scene)))
    return found


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    tasks = [(number, share) for number in range(len(mutants.KINDS)) for share in range(PROCESSES)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        return [outcome for found in pool.map(examine, tasks) for outcome in found]


def share(outcomes: Iterable[Outcome]) -> float:
    """Return the share of the noticed among the noticed and the missed."""
    words = [outcome.word for outcome in outcomes]
    judged = words.count("noticed") + words.count("missed")
    return words.count("noticed") / judged if judged else 1.0


def table(outcomes: list[Outcome]) -> str:
    lines = [f"{'kind':38} {'changes':>8} {'noticed':>8} {'missed':>7} {'true':>5} {'unknowable':>11} {'share':>6}"]
    kinds = dict.fromkeys(outcome.kind for outcome in outcomes)
    for kind in (*kinds, "all"):
        group = [o for o in outcomes if kind in (o.kind, "all")]
        words = [outcome.word for outcome in group]
        numbers = [words.count(word) for word in ("noticed", "missed", "true", "unknowable")]
        columns = f"{len(group):8} {numbers[0]:8} {numbers[1]:7} {numbers[2]:5} {numbers[3]:11}"
        lines.append(f"{kind:38} {columns} {share(group):6.1%}")
    return "\n".join(lines)


def test_changes_are_reproducible() -> None:
    _, scene = bench()
    kind = mutants.KINDS[0]
    assert mutants.changes(scene, kind, 5, 1) == mutants.changes(scene, kind, 5, 1)
    assert mutants.changes(scene, kind, 5, 1) != mutants.changes(scene, kind, 5, 2)


def test_nothing_is_noticed_in_the_valid_dataset() -> None:
    examiner, _ = bench()
    assert examiner.notices(mutants.Change("nothing", (), ())) == set()


def test_share_of_changes_that_are_noticed(outcomes: list[Outcome]) -> None:
    print(table(outcomes))
    for outcome in outcomes:
        if not outcome.noticed:
            print(f"{outcome.word}: {outcome.change}")
    sys.stdout.flush()
    by_kind = {kind: [o for o in outcomes if o.kind == kind] for kind in {o.kind for o in outcomes}}
    assert len(by_kind) >= 12
    assert share(outcomes) >= 0.97
    assert {kind: share(group) for kind, group in by_kind.items() if share(group) <= 0.9} == {}
    assert sum(bool(outcome.noticed) for outcome in outcomes) / len(outcomes) >= 0.85
