"""The hash of the code behind a stage: an edit reruns the stages whose results it can change.

Snakemake sees an edit of a rule, but none of a module that the rule's command imports. Every rule
therefore has the hash of its command's code among its params. The hash covers what the code
computes, and nothing else:

- It is taken of definitions, not of files: of `main` and `add_arguments` of the command's module,
  of every function, class and constant of the package that those refer to, and so on. What a
  module holds besides does not count, and neither does where a definition stands: a module can be
  moved, renamed, split or merged.
- It is taken of the parsed tree, without words: comments, docstrings, help texts, what a `raise`
  says, what is printed for people to read; and without type annotations, imports and layout.

A module can say, in `NOT_IN_KEY`, which of its names do not count, and why: `{"*": reason}` stands
for all of its names, and in a package's `__init__` for all of its modules.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

PACKAGE = Path(__file__).parents[1]
ROOTS = ("main", "add_arguments")
NOT_IN_KEY = {"*": "how changes of code are noticed computes no result"}

# Keywords whose text is for people to read, by the function that takes them.
WORDS = {
    "add_argument": {"help", "metavar"},
    "_flag": {"help"},
    "ArgumentParser": {"description", "epilog"},
    "Field": {"description"},
    "Gate": {"words"},
    "Advantages": {"words"},
    "Kind": {"words", "card"},
    "tqdm": {"desc", "unit"},
}
# Fields of the syntax tree that say nothing of what is computed.
LAYOUT = {"ctx", "kind", "type_comment", "type_ignores", "type_params", "annotation", "returns"}

Statement = ast.stmt


class Definition(NamedTuple):
    """A name at the top level of a module of the package; no name stands for the whole module."""

    module: str
    name: str


@dataclass(frozen=True)
class Module:
    """A module's top level, by the names that its statements bind."""

    bound: dict[str, list[Statement]]
    aliases: dict[str, Definition | str]  # imported names: ours, or another package's dotted name
    effects: list[Statement]  # statements that bind nothing, run by every import
    not_in_key: frozenset[str]


def code_hash(module: str) -> str:
    """The hash of the code behind the command that `module` (its name in the package) holds."""
    parts = {_render(*definition)[0] for definition in reached(module)}
    return hashlib.sha256("\0".join(sorted(parts)).encode()).hexdigest()[:16]


def reached(module: str) -> set[Definition]:
    """Every definition of the package that the command in `module` refers to, at any depth."""
    found: set[Definition] = set()
    waiting = [Definition(module, root) for root in ROOTS]
    while waiting:
        definition = _resolved(waiting.pop())
        if definition is None or definition in found or not _counts(definition):
            continue
        found.add(definition)
        waiting.extend(_render(*definition)[1])
        # Importing the module runs these, whatever is taken from it.
        waiting.append(Definition(definition.module, ""))
    return found


