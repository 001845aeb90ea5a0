"""The report of a validation, and its four forms: text, JSON, SHACL validation report in Turtle, SARIF 2.1.0."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

import pyoxigraph as ox

from rsm_graph import __version__, formats
from rsm_graph.namespaces import RDF_TYPE, VOCABULARIES, XSD, prefixes, shorten
from rsm_graph.shapes import ARROW, SEVERITIES, Constraint, Severity

FORMATS = ("text", "json", "turtle", "sarif")
"""The forms of a report, by the names that the command line knows."""

_SH = VOCABULARIES["sh"]
_SARIF_LEVELS = {"violation": "error", "warning": "warning", "info": "note"}
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_IRI = re.compile(r"https?://[^\s<>\",;]+[^\s<>\",;.]")
_SHOWN = 25
"""Results of one constraint that the text form prints; the other forms hold all of them."""


@dataclass(frozen=True, order=True)
class Result:
    """One validation result (SHACL 3.6.2).

    ``constraint`` is an IRI and ``name`` its last part. ``focus`` and ``value`` are terms in the syntax of
    N-Triples (``value`` may be empty), ``path`` is in the syntax of SPARQL property paths. ``graphs`` are the named
    graphs that hold the statement, ``place`` is ``file:line`` as far as it is known.
    """

    constraint: str
    focus: str
    path: str = ""
    value: str = ""
    message: str = ""
    severity: Severity = "violation"
    component: str = ""
    graphs: tuple[str, ...] = ()
    place: str = ""

    @property
    def name(self) -> str:
        """The last part of the constraint's IRI."""
        return self.constraint.rpartition("#")[2].rpartition("/")[2]

    @property
    def problem(self) -> str:
        """What is wrong."""
        return self.message.partition(ARROW)[0]

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return self.message.partition(ARROW)[2]

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes two results the same finding: constraint, focus node, path and value."""
        return self.constraint, self.focus, self.path, self.value


@dataclass(frozen=True)
class Report:
    """The outcome of one validation.

    ``checks`` counts the focus nodes of each constraint (one for a dataset check). ``validators`` are the programs
    that judged, with their versions; ``data_hash`` is the SHA-256 of the dataset as canonical N-Quads.
    """

    base_iri: str
    results: tuple[Result, ...]
    constraints: Mapping[str, Constraint]
    checks: Mapping[str, int]
    validators: tuple[str, ...]
    triples: int
    data_hash: str = ""
    seconds: float = 0.0
    cached: bool = False
    truncated: Mapping[str, int] = field(default_factory=dict)
    """Results left out, by constraint, where one constraint has more than a report of this size should hold."""
    stopped: tuple[str, ...] = ()
    """Topics of the shapes that were not tried to the end, because so many violations were found before."""

    @property
    def conforms(self) -> bool:
        """Whether no result is a violation; warnings and notes do not count (SHACL 3.6.1.1 with them allowed)."""
        return not any(result.severity == "violation" for result in self.results)

    def count(self, severity: Severity) -> int:
        """Return how many results of a severity there are, those left out of the report included."""
        left_out = sum(n for iri, n in self.truncated.items() if self.constraints[iri].severity == severity)
        return sum(result.severity == severity for result in self.results) + left_out

    def by_constraint(self) -> Iterator[tuple[Constraint, list[Result]]]:
        """Yield the constraints that have results, the most severe first, each with its results."""

        def order(result: Result) -> tuple[int, str]:
            return SEVERITIES.index(result.severity), result.constraint

        for (_, iri), group in groupby(sorted(self.results, key=order), key=order):
            yield self.constraints[iri], sorted(group)

    def summary(self) -> str:
        """Return one line: whether the data conform, how many results of each severity, how much was checked."""
        found = ", ".join(_number(self.count(s), {"info": "note"}.get(s, s)) for s in SEVERITIES)
        verdict = "The data conform" if self.conforms else "The data do not conform"
        more = f" There are more: the shapes of {', '.join(self.stopped)} stopped early." if self.stopped else ""
        return (
            f"{verdict}: {found}; {_number(len(self.constraints), 'constraint')}, "
            f"{_number(sum(self.checks.values()), 'check')}, {_number(self.triples, 'triple')}.{more}"
        )

    def without(self, known: Iterable[tuple[str, str, str, str]]) -> Report:
        """Return this report without the findings whose keys are known from elsewhere."""
        skip = frozenset(known)
        kept = tuple(result for result in self.results if result.key not in skip)
        return replace(self, results=kept)

    def render(self, form: str) -> str:
        """Return the report as ``text``, ``json``, ``turtle`` or ``sarif``."""
        return {"text": self.text, "json": self.json, "turtle": self.turtle, "sarif": self.sarif}[form]()

    def text(self) -> str:
        """Return the report for people: grouped by constraint, each result with place, value and remedy."""
        lines: list[str] = []
        for constraint, results in self.by_constraint():
            left_out = self.truncated.get(constraint.iri, 0)
            lines.append(f"{constraint.name} ({results[0].severity}, {len(results) + left_out}): {constraint.label}")
            same = len({result.message for result in results}) == 1
            if same:
                lines += self._said(results[0], "  ")
            for result in results[:_SHOWN]:
                value = "" if result.value == result.focus and not result.path else result.value
                statement = " ".join(filter(None, map(self.short, (result.focus, result.path, value))))
                lines.append(f"  {result.place or '-'}: {statement}")
                lines += [] if same else self._said(result, "      ")
            if len(results) + left_out > _SHOWN:
                lines.append(f"  … and {len(results) + left_out - _SHOWN} more")
            lines.append("")
        text = "".join(f"{line}\n" for line in lines)
        how = " and ".join(self.validators) + (", verdict kept from an earlier run" if self.cached else "")
        return f"{text}{self.summary()}\nChecked by {how}, {self.seconds:.1f} s.\n"

    def _said(self, result: Result, margin: str) -> list[str]:
        known = prefixes(self.base_iri)
        problem, remedy = (
            _IRI.sub(lambda found: shorten(found[0], known), text) for text in (result.problem, result.remedy)
        )
        return ([f"{margin}{problem}"] if problem else []) + ([f"{margin}→ {remedy}"] if remedy else [])

    def short(self, term: str) -> str:
        """Return a term in N-Triples or path syntax with prefixes in place of whole IRIs."""
        known = prefixes(self.base_iri)
        parts = term.split("<")
        out = parts[0]
        for part in parts[1:]:
            iri, closed, rest = part.partition(">")
            name = shorten(iri, known)
            out += (f"<{iri}>" if name == iri else name) + rest if closed else "<" + part
        return out

    def json(self) -> str:
        """Return the report as JSON: the verdict, the counts, and every result; one report, one text."""
        content = {
            "conforms": self.conforms,
            "summary": self.summary(),
            "base": self.base_iri,
            "validators": self.validators,
            "triples": self.triples,
            "hash": self.data_hash,
            "counts": {severity: self.count(severity) for severity in SEVERITIES},
            "left_out": dict(self.truncated),
            "stopped": self.stopped,
            "results": [
                {"name": r.name, **asdict(r), "problem": r.problem, "remedy": r.remedy}
                for _, results in self.by_constraint()
                for r in results
            ],
            "checks": dict(self.checks),
        }
        return json.dumps(content, ensure_ascii=False, indent=2) + "\n"

    def triples_of_report(self, iri: str = "") -> list[ox.Triple]:
        """Return the report as a SHACL validation report (SHACL 3.6.1); ``iri`` names it, else it is a blank node.

        A result whose path is more than a property has no ``sh:resultPath``: SHACL lets it be left out.
        """
        report: ox.NamedNode | ox.BlankNode = ox.NamedNode(iri) if iri else ox.BlankNode("report")
        boolean = ox.NamedNode(XSD + "boolean")
        is_a = ox.NamedNode(RDF_TYPE)

        def sh(name: str) -> ox.NamedNode:
            return ox.NamedNode(_SH + name)

        found = [
            ox.Triple(report, is_a, sh("ValidationReport")),
            ox.Triple(report, sh("conforms"), ox.Literal(str(self.conforms).lower(), datatype=boolean)),
        ]
        for number, result in enumerate(sorted(self.results), start=1):
            node = ox.NamedNode(f"{iri}-result-{number}") if iri else ox.BlankNode(f"result{number}")
            found += [
                ox.Triple(report, sh("result"), node),
                ox.Triple(node, is_a, sh("ValidationResult")),
                ox.Triple(node, sh("focusNode"), term(result.focus)),
                ox.Triple(node, sh("resultSeverity"), sh(result.severity.capitalize())),
                ox.Triple(node, sh("resultMessage"), ox.Literal(result.message, language="en")),
                ox.Triple(node, sh("sourceShape"), ox.NamedNode(result.constraint)),
                ox.Triple(node, sh("sourceConstraintComponent"), ox.NamedNode(result.component)),
            ]
            if result.value:
                found.append(ox.Triple(node, sh("value"), term(result.value)))
            if result.path.startswith("<") and result.path.count("<") == 1 and result.path.endswith(">"):
                found.append(ox.Triple(node, sh("resultPath"), term(result.path)))
        return found

    def turtle(self) -> str:
        """Return the SHACL validation report as Turtle."""
        return formats.serialize(self.triples_of_report(), formats.by_name("ttl"), prefixes(self.base_iri)).decode()

    def sarif(self) -> str:
        """Return the report as SARIF 2.1.0, which editors and code hosts show beside the lines."""
        rules = list(self.constraints.values())
        index = {rule.iri: number for number, rule in enumerate(rules)}
        left_out = [
            f"{self.constraints[iri].name}: {_number(count, 'more result')} not listed."
            for iri, count in self.truncated.items()
        ]
        stopped = [f"The shapes of {topic} stopped early; there are more results." for topic in self.stopped]
        run = {
            "tool": {
                "driver": {
                    "name": "rsm-graph",
                    "semanticVersion": __version__,
                    "rules": [
                        {
                            "id": rule.name,
                            "shortDescription": _sarif_message(rule.label),
                            "fullDescription": _sarif_message(rule.description or rule.label),
                            "help": _sarif_message(rule.remedy or rule.label),
                            "defaultConfiguration": {"level": _SARIF_LEVELS[rule.severity]},
                        }
                        | ({"helpUri": rule.iri} if rule.iri.startswith("http") else {})
                        for rule in rules
                    ],
                },
                "extensions": [{"name": name} for name in self.validators],
            },
            "invocations": [
                {
                    "executionSuccessful": True,
                    "toolExecutionNotifications": [
                        {"level": "warning", "message": _sarif_message(text)} for text in left_out + stopped
                    ],
                }
            ],
            "columnKind": "unicodeCodePoints",
            "results": [self._sarif_result(r, index[r.constraint]) for _, group in self.by_constraint() for r in group],
        }
        log = {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
        return json.dumps(log, ensure_ascii=False, indent=2) + "\n"

    def _sarif_result(self, result: Result, rule: int) -> dict[str, object]:
        subject = result.focus.strip("<>")
        location: dict[str, object] = {"logicalLocations": [{"fullyQualifiedName": subject, "kind": "object"}]}
        path, _, line = result.place.rpartition(":")
        if line.isdigit():
            uri = Path(path).as_posix()
            location["physicalLocation"] = {
                "artifactLocation": {"uri": quote(uri) if not uri.startswith("/") else Path(path).as_uri()},
                "region": {"startLine": int(line)},
            }
        shown = f" ({self.short(result.value)})" if result.value else ""
        return {
            "ruleId": result.name,
            "ruleIndex": rule,
            "level": _SARIF_LEVELS[result.severity],
            "message": _sarif_message(f"{self.short(result.focus)}{shown}: {result.message or result.name}"),
            "locations": [location],
        }


def term(text: str) -> ox.NamedNode | ox.BlankNode | ox.Literal:
    """Return the RDF term that ``text`` is in the syntax of N-Triples."""
    line = f"<urn:s> <urn:p> {text} .".encode()
    parsed: ox.NamedNode | ox.BlankNode | ox.Literal = next(iter(ox.parse(line, format=ox.RdfFormat.N_TRIPLES))).object
    return parsed


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _sarif_message(text: str) -> dict[str, str]:
    """Return a text as a message object, in which braces would enclose placeholders (SARIF 2.1.0, 3.11.5)."""
    return {"text": text.replace("{", "{{").replace("}", "}}")}
