"""The modules as a graph: no two import each other, not even for types. And none is too long to read."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("loadgen", "servers", "plots")
MOST_LINES = 300


def modules() -> dict[str, Path]:
    """Every module's file, by its dotted name. A package has the name of its folder."""
    found: dict[str, Path] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(name: str, path: Path) -> Iterator[str]:
    """The names that a module imports, anywhere in it: a function's and a TYPE_CHECKING block's count too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
                base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
            # `from package import module` and `from module import name` look alike.
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def graph(files: dict[str, Path]) -> dict[str, set[str]]:
    """Which of the modules each one imports."""
    edges: dict[str, set[str]] = {}
    for name, path in files.items():
        names = set(imported(name, path))
        # A package whose module is imported is not itself what was asked for.
        asked = {
            each
            for each in names
            if not any(other.startswith(each + ".") and other in files for other in names)
        }
        edges[name] = {each for each in asked if each in files and each != name}
    return edges


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Modules that lead back to the first of them; empty if there are none."""
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return []
        for each in sorted(edges[name]):
            if found := walk(each, [*way, name]):
                return found
        done.add(name)
        return []

    return next((found for name in edges if (found := walk(name, []))), [])


def test_no_modules_import_each_other() -> None:
    edges = graph(modules())
    assert "loadgen.tcp" in edges["loadgen.drivers.lifecycle"]
    found = circle(edges)
    assert not found, " -> ".join(found)


def test_a_circle_is_found_in_any_kind_of_import(tmp_path: Path) -> None:
    """Also one of three modules that only types and a function's body close."""
    texts = {
        "a": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from room.b import B\n",
        "b": "def b():\n    from . import c\n",
        "c": "import room.a\n",
    }
    files = {"room": tmp_path / "__init__.py"} | {f"room.{name}": tmp_path / f"{name}.py" for name in texts}
    files["room"].write_text("")
    for name, text in texts.items():
        files[f"room.{name}"].write_text(text)
    assert circle(graph(files)) == ["room.a", "room.b", "room.c", "room.a"]
    files["room.c"].write_text("")
    assert circle(graph(files)) == []


@pytest.mark.parametrize("folder", PACKAGES)
def test_no_module_is_too_long(folder: str) -> None:
    lines = {path: len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert {str(path.relative_to(ROOT)): count for path, count in lines.items() if count > MOST_LINES} == {}
