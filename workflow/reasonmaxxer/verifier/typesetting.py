"""What only sets a formula: colours, sizes, tags, frames, aligned rows, other scripts' digits.

String work alone, linear or bounded. What is left says the same in fewer commands.
"""

import re

_COMMAND = r"(?![A-Za-z])"
_SIZES = (
    "tiny|scriptsize|footnotesize|small|normalsize|large|Large|LARGE|huge|Huge|bfseries|itshape"
    "|boldmath|displaystyle|textstyle|scriptstyle|limits|nolimits|allowbreak|strut|mathstrut"
    "|noindent|centering|hfill|par|nonumber|notag"
)
_SIGNS = r"\\(?:blacksquare|square|Box|qed|qedsymbol|checkmark|bigstar|blacktriangle)" + _COMMAND
_SUBSTITUTIONS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern), replacement)
    for pattern, replacement in [
        (r"\\(?:tag|label|vspace|phantom|vphantom|hphantom|hspace)\*?\s*\{[^{}]*\}", " "),
        (r"\\(?:textcolor|colorbox|fcolorbox\s*\{\w+\}|color)\s*(?:\[\w+\])?\s*\{[^{}]*\}", ""),
        (
            r"\\(?:underline|uline|underbar|underbrace|overbrace|ensuremath|framebox|fbox|boxed|smash|mathop|mathbin"
            r"|mathord|mathrel|mathclap|bbox)(?:\s*\[[^\]]*\])?\s*(?=\{)",
            "",
        ),
        (rf"\\(?:{_SIZES}){_COMMAND}|{_SIGNS}", ""),
        (r"\\(?:nicefrac|sfrac|flatfrac)" + _COMMAND, r"\\frac"),
        (r"\\root\s*\{?\s*(\w+)\s*\}?\s*\\of\s*(\{[^{}]*\}|\w)", r"\\sqrt[\1]{\2}"),
        (r"\{([^{}\\]*(?:\\sqrt\{?\w+\}?[^{}\\]*)?)\\over\s+([^{}]*)\}", r"\\frac{\1}{\2}"),
        (r"\{([^{}]*)\\choose" + _COMMAND + r"([^{}]*)\}", r"\\binom{\1}{\2}"),
    ]
]
_SIGN_CHARACTERS = dict.fromkeys(map(ord, "✓✔✅□■∎◼◻▪☐☑"), " ")
_SEPARATORS = {0x66B: ".", 0x66C: ",", 0x66A: "%", 0x2212: "-", 0xFF0D: "-"}
_KNOWN = (
    "frac|dfrac|tfrac|sqrt|pi|text|textbf|mathrm|boxed|cdot|times|left|right|begin|end|infty|cup|cap"
    "|le|leq|ge|geq|ne|neq|pm|alpha|beta|gamma|theta|lambda|mu|omega|circ|sin|cos|tan|ln|log|binom"
    "|overline|mathbb|in|sum|int|angle|lfloor|rfloor|quad|pmod|equiv|displaystyle|degree|approx"
)
_DOUBLED = re.compile(rf"\\\\(?=(?:{_KNOWN}){_COMMAND}|[{{}}();!$%,])")
_ROW = re.compile(r"\\\\(?:\s*\[[^\]]*\])?|\\cr" + _COMMAND + r"|\\newline" + _COMMAND)
_ALIGNED = re.compile(
    r"\\begin\s*\{(?P<kind>aligned|align\*?|alignedat|alignat\*?|gathered|gather\*?|split"
    r"|equation\*?|eqnarray\*?|multline\*?|center|math|displaymath)\}(?:\s*\{\d\})?(?:\s*\[\w\])?"
    r"(?P<body>(?:(?!\\begin).)*?)\\end\s*\{(?P=kind)\}",
    re.DOTALL,
)
_ARRAY = re.compile(
    r"\\begin\s*\{(?P<kind>array|matrix)\}(?:\s*\{[lcr|\s]*\})?(?P<body>(?:(?!\\begin).)*?)"
    r"\\end\s*\{(?P=kind)\}",
    re.DOTALL,
)
_DOUBLE_BRACES = re.compile(r"\{\s*\{([^{}]*)\}\s*\}")
_BRACED_ARRAY = re.compile(
    r"\\left\s*\\[{l](?:brace)?\s*\\begin\s*\{(?:array|aligned|matrix)\}(?:\s*\{[lcr|\s]*\})?"
    r"(?P<body>(?:(?!\\begin).)*?)\\end\s*\{(?:array|aligned|matrix)\}\s*(?:\\right\s*\.)?",
    re.DOTALL,
)
_OTHER_CASES = re.compile(r"\{(?:dcases|rcases|numcases)\*?\}")
_CONTINUES = re.compile(
    r"\s*(?:=|<|>|\\(?:le|ge|leq|geq|ne|neq|approx|equiv|implies|Rightarrow|Longrightarrow|iff"
    r"|Leftrightarrow|therefore)(?![A-Za-z]))"
)
_RELATION = re.compile(r"=|<|>|\\(?:le|ge|leq|geq|ne|neq)(?![A-Za-z])")
_FOLLOWS = re.compile(
    r"\\(?:implies|Rightarrow|Longrightarrow|iff|Leftrightarrow|therefore)(?![A-Za-z])|[⇒⟹∴⇔]"
)


