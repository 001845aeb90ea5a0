"""Draws the solutions of a query as a table for people at a terminal."""

from __future__ import annotations

import json

from rsm_graph.namespaces import prefixes, shorten


def render(content: bytes, base_iri: str) -> str:
    """Return SPARQL results in JSON as aligned columns: IRIs shortened, literals without datatype.

    An ASK is one line, ``true`` or ``false``.
    """
    answer = json.loads(content)
    if "boolean" in answer:
        return f"{str(answer['boolean']).lower()}\n"
    names, known = answer["head"]["vars"], prefixes(base_iri)
    rows = [[_cell(binding.get(name), known) for name in names] for binding in answer["results"]["bindings"]]
    widths = [max(len(cell) for cell in column) for column in zip(names, *rows, strict=True)]
    lines = [names, ["-" * width for width in widths], *rows]
    drawn = "".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() + "\n" for line in lines)
    return f"{drawn}({len(rows)} {'row' if len(rows) == 1 else 'rows'})\n"


def _cell(term: dict[str, str] | None, known: dict[str, str]) -> str:
    if term is None:
        return ""
    value = shorten(term["value"], known) if term["type"] == "uri" else term["value"]
    return " ".join(value.split())
