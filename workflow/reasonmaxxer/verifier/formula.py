"""A small reader of formulas: a normalised formula becomes a tree of tuples, never `eval`.

fields.py evaluates the tree. What the reader does not know, it refuses with FormulaError, and the
caller turns to a computer-algebra system.
"""

import re
from functools import lru_cache
from typing import Any

Tree = tuple[Any, ...]
MAX_DEPTH = 40
MAX_TOKENS = 240  # a sum of n terms is a tree n deep


class FormulaError(ValueError):
    """The text is not a formula of the kinds read here, or has no value at this point."""


_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3}(?!\d))?(?![eE][+-]?\d))"
    r"|(?P<command>\\[A-Za-z]+)"
    r"|(?P<word>(?:arc)?(?:sinh|cosh|tanh|coth|sech|csch|sin|cos|tan|sec|csc|cot|log|ln|exp)(?![a-z])"
    r"|(?:abs|Abs|floor|ceil|ceiling|factorial)(?=\s*\())"
    r"|(?P<letter>[A-Za-z])|(?P<symbol>\\[{}]|[-+*/^_(){}\[\]|!'°%]))"
)
_FUNCTIONS = {
    "sin", "cos", "tan", "sec", "csc", "cot", "sinh", "cosh", "tanh", "arcsin", "arccos",
    "arctan", "ln", "log", "exp", "arccot", "coth", "sech", "csch", "arcsinh", "arccosh",
    "arctanh", "cis",
}  # fmt: skip
_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "kappa",
    "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "phi", "varphi", "chi", "psi", "omega",
    "Delta", "Omega", "Gamma", "Phi", "Psi", "Theta", "Lambda", "Sigma", "ell", "hbar", "vartheta",
    "varkappa",
}  # fmt: skip
_ACCENTS = {"dot", "ddot", "hat", "bar", "vec", "tilde", "overline", "widehat", "overrightarrow"}
_CALLED = {"Abs": "abs", "ceiling": "ceil", "factorial": "!"}  # names of programs
_CONSTANTS = {"pi", "e", "i"}
_NOT_PRODUCTS = frozenset("fghFGPQ")  # f(x) is a function's value, not f times x
_CLOSERS = {"(": ")", "[": "]", "{": "}", r"\{": r"\}", "|": "|"}
_CLOSERS |= {r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}