def ascii_digits(text: str) -> str:
    """The text with the decimal digits of every script as 0 to 9."""
    return "".join(
        str(int(char)) if char.isdecimal() and not char.isascii() else char
        for char in text.translate(_SEPARATORS | _SIGN_CHARACTERS)
    )


def undecorated(text: str) -> str:
    """The text without commands that only set it, its aligned rows as a list."""
    if not text.isascii():
        text = ascii_digits(text)
    if "\\" not in text:
        return _behind_arrow(text)
    if r"\begin" not in text:
        text = _DOUBLED.sub(r"\\", text)
    written = text
    for pattern, replacement in _SUBSTITUTIONS:
        text = pattern.sub(replacement, text)
    if text != written:
        text = _without_outer_braces(_DOUBLE_BRACES.sub(r"{\1}", text).strip())
    text = _OTHER_CASES.sub("{cases}", text)
    if r"\begin" in text:
        text = _BRACED_ARRAY.sub(r"\\begin{cases}\g<body>\\end{cases}", text)
        text = _ALIGNED.sub(lambda match: in_rows(match["body"]), text)
        text = _ARRAY.sub(_array, text)
    elif _ROW.search(text):
        text = in_rows(text)
    return _behind_arrow(text)


def _behind_arrow(text: str) -> str:
    """What follows the last "therefore" sign."""
    arrows = list(_FOLLOWS.finditer(text))
    tail = text[arrows[-1].end() :].strip(" $.,\\") if arrows else ""
    return tail or text


def _without_outer_braces(text: str) -> str:
    """The content of the braces that a command of decoration has left around the whole text."""
    while text.startswith("{") and text.endswith("}"):
        depth = 0
        for index, char in enumerate(text):
            depth += (char == "{") - (char == "}")
            if not depth and index < len(text) - 1:
                return text
        if depth:
            return text
        text = text[1:-1].strip()
    return text


def _array(match: re.Match[str]) -> str:
    """An array of relations is a list of rows; any other is a matrix."""
    before = match.string[: match.start()].rstrip()
    bracketed = before.endswith(("(", "[", "|", r"\{", r"\lbrace"))
    if not bracketed and not re.search(r"\\\\|&", match["body"]):
        return match["body"].strip()
    relations = all(_RELATION.search(row) for row in _ROW.split(match["body"]) if row.strip())
    return in_rows(match["body"]) if relations and not bracketed else match[0]


def in_rows(body: str) -> str:
    """Rows one behind the other: continued where they go on with a relation, else a list."""
    text = ""
    for row in _ROW.split(body):
        row = row.replace("&", " ").strip()
        if not row:
            continue
        if not text or _CONTINUES.match(row):
            text = f"{text} {row}"
        else:
            text = f"{text.rstrip(' ,;.')}, {row}"
    return text.strip()
