"""A hash of the code behind a stage, so that an edit of a module reruns what it can change.

Snakemake sees edits of a rule, not of a module the rule's command imports. Every rule therefore
has the hash of its stage's modules among its params. Comments, docstrings and blank lines do not
count, nor do places and Python versions: an edit that cannot change a result reruns nothing.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent

# Modules that check, describe or store, and compute nothing that ends in a result: what they hand
# on is among the params already (config), or is checked on every read (tables, readers). Without
# this a new config key or table would rerun every stage there is.
NEUTRAL = frozenset(
    {"card", "config", "errors", "tables", "readers", "provenance", "codehash", "__init__"}
)

# Imports that are not followed: problems are screened by the verifier, but a better verifier
# must not make anybody sample again what was paid for.
NOT_FOLLOWED = {("problems", "verifier.judge")}

# Python's own tokenizer says the same in ten times the time, and every call of Snakemake waits.
STRING_OR_COMMENT = re.compile(
    r"""#[^\n]*"""
    r"""|\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}"""
    r"""|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""",
    re.DOTALL,
)


def code_hash(*modules: str) -> str:
    """Hash of `modules` (names within the package) and all they import from the package."""
    digest = hashlib.sha256()
    for module in sorted(closure(*modules)):
        digest.update(f"{module}\n{_significant(module)}\0".encode())
    return digest.hexdigest()[:16]


def closure(*modules: str) -> set[str]:
    """The modules themselves and all that they import from the package, at any depth."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found and module.split(".")[0] not in NEUTRAL:
            found.add(module)
            waiting.extend(n for n in _imports(module) if (module, n) not in NOT_FOLLOWED)
    return found


@functools.cache
def _source(module: str) -> str:
    path = PACKAGE / Path(*module.split("."))
    file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    return file.read_text(encoding="utf-8")


@functools.cache
def _nodes(module: str) -> list[ast.AST]:
    tree = ast.parse(_source(module))
    return [tree, *_statements(tree)]


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements inside, which hold the imports and docstrings; `ast.walk` sees much more."""
    for block in ("body", "handlers", "orelse", "finalbody", "cases"):
        inner = getattr(node, block, ())
        for statement in inner if isinstance(inner, list) else ():
            yield statement
            yield from _statements(statement)


@functools.cache
def _exists(module: str) -> bool:
    path = PACKAGE / Path(*module.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@functools.cache
def _imports(module: str) -> tuple[str, ...]:
    found = []
    is_package = (PACKAGE / Path(*module.split(".")) / "__init__.py").exists()
    for node in _nodes(module):
        if isinstance(node, ast.ImportFrom):
            base = _base(module, is_package, node)
            if base is not None:
                found += [base, *(f"{base}.{name.name}".lstrip(".") for name in node.names)]
        elif isinstance(node, ast.Import):
            prefix = f"{PACKAGE.name}."
            found += [n.name.removeprefix(prefix) for n in node.names if n.name.startswith(prefix)]
    return tuple(sorted({name for name in found if name and _exists(name)}))


def _base(module: str, is_package: bool, node: ast.ImportFrom) -> str | None:
    """The module, relative to the package, that `from ... import` names; None if foreign."""
    if not node.level:
        name = node.module or ""
        return name.removeprefix(PACKAGE.name).lstrip(".") if _is_ours(name) else None
    parts = module.split(".") if is_package else module.split(".")[:-1]
    parts = parts[: len(parts) - (node.level - 1)]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _is_ours(name: str) -> bool:
    return name == PACKAGE.name or name.startswith(f"{PACKAGE.name}.")


@functools.cache
def _significant(module: str) -> str:
    """The source without comments, docstrings, blank lines and trailing blanks."""
    source = _source(module)
    lines = source.splitlines()
    for node in _nodes(module):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _blank_docstring(node, lines)
    for comment in _comments(source):
        row = source.count("\n", 0, comment)
        column = comment - (source.rfind("\n", 0, comment) + 1)
        lines[row] = lines[row][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _comments(source: str) -> list[int]:
    """Where comments start: the `#` outside strings, as Python's tokenizer finds them."""
    return [found.start() for found in STRING_OR_COMMENT.finditer(source) if found[0][0] == "#"]


def _blank_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, lines: list[str]
) -> None:
    if ast.get_docstring(node, clean=False) is None:
        return
    docstring = node.body[0]
    for row in range(docstring.lineno - 1, docstring.end_lineno or docstring.lineno):
        lines[row] = ""
