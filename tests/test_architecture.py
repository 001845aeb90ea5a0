"""Imports point down the layers, never up, never in a circle; a new module must be given its place here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "rsm_graph"

LAYERS = {
    6: {"__main__", "cli"},
    5: {"web"},
    4: {"release"},
    3: {
        "catalog",
        "describe",
        "engine",
        "links",
        "reconcile",
        "reference",
        "reports",
        "search",
        "shape_graph",
        "shapes",
        "locate",
        "validation",
        "wellformed",
    },
    2: {"dataset", "derive"},
    1: {"formats", "jsonld", "namespaces", "negotiation", "project", "rdfxml", "settings", "sssom", "table"},
    0: {"__init__", "errors"},
}
LAYER = {module: number for number, modules in LAYERS.items() for module in modules}
MODULES = sorted(PACKAGE.rglob("*.py"))


def top(path: Path) -> str:
    """The module or subpackage of a file that the layers name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imports(path: Path) -> set[str]:
    """The modules of this package that a file imports at run time, by their top-level names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "rsm_graph":
            names = {alias.name for alias in node.names}
            found |= {name if name in LAYER else "__init__" for name in names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rsm_graph."):
            found.add((node.module or "").split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("rsm_graph.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_has_its_layer_and_imports_none_above_it(path: Path) -> None:
    module = top(path)
    assert module in LAYER, f"{module} has no layer; the table in this test draws the house"
    above = {name for name in imports(path) if LAYER[name] > LAYER[module]}
    assert not above, f"{module} (layer {LAYER[module]}) imports {above} from above"


def test_no_module_imports_itself_through_others() -> None:
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        graph.setdefault(top(path), set()).update(imports(path) - {top(path)})
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"circle: {' > '.join((*trail, module))}"
        if module not in done:
            for other in sorted(graph.get(module, set())):
                visit(other, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


@pytest.mark.parametrize("word", ["utils", "helpers", "core", "services"])
def test_no_module_is_a_drawer(word: str) -> None:
    assert not [path for path in PACKAGE.rglob("*") if path.stem == word]


def test_only_sockets_are_async() -> None:
    """``async`` stands only where there are sockets: the web, and the engine's supervisor behind it."""
    for path in MODULES:
        if top(path) not in ("web", "engine"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            assert not [n for n in ast.walk(tree) if isinstance(n, ast.AsyncFunctionDef)], path


def test_nothing_catches_every_exception() -> None:
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else "everything"
                assert caught not in ("Exception", "BaseException", "everything"), f"{path}:{node.lineno}"
