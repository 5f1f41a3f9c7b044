"""Edits of the package's source that change no result: other words, other names of modules."""

import ast
from collections.abc import Iterable
from pathlib import Path

WORDS = {"help", "metavar", "desc"}


class _Words(ast.NodeTransformer):
    """Says everything that people read in other words and leaves out types."""

    def _documented(self, node):
        if ast.get_docstring(node, clean=False) is not None:
            node.body[0] = ast.Expr(ast.Constant("Another docstring."))
        self.generic_visit(node)
        return node

    visit_Module = visit_ClassDef = _documented

    def visit_FunctionDef(self, node):
        node.returns = None
        return self._documented(node)

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_keyword(self, node):
        if node.arg in WORDS and isinstance(node.value, ast.Constant | ast.JoinedStr):
            node.value = ast.Constant("Other words.")
        return self.generic_visit(node)

    def visit_Raise(self, node):
        if isinstance(node.exc, ast.Call):
            node.exc.args = [ast.Constant("Another message.")]
        return node


def reworded(source: str) -> str:
    """A module in other words, without the annotations of its functions, in another layout."""
    tree = _Words().visit(ast.parse(source))
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    places = [place for place, node in enumerate(tree.body) if node in imports]
    for place, node in zip(places, reversed(imports), strict=True):
        tree.body[place] = node
    first = [node for node in tree.body if getattr(node, "module", "") == "__future__"]
    rest = [node for node in tree.body if node not in first]
    documented = ast.get_docstring(tree, clean=False) is not None
    tree.body = [*rest[:documented], *first, *rest[documented:]]
    return ast.unparse(ast.fix_missing_locations(tree))


class _Moved(ast.NodeTransformer):
    """Imports of modules by their new names."""

    def __init__(self, package: Path, folder: Path, new: dict[Path, str]) -> None:
        self.package, self.folder, self.new = package, folder, new

    def visit_ImportFrom(self, node):
        if not node.level:
            return node
        base = self.folder
        for _ in range(node.level - 1):
            base = base.parent
        parts = (node.module or "").split(".") if node.module else []
        inner = base.joinpath(*parts)
        for name in node.names:
            file = inner / f"{name.name}.py"
            if file in self.new:
                name.asname = name.asname or name.name
                name.name = self.new[file]
        if parts and inner.with_suffix(".py") in self.new:
            node.module = ".".join([*parts[:-1], self.new[inner.with_suffix(".py")]])
        return node


def rename_modules(package: Path, leave: Iterable[str] = ()) -> dict[str, str]:
    """Give the modules of a copy of the package other names: old dotted name -> new one.

    Those of the names `leave`, and those in folders of these names, keep theirs.
    """
    files = [
        file
        for file in sorted(package.rglob("*.py"))
        if not file.stem.startswith("__") and not {file.parent.name, file.stem} & {*leave}
    ]
    new = {file: f"{file.stem}_renamed" for file in files}
    for file in sorted(package.rglob("*.py")):
        tree = _Moved(package, file.parent, new).visit(ast.parse(file.read_text()))
        file.write_text(ast.unparse(tree))
    names = {}
    for file, name in new.items():
        old = file.relative_to(package).with_suffix("")
        names[".".join(old.parts)] = ".".join([*old.parts[:-1], name])
        file.rename(file.with_name(f"{name}.py"))
    return names
