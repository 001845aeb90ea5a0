"""Where the project's own files are: beside the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rsm_graph.errors import InputError
from rsm_graph.namespaces import DEFAULT_BASE

PACKAGE = Path(__file__).parent
QUERIES = PACKAGE / "queries"
RULES = PACKAGE / "rules"


def root() -> Path:
    """Return the folder that holds ``ontology/`` and ``data/``.

    Raises :class:`InputError` when neither a checkout nor an installed wheel surrounds this package.
    """
    for candidate in (PACKAGE / "project", PACKAGE.parent):
        if (candidate / "ontology" / "rsm.ttl").is_file() and (candidate / "data").is_dir():
            return candidate
    raise InputError("The folders ontology/ and data/ are missing.", "Reinstall rsm-graph, or run it from a checkout.")


@dataclass(frozen=True)
class Text:
    """One of the project's text files with a title: an example query or a rule.

    The file begins with comment lines ``# title: …`` and ``# description: …``; what follows is SPARQL.
    """

    name: str
    fields: dict[str, str]
    text: str

    @property
    def title(self) -> str:
        return self.fields["title"]

    @property
    def description(self) -> str:
        return self.fields.get("description", "")


def texts(folder: Path, base_iri: str) -> dict[str, Text]:
    """Return the ``.rq`` files of a folder by name, in order, re-based from :data:`DEFAULT_BASE`."""
    found = {}
    for path in sorted(folder.glob("*.rq")):
        content = path.read_text(encoding="utf-8").replace(DEFAULT_BASE, base_iri)
        lines = content.splitlines(keepends=True)
        fields: dict[str, str] = {}
        while lines and lines[0].startswith("# ") and ": " in lines[0]:
            key, _, value = lines.pop(0)[2:].strip().partition(": ")
            fields[key] = value
        found[path.stem] = Text(path.stem, fields, "".join(lines).lstrip("\n"))
    return found
