"""The package as a graph of imports, read without running it."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import trace_retriever

PACKAGE = Path(trace_retriever.__file__).parent
ROOT = PACKAGE.parents[2]
NAME = PACKAGE.name


@cache
def modules() -> dict[str, Path]:
    """Every module by its dotted name below the package, such as `io.files`; a package is its `__init__`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """The package's modules that one names: in imports anywhere, and in strings (workers start by name)."""
    path, found = modules()[module], set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        named: list[str] = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            base = node.module or ""
            named = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = [node.value]
        for name in named:
            inner = name.removeprefix(f"{NAME}.")
            if inner != name and inner in modules():
                found.add(inner)
    return frozenset(found)


def closure(starts: Iterable[str]) -> set[str]:
    """The modules reached by imports from some modules, these included."""
    seen, waiting = set[str](), list(starts)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += imports(name)
    return seen
