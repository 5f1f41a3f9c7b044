"""One spelling for each formula: LaTeX, Unicode and plain text brought to a common form.

Everything here is string work: linear or bounded, no evaluation. `normalise` gives the form the
other modules read, `canonical` a key under which equal spellings collide.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from .notation import currency_behind, with_usual_notation
from .typesetting import undecorated

_SMALL_FRACTION = re.compile(r"([⁰¹²³⁴-⁹]+)[⁄/]([₀-₉]+)")
_SMALL = re.compile(r"(?P<above>[⁰¹²³⁴-⁹⁺⁻ⁿ]+)|[₀-₉₊₋]+")
_UNICODE = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "×": r"\times ", "⋅": r"\cdot ", "·": r"\cdot ",
    "∙": r"\cdot ", "÷": r"\div ", "∕": "/", "⁄": "/", "√": r"\sqrt ", "π": r"\pi ",
    "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "⩽": r"\le ", "⩾": r"\ge ", "≠": r"\ne ",
    "≈": r"\approx ", "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ",
    "∅": r"\emptyset ", "°": r"^\circ ", "º": r"^\circ ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}",
    "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "…": r"\dots ", "′": "'",
    "’": "'", "‘": "'", "“": '"', "”": '"', "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}",
    "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}", "⅕": r"\frac{1}{5}",
    "⅛": r"\frac{1}{8}", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ",
    "⟨": r"\langle ", "⟩": r"\rangle ", "∠": r"\angle ", "α": r"\alpha ", "β": r"\beta ",
    "γ": r"\gamma ", "δ": r"\delta ", "θ": r"\theta ", "λ": r"\lambda ", "μ": r"\mu ",
    "σ": r"\sigma ", "φ": r"\phi ", "ω": r"\omega ", "\u00a0": " ", "\u2009": r"\,",
    "\u202f": r"\,", "\u200b": "", "،": ",", "、": ",", "，": ",", "；": ";", "：": ":",
    "€": r"\$", "£": r"\$", "¥": r"\$", "₹": r"\$", "∣": "|", "∨": r"\lor ", "∧": r"\land ",
    "∖": r"\setminus ", "≡": r"\equiv ", "∀": r"\forall ", "Ω": r"\Omega ", "µ": r"\mu ",
    "℃": r"^\circ C", "℉": r"^\circ F", "Å": r"\AA ", "\u212b": r"\AA ", "∶": ":",
}  # fmt: skip
_UNICODE |= dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_UNICODE |= dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True))
_UNICODE |= {chr(0xFF01 + i): chr(0x21 + i) for i in range(94) if chr(0xFF01 + i) not in _UNICODE}
_TABLE = str.maketrans(_UNICODE)

FUNCTIONS = (
    "sin|cos|tan|cot|sec|csc|sinh|cosh|tanh|arcsin|arccos|arctan|ln|log|exp|tg|ctg|cotg|arctg"
    "|arcctg|lg|cosec|cis|gcd|lcm"
)
# What commands of one meaning become: each is followed by a blank where a letter might come.
_COMMANDS = {
    name: sign
    for sign, names in {
        r"\frac": "dfrac tfrac cfrac", r"\binom": "dbinom tbinom", "<": "lt", ">": "gt",
        r"\le ": "leq leqslant leqq", r"\ge ": "geq geqslant geqq", r"\ne ": "neq",
        r"\approx ": "approxeq simeq thickapprox", "*": "times cdot ast bullet", "/": "div",
        "|": "lvert rvert vert mid", r"\{": "lbrace", r"\}": "rbrace", "(": "langle lgroup lparen",
        ")": "rangle rgroup rparen", "[": "lbrack", "]": "rbrack", ":": "colon", "°": "degree",
        "...": "dots ldots cdots ddots dotsc dotsb dotsm dotsi dotso", r"\infty ": "infin infty",
        r"\emptyset ": "varnothing O empty", r"\setminus ": "smallsetminus backslash",
        " or ": "lor vee", " and ": "land wedge", "": "pounds euro", r"\mathbb{R}": "R",
        r"\mathbb{Z}": "Z", r"\mathbb{N}": "N", r"\mathbb{Q}": "Q",
    }.items()
    for name in names.split()
}  # fmt: skip
_UNIT_VECTOR = (
    r"\\(?:vec|hat|widehat|mathbf|bm|boldsymbol)\s*(?:\{\s*\\?([ijk])(?:math)?\s*\}"
    r"|\s*\\?(?<=[\s\\])([ijk])(?:math)?(?![A-Za-z]))",
    r"\1\2",
)
_RULES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (r"\\?\x0crac", r"\\frac"),
    (r"^\*\*(.+)\*\*$", r"\1"),
    (r"(?<![A-Za-z])Rational\((-?\d+), ?(\d+)\)", r"\\frac{\1}{\2}"),
    (r"(?<=[\d)]\*)I(?![A-Za-z_(])|(?<=exp\()I(?=\*)", "i"),
    (r",\s*\\!\s*|\{,\}\s*(?:\\!\s*)?|\\,\s*\\!\s*(?=\d)", ","),
    (r"(?<!\\)\\[()\[\]\"]|\"", " "),
    (r"(?<=\d)(?:\\[,;:> ]|~)(?=\d{3}(?!\d))", ""),
    (r"(?<!\\)\\[,;:> ]|~|\\q?quad(?![a-zA-Z])|\\hspace\{[^{}]*\}|\\noindent|\s+", " "),
    (r"\\(?:m?left|m?right|[bB]igg?[lrm]?)(?![a-zA-Z])\s*\.?", ""),
    (r"\\([A-Za-z]+)", lambda match: _COMMANDS.get(match[1], match[0])),
    *[_UNIT_VECTOR] * 2,
    (r"\^\s*\{?\s*\\prime(?![a-z])\s*\}?|\\prime(?![a-z])", "'"),
    (
        r"\\(dot|ddot|hat|bar|vec|tilde)(?![A-Za-z])\s*(\\[A-Za-z]+|[A-Za-z](?![A-Za-z]))",
        r"\\\1{\2}",
    ),
    (r"\\(?:text(?:normal|bf|it|rm|sf|tt|up|sc)|mbox|hbox|emph)\s*(?=\{)", r"\\text"),
    (r"\\(?:math(?:rm|bf|it|sf|tt|cal|frak|normal)|boldsymbol|bm|pmb)\s*(?=\{)", r"\\text"),
    (
        r"^(\\text\s*\{)?\s*"
        r"(?i:(?:the )?(?:(?:final|correct) )?answer(?: is|:)|it is) (?!not\b)",
        r"\1",
    ),
    (r"\\text\s*\{\s*([CPA])\s*\}(?=\s*[(_^])", r" \1"),
    (r"\\text\s*\{([^{}\\]{0,99}\\(?:[^{}]|\{[^{}]*\}){0,300})\}", r" \1"),
    (r"_\s*\{\s*\\(max|min)\s*\}", r"_{\1}"),
    (r"\{\s*\\(?:rm|bf|it)\s+([^{}]*)\}", r"\\text{\1}"),
    (r"\\(?:rm|bf|it)(?![a-zA-Z])", ""),
    (r"\\operatorname\*?\s*\{([A-Z])\}", r"\1"),
    (r"\\operatorname\*?\s*\{([A-Za-z]+)\}", r"\\\1 "),
    (rf"\\text\s*\{{\s*({FUNCTIONS})\s*\}}", r"\\\1 "),
    (r"\{:\}", ":"),
    (r"\\(?:mathbb|Bbb)\s+([RZNQC])(?![a-zA-Z])", r"\\mathbb{\1}"),
    (r"(?<![A-Za-z])(?:np|math|numpy|sympy)\.(?=[a-z])", ""),
    (r"(?<![<=])=?<=(?!>)", r"\\le "),
    (r">=", r"\\ge "),
    (r"!=|\\not\s*=", r"\\ne "),
    (r"\*\*", "^"),
    (r"\\\{\s*\\\}", r"\\emptyset "),
    (r"(?<![A-Za-z\\])(?:[Ii]nfinity|[Ii]nf|oo)(?![A-Za-z])", r"\\infty "),
    (
        r"\s*\\?%|\s*(?:\\text\s*\{\s*)?(?<![A-Za-z])(?:[Pp]ercent(?:age)?s?|pct)(?![A-Za-z])(?:\s*\})?",
        "%",
    ),
    (r"\^\s*(?:\{\s*(?:\\circ|°)\s*\}|\\circ(?![a-zA-Z])|°)", "°"),
    (r"\s*\\text\s*\{\s*degrees?\s*\}|\s*(?<![A-Za-z])degrees?(?![A-Za-z])", "°"),
    (r"\\text\s*\{\s*°", r"°\\text{"),
    (r"\\text\s*\{\s*,?\s*(and|or)\s*\}", r" \1 "),
    (r"\\text\s*\{([^A-Za-z{}\\]*)\}", r"\1"),
    (r"(?<=\d)\s*\\text\s*\{\s*x\s*\}\s*(?=10)", "*"),
    (
        r"\(?\s*(?:\\text\s*\{\s*)?(?:\\[bp]?mod|(?<![A-Za-z\\])mod(?:ulo)?)(?![A-Za-z])\s*\}?"
        r"\s*\{?\s*(\w+)\s*\}?\s*\)?",
        r"(mod \1)",
    ),
    (r"\\\$|\$", ""),
    (r"\\(frac|binom)\s*([0-9a-zA-Z])\s*([0-9a-zA-Z])", r"\\\1{\2}{\3}"),
    (r"\\frac\s*\{([^{}]*)\}\s*([0-9a-zA-Z])", r"\\frac{\1}{\2}"),
    (r"\\frac\s*([0-9a-zA-Z])\s*\{", r"\\frac{\1}{"),
    (r"\\sqrt\s*([0-9a-zA-Z])", r"\\sqrt{\1}"),
    (r"(?<![\\A-Za-z_^}\]])\{([A-Za-z]|\\[A-Za-z]+)\s*\}(?=\s*[_^])", r"\1"),
    (r"(?<=\d)\s*\^?\s*\{?\s*\\text\s*\{\s*(?:st|nd|rd|th)\s*\}\s*\}?", ""),
    (r"(?<=\d)(?:st|nd|rd|th)(?![A-Za-z])", ""),
    (r"(?<![A-Za-z\\])(sqrt|pi)(?![A-Za-z])", r"\\\1 "),
]
_SUBSTITUTIONS = [(re.compile(pattern), replacement) for pattern, replacement in _RULES]
_WHOLE_TEXT = re.compile(r"\\text\s*\{([^{}]*(?:\d| and |,)[^{}]*)\}")


@lru_cache(maxsize=8192)
def normalise(text: str) -> str:
    """Return `text` with one spelling per symbol; the mathematical content is unchanged."""
    text = text.strip()
    if text.isascii() and (text.isdigit() or len(text) == 1):
        return text
    text = undecorated(currency_behind(text))
    if not text.isascii():
        text = _SMALL_FRACTION.sub(r"\\frac{\1}{\2}", text)
        text = _SMALL.sub(_in_braces, text).translate(_TABLE)
    for pattern, replacement in _SUBSTITUTIONS:
        text = pattern.sub(replacement, text)
    if whole := _WHOLE_TEXT.fullmatch(text.strip()):  # \text{120 dollars}
        text = whole[1]
    return trim(with_usual_notation(text))


def _in_braces(match: re.Match[str]) -> str:
    """Small digits of Unicode as an exponent or an index; those of a fraction stay."""
    if match.string[match.start() - 1 : match.start()] == "{":
        return match[0]
    return ("^{" if match["above"] else "_{") + match[0] + "}"


def trim(text: str) -> str:
    """Drop blanks and sentence punctuation around a formula."""
    text = text.strip()
    while text and text[-1] in ".,;:\\ " and not text.endswith("..."):
        text = text[:-1]
    while text and text[0] in ",;: ":
        text = text[1:]
    return text


_TEXT = re.compile(r"\\text\s*\{([^{}]*)\}")
_SINGLE_BRACES = re.compile(r"(?<=[\^_])\{([A-Za-z0-9])\}")


@lru_cache(maxsize=8192)
def canonical(text: str) -> str:
    """Key of a normalised formula: no blanks, no text wrappers, no braces around one token."""
    text = _TEXT.sub(r"\1", text)
    text = "".join(text.split())
    text = text if text.endswith("...") else text.rstrip(".")
    text = _SINGLE_BRACES.sub(r"\1", text)
    return re.sub(r"\\(?:begin|end)\{[pb]?matrix\}", r"\\matrix", text)


_OPEN, _CLOSE = "([{", ")]}"


def split_top(text: str, separator: re.Pattern[str]) -> list[str]:
    """Split at matches of `separator` outside all brackets. Unbalanced text is not split."""
    parts: list[str] = []
    depth = start = position = 0
    cuts = {m.start(): m.end() for m in separator.finditer(text)}
    if not cuts:
        return [text]
    while position < len(text):
        if depth == 0 and position in cuts:
            parts.append(text[start:position])
            start = position = cuts[position]
            continue
        char = text[position]
        if char == "\\" and position + 1 < len(text) and text[position + 1] not in "{}":
            depth += text.startswith(r"\begin", position) - text.startswith(r"\end{", position)
            position += 2
            continue
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
            if depth < 0:
                return [text]
        position += 1
    if depth:
        return [text]
    parts.append(text[start:])
    return parts


def enclosed(text: str) -> tuple[str, str, str] | None:
    """Opening bracket, content, closing bracket, where one pair encloses the whole text."""
    head = 2 if text.startswith(r"\{") else 1
    if len(text) < 2 or text[head - 1] not in _OPEN or text[-1] not in _CLOSE:
        return None
    tail = len(text) - (2 if text.endswith(r"\}") else 1)
    depth = 0
    for index in range(head - 1, len(text)):
        char = text[index]
        depth += (char in _OPEN) - (char in _CLOSE)
        if depth == 0:
            return (text[:head], text[head:tail], text[tail:]) if index == len(text) - 1 else None
    return None