def _counts(definition: Definition) -> bool:
    """Whether neither the module nor a package that it lies in takes the name out of the key."""
    if definition.name in _module(definition.module).not_in_key:
        return False
    parts = definition.module.split(".")
    packages = [".".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
    return not any("*" in _module(package).not_in_key for package in packages)


def _resolved(definition: Definition) -> Definition | None:
    """Where a name is really defined: through the imports of the modules on the way.

    None for a name that is not the package's own.
    """
    module = _module(definition.module)
    if definition.name == "" or definition.name in module.bound:
        return definition
    if definition.name in module.not_in_key:
        return None
    target = module.aliases.get(definition.name)
    if isinstance(target, Definition):
        return _resolved(target)
    return None


# --- a module's top level ---------------------------------------------------------------------


def forget() -> None:
    """Read all files again: for tests that edit them."""
    for cached in (_module, _path, _render):
        cached.cache_clear()


@functools.cache
def _path(module: str) -> Path | None:
    path = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file() and (module or file.name == "__init__.py"):
            return file
    return None


@functools.cache
def _module(name: str) -> Module:
    path = _path(name)
    assert path is not None, name
    bound: dict[str, list[Statement]] = {}
    aliases: dict[str, Definition | str] = {}
    effects: list[Statement] = []
    for statement in _computing(ast.parse(path.read_text(encoding="utf-8")).body):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            aliases |= _imported(name, statement)
            continue
        names = _binds(statement)
        for one in names:
            bound.setdefault(one, []).append(statement)
        if not names:
            effects.append(statement)
    stated = bound.pop("NOT_IN_KEY", None)
    left_out = ast.literal_eval(stated[0].value) if stated else {}  # type: ignore[attr-defined]
    return Module(bound, aliases, effects, frozenset(left_out))


def _computing(body: Sequence[Statement]) -> Iterator[Statement]:
    """A block's statements without docstrings, messages and what only type checkers read."""
    for statement in body:
        if isinstance(statement, ast.Expr) and (
            isinstance(statement.value, ast.Constant) or _is_message(statement.value)
        ):
            continue
        if isinstance(statement, ast.If) and _is_for_readers(statement.test):
            continue
        yield statement


def _is_for_readers(test: ast.expr) -> bool:
    """`if TYPE_CHECKING:`, and `if __name__ == "__main__":`, which runs what is reached anyway."""
    if isinstance(test, ast.Compare):
        test = test.left
    return isinstance(test, ast.Name) and test.id in ("TYPE_CHECKING", "__name__")


def _is_message(call: ast.expr) -> bool:
    """Whether an expression only tells people something: printed to the log, or a warning."""
    if not isinstance(call, ast.Call):
        return False
    if _called(call) == "print":
        files = [keyword.value for keyword in call.keywords if keyword.arg == "file"]
        return all(isinstance(file, ast.Attribute) and file.attr == "stderr" for file in files)
    return isinstance(call.func, ast.Attribute) and ast.unparse(call.func) == "warnings.warn"


def _called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _binds(statement: Statement) -> set[str]:
    """The names that a statement at the top level of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    names = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {node.id for node in names if isinstance(node.ctx, ast.Store)}


def _imported(module: str, statement: ast.Import | ast.ImportFrom) -> dict[str, Definition | str]:
    """What an import binds: definitions or modules of the package, or names of other packages."""
    if isinstance(statement, ast.Import):
        return {
            name.asname or name.name.split(".")[0]: _ours(name.name)
            or (name.name if name.asname else name.name.split(".")[0])
            for name in statement.names
        }
    base = _base(module, statement)
    if base is None:
        return {
            name.asname or name.name: f"{statement.module}.{name.name}" for name in statement.names
        }
    found: dict[str, Definition | str] = {}
    for name in statement.names:
        inner = f"{base}.{name.name}".lstrip(".")
        is_module = _path(inner) is not None and name.name not in (_module(base).bound)
        found[name.asname or name.name] = (
            Definition(inner, "") if is_module else Definition(base, name.name)
        )
    return found


def _ours(dotted: str) -> Definition | None:
    prefix, _, module = dotted.partition(".")
    return Definition(module, "") if prefix == PACKAGE.name else None


def _base(module: str, statement: ast.ImportFrom) -> str | None:
    """The module of the package that `from ... import` names; None if it is another package's."""
    if not statement.level:
        ours = _ours(statement.module or "")
        return ours.module if ours else None
    path = _path(module)
    parts = module.split(".") if path and path.name == "__init__.py" else module.split(".")[:-1]
    parts = parts[: len(parts) - (statement.level - 1)]
    return ".".join([*parts, *([statement.module] if statement.module else [])])


# --- a definition, as what it computes --------------------------------------------------------


@functools.cache
def _render(module: str, name: str) -> tuple[str, set[Definition]]:
    """A definition as text without words, and the names of the package that it refers to."""
    top = _module(module)
    renderer = _Renderer(module)
    for statement in top.bound[name] if name else top.effects:
        renderer.add(statement, frozenset())
    return " ".join(renderer.text), renderer.references


class _Renderer:
    """Writes syntax trees as text and notes what they refer to."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.aliases = dict(_module(module).aliases)
        self.left_out = _module(module).not_in_key
        self.text: list[str] = []
        self.references: set[Definition] = set()

    def add(self, node: Any, local: frozenset[str]) -> None:
        """Write a node; `local` holds the names that mean something else in this function."""
        if isinstance(node, ast.Name):
            self._name(node.id, local)
        elif isinstance(node, ast.Constant):
            self.text.append(repr(node.value))
        elif isinstance(node, ast.Attribute):
            self._attribute(node, local)
        elif isinstance(node, ast.Call):
            self._call(node, local)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            self.aliases |= _imported(self.module, node)
        elif isinstance(node, ast.Raise):
            self._raise(node, local)
        elif isinstance(node, ast.AnnAssign):
            self._annotated(node, local)
        elif isinstance(node, ast.Assert):
            self._fields(node, local, leave_out={"msg"})
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            self._fields(node, local | _local_names(node))
        elif isinstance(node, ast.AST):
            self._fields(node, local)
        elif isinstance(node, list):
            if node and isinstance(node[0], ast.stmt):
                node = list(_computing(node))
            self.text.append("[")
            for inner in node:
                self.add(inner, local)
            self.text.append("]")
        elif node is not None:
            self.text.append(str(node))

    def _fields(
        self, node: ast.AST, local: frozenset[str], leave_out: frozenset[str] | set[str] = LAYOUT
    ) -> None:
        self.text.append(f"({type(node).__name__}")
        for field in node._fields:
            if field not in LAYOUT and field not in leave_out:
                value = getattr(node, field, None)
                if value is not None and value != []:
                    self.text.append(f"{field}=")
                    self.add(value, local)
        self.text.append(")")

    def _name(self, name: str, local: frozenset[str]) -> None:
        """A name: our own by what it is called where it is defined, others' by their full name."""
        local |= self.left_out
        target = None if name in local else self.aliases.get(name)
        if isinstance(target, Definition):
            self.references.add(target)
            if not target.name:
                # The module as a value: whatever is in it may be used.
                self.references |= {Definition(target.module, n) for n in _names(target.module)}
            self.text.append(target.name or "a module")
            return
        if target is None and name not in local:
            self.references.add(Definition(self.module, name))
        self.text.append(target or name)

    def _attribute(self, node: ast.Attribute, local: frozenset[str]) -> None:
        owner = node.value
        if isinstance(owner, ast.Name) and owner.id not in local | self.left_out:
            target = self.aliases.get(owner.id)
            if isinstance(target, Definition) and not target.name:
                inner = f"{target.module}.{node.attr}".lstrip(".")
                if node.attr in _names(target.module):
                    self.references.add(Definition(target.module, node.attr))
                    self.text.append(node.attr)
                    return
                if _path(inner):
                    self.references |= {Definition(inner, n) for n in _names(inner)}
                    self.text.append("a module")
                    return
        self._fields(node, local)

    def _call(self, node: ast.Call, local: frozenset[str]) -> None:
        words = WORDS.get(_called(node), set())
        self.text.append("(Call")
        self.add(node.func, local)
        self.add(node.args, local)
        for keyword in sorted(node.keywords, key=lambda keyword: keyword.arg or ""):
            if keyword.arg not in words:
                self.text.append(f"{keyword.arg}=")
                self.add(keyword.value, local)
        self.text.append(")")

    def _raise(self, node: ast.Raise, local: frozenset[str]) -> None:
        """Which error it is counts, what it says does not."""
        self.text.append("raise")
        self.add(node.exc.func if isinstance(node.exc, ast.Call) else node.exc, local)

    def _annotated(self, node: ast.AnnAssign, local: frozenset[str]) -> None:
        """As an assignment; a field of a class without a value by its name alone."""
        if node.value is None:
            self.add(node.target, local)
        else:
            self.add(ast.Assign([node.target], node.value), local)


def _names(module: str) -> set[str]:
    """All that a module offers, without what it takes out of the key."""
    top = _module(module)
    return (top.bound.keys() | top.aliases.keys()) - top.not_in_key


def _local_names(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
    """Names bound within a function, which hide the module's; nested functions' among them."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    names = {argument.arg for argument in every}
    if isinstance(function, ast.Lambda):
        return names
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ExceptHandler) and node is not function:
            names.add(node.name or "")
    return names