@lru_cache(maxsize=4096)
def parse(text: str) -> Tree:
    """Read a normalised formula.

    Raises FormulaError where the text is too long, too deep, or no formula.
    """
    tokens: list[tuple[str, str]] = []
    position = 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise FormulaError(f"unexpected {text[position]!r}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
        if len(tokens) > MAX_TOKENS:
            raise FormulaError("too long")
    reader = _Reader(tokens)
    tree = reader.sum(0)
    if reader.position != len(tokens):
        raise FormulaError("trailing text")
    return tree


class _Reader:
    """Recursive descent over the tokens: sum > product > signed > power > atom."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens = tokens
        self.position = 0
        self.bars = 0  # open absolute values: there, | closes rather than opens

    def peek(self, offset: int = 0) -> str:
        index = self.position + offset
        return self.tokens[index][1] if index < len(self.tokens) else ""

    def kind(self) -> str:
        return self.tokens[self.position][0] if self.position < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or (expected is not None and token != expected):
            raise FormulaError(f"expected {expected or 'more'}")
        self.position += 1
        return token

    def sum(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise FormulaError("too deep")
        tree = self.product(depth)
        while self.peek() in ("+", "-"):
            operator = self.take()
            tree = (operator, tree, self.product(depth))
        return tree

    def product(self, depth: int) -> Tree:
        tree = self.signed(depth)
        while True:
            token = self.peek()
            if token in ("*", "/"):
                self.take()
                tree = (token, tree, self.signed(depth))
            elif self.starts_atom():
                if self.kind() == "number" and self.tokens[self.position - 1][0] == "number":
                    raise FormulaError("two numbers side by side")
                mixed = token == r"\frac" and tree[0] == "number"
                follower = self.power(depth)
                if mixed and all(part[0] == "number" for part in follower[1:]):
                    tree = ("+", tree, follower)
                elif mixed and follower[0] == "^":
                    raise FormulaError("mixed number or product")
                else:
                    tree = ("*", tree, follower)
            else:
                return tree

    def starts_atom(self) -> bool:
        token = self.peek()
        if self.kind() in ("number", "letter", "word"):
            return True
        if self.kind() == "command":
            return not token.startswith((r"\r", r"\pm", r"\mp")) or token == r"\rho"
        return token in ("(", "[", "{", r"\{") or (token == "|" and not self.bars)

    def signed(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise FormulaError("too deep")
        if self.peek() in ("+", "-"):
            sign = self.take()
            operand = self.signed(depth + 1)
            return operand if sign == "+" else ("neg", operand)
        return self.power(depth)

    def power(self, depth: int) -> Tree:
        base = self.postfix(depth)
        if self.peek() == "^":
            self.take()
            if self.peek() == "{":
                exponent = self.group(depth)
            elif self.peek() in ("+", "-"):
                exponent = self.signed(depth + 1)
            else:
                exponent = self.postfix(depth + 1)
            if self.peek() == "^":
                raise FormulaError("double exponent")
            base = ("^", base, exponent)
            while self.peek() == "!":
                self.take()
                base = ("!", base)
        return base

    def postfix(self, depth: int) -> Tree:
        tree = self.atom(depth)
        while self.peek() in ("!", "%", "°"):
            mark = self.take()
            tree = (mark, tree)
        return tree

    def group(self, depth: int) -> Tree:
        """The content of one bracket pair (a square or curly one counts as a parenthesis)."""
        opener = self.take()
        if opener not in _CLOSERS:
            raise FormulaError("expected a group")
        bars = self.bars
        self.bars = 1 if opener == "|" else 0
        tree = self.sum(depth + 1)
        self.take(_CLOSERS[opener])
        self.bars = bars
        if opener == "|":
            return ("abs", tree)
        if opener in (r"\lfloor", r"\lceil"):
            return ("floor" if opener == r"\lfloor" else "ceil", tree)
        return tree

    def argument(self, depth: int) -> Tree:
        """One argument of a command: {...} or a single token (as TeX has it)."""
        if self.peek() == "{":
            return self.group(depth)
        if self.kind() in ("number", "letter") or self.peek() == r"\pi":
            return self.atom(depth + 1)
        raise FormulaError("missing argument")

    def atom(self, depth: int) -> Tree:
        if depth > MAX_DEPTH:
            raise FormulaError("too deep")
        kind, token = self.kind(), self.peek()
        if kind == "number":
            return ("number", self.take().replace(",", ""))
        if kind == "letter":
            return self.variable(self.take())
        if kind == "word":
            return self.function(self.take(), depth)
        if kind == "command":
            return self.command(depth)
        if token in ("(", "[", "{", r"\{", "|"):
            return self.group(depth)
        raise FormulaError(f"unexpected {token!r}")

    def variable(self, name: str) -> Tree:
        if self.peek() == "_":
            self.take()
            if self.peek() == "{":
                name += "_" + self.braced()
            elif self.kind() in ("letter", "number"):
                name += "_" + self.take()
            else:
                raise FormulaError("subscript")
        while self.peek() == "'":
            name += self.take()
        if name in _CONSTANTS:
            return ("constant", name)
        if self.peek() == "(" and (name in _NOT_PRODUCTS or self.peek(1)[:1].isdigit()):
            if self.peek(2) != ")":
                raise FormulaError("function value")
            name += self.take() + self.take() + self.take()  # f(x), I(0): not taken apart
        return ("variable", name)

    def braced(self) -> str:
        """The tokens of a braced group as a name."""
        self.take("{")
        parts: list[str] = []
        depth = 1
        while True:
            token = self.take()
            depth += (token == "{") - (token == "}")
            if not depth:
                return "".join(parts)
            parts.append(token)

    def command(self, depth: int) -> Tree:
        name = self.peek()[1:]
        if name in ("lfloor", "lceil"):
            return self.group(depth)
        self.take()
        if name == "frac":
            return ("/", self.argument(depth), self.argument(depth))
        if name == "binom":
            return ("binom", self.argument(depth), self.argument(depth))
        if name == "sqrt":
            if self.peek() == "[":
                return ("root", self.group(depth), self.argument(depth))
            content = self.group(depth) if self.peek() in ("(", "{") else self.argument(depth)
            return ("sqrt", content)
        if name in _FUNCTIONS:
            return self.function(name, depth)
        if name == "infty":
            return ("constant", "oo")
        if name in ("imath", "pi"):
            return ("constant", "i" if name == "imath" else name)
        if name in _ACCENTS:
            return self.variable(f"\\{name}{self.braced()}")
        if name == "Gamma" and self.peek() == "(":
            return ("Gamma", self.group(depth))
        if name in _GREEK:
            return self.variable("\\" + name)
        if name == "text":
            content = self.group(depth)
            if content in (("constant", "e"), ("constant", "i")) or content[0] == "variable":
                return content
        raise FormulaError(f"\\{name}")

    def function(self, name: str, depth: int) -> Tree:
        exponent: Tree | None = None
        base: Tree | None = None
        while self.peek() in ("^", "_"):
            mark = self.take()
            part = self.group(depth) if self.peek() == "{" else self.atom(depth + 1)
            if mark == "^":
                exponent = part
            else:
                base = part
        if exponent == ("neg", ("number", "1")):
            name, exponent = "arc" + name, None
        content = self.group(depth) if self.peek() in ("(", "{", "[") else self.bare(depth)
        tree: Tree = (_CALLED.get(name, name), content)
        if name == "cis":
            tree = ("+", ("cos", content), ("*", ("constant", "i"), ("sin", content)))
        elif name == "log":
            tree = ("/", ("ln", content), ("ln", base or ("number", "10")))
        elif base is not None:
            raise FormulaError("subscript of a function")
        if self.peek() == "^" and exponent is None:  # \sin(x)^2
            self.take()
            exponent = self.group(depth) if self.peek() == "{" else self.atom(depth + 1)
        return tree if exponent is None else ("^", tree, exponent)

    def bare(self, depth: int) -> Tree:
        """An argument without parentheses: \\sin 2x, up to the next sum or function."""
        tree = self.power(depth + 1)
        while self.starts_atom() and self.kind() != "word" and self.peek()[1:] not in _FUNCTIONS:
            if self.peek() in ("(", "[", r"\{"):
                break
            tree = ("*", tree, self.power(depth + 1))
        if self.peek() == "/" and self.kind() == "symbol":  # \sin \pi/4
            self.take()
            tree = ("/", tree, self.power(depth + 1))
        return tree


def variables(tree: Tree) -> set[str]:
    """Names of the variables of a tree."""
    if tree[0] == "variable":
        return {tree[1]}
    return {name for part in tree[1:] if isinstance(part, tuple) for name in variables(part)}


def lowered(tree: Tree) -> Tree:
    """The tree with its Latin variables in lower case."""
    if tree[0] == "variable":
        return ("variable", tree[1] if tree[1][0] == "\\" else tree[1].lower())
    return tuple(lowered(part) if isinstance(part, tuple) else part for part in tree)


def is_complex(tree: Tree) -> bool:
    """Whether the imaginary unit stands in a tree."""
    return tree == ("constant", "i") or any(is_complex(p) for p in tree if isinstance(p, tuple))


def operations(tree: Tree) -> set[str]:
    """Names of the operations in a tree."""
    parts = [operations(part) for part in tree[1:] if isinstance(part, tuple)]
    return {tree[0]}.union(*parts)


def one_case(trees: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
    """Both trees in lower case where their variables differ by case alone: n and N."""
    left, right = map(variables, trees)
    lower = lowered(trees[0]), lowered(trees[1])
    names = [variables(tree) for tree in lower]
    if left != right and names[0] == names[1] and len(left) == len(right) == len(names[0]):
        return lower
    return trees
