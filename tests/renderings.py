"""Ordinary ways of writing a reference answer, and near misses of it, made by rule."""

import re
from fractions import Fraction

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
FRACTION = re.compile(r"(?P<sign>-?)\\[dt]?frac\{(?P<top>\d+)\}\{(?P<bottom>\d+)\}")


def value_of(reference: str) -> Fraction | None:
    """The number that a plain number or fraction is; None for any other reference."""
    plain = reference.replace(",\\!", "").strip().strip("$")
    if NUMBER.fullmatch(plain):
        return Fraction(plain)
    if (match := FRACTION.fullmatch(plain)) and int(match["bottom"]):
        value = Fraction(int(match["top"]), int(match["bottom"]))
        return -value if match["sign"] else value
    return None


def in_decimals(value: Fraction) -> str | None:
    """An exact decimal of at most twelve digits, or None."""
    scaled = value * 10**6
    if scaled.denominator != 1 or abs(value) > 10**6:
        return None
    text = f"{float(value):.6f}".rstrip("0")
    return text + "0" if text.endswith(".") else text


def boxed(answer: str) -> str:
    return f"Adding up, we obtain $\\boxed{{{answer}}}$."


def renderings(reference: str) -> list[str]:
    """Completions that say the reference: up to ten, more kinds for numbers."""
    bare = reference.strip().strip("$")
    written = [
        boxed(bare),
        f"So the final value follows.\n\n\\[\n\\boxed{{ {bare} }}\n\\]\n\nI hope it is correct.",
        f"After all steps, the answer is ${bare}$." if "$" not in bare else boxed(bare),
        f"We add the parts.\n\n**Final Answer:** \\boxed{{{bare}}}",
        f"<think>Is it 1? \\boxed{{1}}</think>\nThus \\boxed{{{bare}}}.",
        boxed(bare.replace(r"\frac", r"\dfrac")),
        boxed(rf"\displaystyle {bare}"),
    ]
    value = value_of(reference)
    if value is None:
        written.append(boxed(re.sub(r"(?<![\\A-Za-z])\s*([+=])\s*", r" \1 ", bare)))
        written.append(f"<answer>${bare}$</answer>" if "$" not in bare else boxed(bare))
        return [*written, boxed(rf"\textcolor{{blue}}{{{bare}}}")]
    return [*written[:3], *number_renderings(bare, value)]


def number_renderings(bare: str, value: Fraction) -> list[str]:
    """A number with a unit, a currency, grouped, in a sentence, bold, as decimal or fraction."""
    written = [
        boxed(rf"{bare}\text{{ units}}"),
        boxed(rf"\${bare}"),
        f"We get **{bare}**." if "\\" not in bare else boxed(f"x = {bare}"),
        boxed(f"n = {bare}"),
        f"The total is the sum of the parts.\n#### {bare}",
    ]
    if value.denominator == 1:
        whole = int(value)
        written.append(boxed(f"{whole:,}" + r" \text{ dollars}"))
        written.append(f"Therefore the answer is {whole:,}.")
        written.append(boxed(f"{whole}.00"))
    else:
        top, bottom = abs(value.numerator), value.denominator
        sign = "-" if value < 0 else ""
        written.append(boxed(f"{sign}{top}/{bottom}"))
        written.append(boxed(f"{sign}\\frac{{{2 * top}}}{{{2 * bottom}}}"))
        if decimals := in_decimals(value):
            written.append(boxed(decimals))
        if top > bottom:
            written.append(boxed(f"{sign}{top // bottom}\\frac{{{top % bottom}}}{{{bottom}}}"))
    return written


def near_misses(reference: str) -> list[str]:
    """Completions that say something near the reference: a digit, sign, part or word changed."""
    bare = reference.strip().strip("$")
    value = value_of(reference)
    if value is not None:
        return number_misses(bare, value)
    if letter := re.fullmatch(r"\\text\{\(?([A-E])\)?\}|\(?([A-E])\)?", bare):
        chosen = letter[1] or letter[2]
        others = [other for other in "ABCDE" if other != chosen]
        several = [f"{chosen}, {others[0]}", f"{chosen} or {others[1]}", ", ".join("ABCDE")]
        return [boxed(text) for text in [*others, *several, rf"\text{{not {chosen}}}"]]
    missed = []
    for match in list(re.finditer(r"(?<![\d.])\d(?!\d*\})", bare))[:4]:
        digit = str((int(match[0]) + 1) % 10)
        missed.append(bare[: match.start()] + digit + bare[match.end() :])
    for match in list(re.finditer(r"(?<=[\w})])\s*[+-]\s*(?=[\w\\(])", bare))[:3]:
        sign = "-" if "+" in match[0] else "+"
        missed.append(bare[: match.start()] + sign + bare[match.end() :])
    missed.append(rf"{bare} + 1" if "," not in bare and "text" not in bare else rf"{bare}, 777")
    missed.append(rf"\text{{not }} {bare}")
    return [boxed(text) for text in missed]


def number_misses(bare: str, value: Fraction) -> list[str]:
    missed = [rf"\text{{at least }}{bare}", f"{bare}+x", f"{bare}, 777"]
    if value:
        missed += [
            rf"{bare}\text{{ thousand}}",
            f"-{bare}".replace("--", ""),
            rf"{bare}\text{{ squared}}" if abs(value) != 1 else f"{bare}\\pi",
            rf"\text{{negative }}{bare.lstrip('-')}" if value > 0 else bare.lstrip("-"),
            rf"{bare}\text{{ dozen}}",
        ]
    if value.denominator == 1:
        missed += [str(int(value) + 1), f"{int(value)}1", f"{int(value)}.5", f"{int(value) + 10:,}"]
    else:
        missed += [f"\\frac{{{value.numerator + 1}}}{{{value.denominator}}}", str(value.numerator)]
    return [boxed(text) for text in missed]
