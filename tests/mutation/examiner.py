"""Says which constraints notice a change of the dataset, as ``rsm-graph validate`` would, but many times a second.

The whole way is gone for every change: the default graph is drawn anew, the rules derive anew where the change can
touch what they read, the dataset checks and the shapes judge. Only what cannot have changed is kept from one change
to the next, and the search ends with the first violation unless all are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyoxigraph as ox
import shacl

from rsm_graph import shapes, validation
from rsm_graph.dataset import Dataset, load_project
from rsm_graph.derive import derive, rules
from tests.examples import ntriples
from tests.mutation.mutants import Change


class Examiner:
    """The valid dataset, loaded once, and the shapes, compiled once."""

    def __init__(self, dataset: Dataset | None = None) -> None:
        self.dataset = dataset or load_project()
        self.shapes = shapes.project_shapes()
        valid = derive(self.dataset)
        self._derived = tuple(valid.graphs[valid.iri("graph/derived")])
        self._default = frozenset(valid.default_triples)
        self._named = frozenset(valid.quads)
        self._store = validation.loaded(valid)
        text = "".join(rule.text for rule in rules(valid.base_iri).values())
        self._read_by_rules = set(re.findall(r"[a-z]+:(\w+)", text)) | {"standing", "type", "subClassOf"}
        every = dict.fromkeys(t for topic in self.shapes.topics for t in self.shapes.shacl(topic))
        self._compiled = shacl.Shapes.from_text(ntriples(every), format="ntriples")
        known = list(self._results(valid))
        self._known = {result.key for result in known}
        # One result more than the valid dataset has is a new one, whatever else there is.
        self._enough = sum(self.shapes.constraints[r.constraint].kind != "dataset" for r in known) + 1

    def notices(self, change: Change, everything: bool = False) -> set[tuple[str, str]]:
        """Return name and severity of the constraints that notice a change, warnings and violations only.

        Unless ``everything`` is asked for, the search ends with the first violation.
        """
        gone = set(change.removed)
        quads = (*(q for q in self.dataset.quads if q not in gone), *change.added)
        names = {re.split(r"[#/]", q.predicate.value)[-1] for q in (*change.removed, *change.added)}
        changed = Dataset(self.dataset.base_iri, quads)
        if names & self._read_by_rules:
            changed = derive(changed)
        else:
            changed = Dataset(self.dataset.base_iri, (*quads, *self._derived))
        default, named = frozenset(changed.default_triples), frozenset(changed.quads)
        out = [ox.Quad(*t) for t in self._default - default] + list(self._named - named)
        new = [ox.Quad(*t) for t in default - self._default] + list(named - self._named)
        for quad in out:
            self._store.remove(quad)
        self._store.extend(new)
        try:
            found: set[tuple[str, str]] = set()
            for result in self._results(changed, most=None if everything else self._enough):
                if result.severity != "info" and result.key not in self._known:
                    found.add((result.name, result.severity))
                    if result.severity == "violation" and not everything:
                        break
            return found
        finally:
            for quad in new:
                self._store.remove(quad)
            self._store.extend(out)

    def _results(self, dataset: Dataset, most: int | None = None) -> Iterator[validation.Result]:
        """Yield the results of the shapes, of these at most so many, then those of the dataset checks."""
        data = ntriples(dataset.default_triples)
        report = self._compiled.validate_text(data, format="ntriples", max_results=most)
        for found in report.results:
            yield validation.quick_result(found, self.shapes)
        yield from validation.dataset_checks(self._store, self.shapes)
