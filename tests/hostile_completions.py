"""Completions that try to hang, crash, fill or take over the judge, generated from seeds."""

from __future__ import annotations

import random
from collections.abc import Callable

Generator = Callable[[random.Random], str]


def tower(rng: random.Random) -> str:
    base, height = rng.randint(2, 9), rng.randint(3, 60)
    return "^{".join([str(base)] * height) + "}" * (height - 1)


def bare_tower(rng: random.Random) -> str:
    return "^".join([str(rng.randint(3, 99))] * rng.randint(3, 9))


def python_tower(rng: random.Random) -> str:
    return "**".join([str(rng.randint(5, 99))] * rng.randint(3, 6))


def factorial(rng: random.Random) -> str:
    return str(rng.randint(10**5, 10**9)) + "!" * rng.randint(1, 4)


def nested_factorial(rng: random.Random) -> str:
    depth = rng.randint(2, 6)
    return "(" * depth + str(rng.randint(7, 99)) + "!)" * depth


def binomial(rng: random.Random) -> str:
    n = rng.randint(10**6, 10**9)
    return f"\\binom{{{n}}}{{{n // 2}}} + \\Gamma({n})"


def braces(rng: random.Random) -> str:
    n = rng.randint(1000, 50_000)
    return "{" * n + "7" + "}" * rng.choice([n, n - 1, 0])


def parentheses(rng: random.Random) -> str:
    n = rng.randint(100, 20_000)
    return "(" * n + "7" + ")" * n


def fractions(rng: random.Random) -> str:
    n = rng.randint(20, 2000)
    return "\\frac{1}{1+" * n + "1" + "}" * n


def roots(rng: random.Random) -> str:
    n = rng.randint(20, 1000)
    return "\\sqrt{2+" * n + "2" + "}" * n


def digits(rng: random.Random) -> str:
    return rng.choice("123456789") * rng.randint(5000, 3_000_000)


def long_decimal(rng: random.Random) -> str:
    return "0." + "3" * rng.randint(1000, 500_000)


def exponent(rng: random.Random) -> str:
    return f"{rng.randint(2, 9)}^{{{rng.randint(10**8, 10**12)}}} + \\sum_{{k=0}}^{{3}} k"


def scientific(rng: random.Random) -> str:
    return f"1e{rng.randint(10**6, 10**12)}"


def laughs(rng: random.Random) -> str:
    definitions = "".join(
        f"\\newcommand{{\\l{chr(98 + i)}}}{{" + f"\\l{chr(97 + i)}" * 10 + "}" for i in range(12)
    )
    return definitions + "\\lm"


def repetition(rng: random.Random) -> str:
    unit = rng.choice(["x+", "\\frac{1}{x}+", "(x+1)", "\\sin ", "-", "\\boxed{", "1,", "$", "\\("])
    return unit * rng.randint(1000, 200_000)


def product(rng: random.Random) -> str:
    return "".join(f"(x_{{{i}}}+{i})" for i in range(rng.randint(20, 60))) + "=0"


def expansion(rng: random.Random) -> str:
    powers, terms = rng.randint(40, 900), rng.randint(10**4, 10**7)
    return f"(a+b+c+d+f+g)^{{{powers}}} = \\sum_{{k=1}}^{{{terms}}} k^k"


def big_sum(rng: random.Random) -> str:
    return f"\\prod_{{k=1}}^{{{rng.randint(10**5, 10**8)}}} (k^2+k+1)"


def integral(rng: random.Random) -> str:
    return f"\\int_0^1 \\frac{{\\sin(x^{{{rng.randint(3, 90)}}})e^{{x^x}}}}{{\\ln(x+\\tan x)}} dx"


def matrix_power(rng: random.Random) -> str:
    n = rng.randint(10**4, 10**9)
    return f"\\begin{{pmatrix}}1&2\\\\3&4\\end{{pmatrix}}^{{{n}}}"


def identity_matrix(rng: random.Random) -> str:
    return f"\\operatorname{{eye}}({rng.randint(10**4, 10**7)})"


def equation(rng: random.Random) -> str:
    return f"x^{{{rng.randint(5, 40)}}} + \\sin x + x^x y^{{7}} - \\ln(x y) = \\cos(x+y^x)"


def large_set(rng: random.Random) -> str:
    return (
        "\\{"
        + ",".join(f"\\sqrt{{{rng.randint(2, 999)}}}" for _ in range(rng.randint(50, 400)))
        + "\\}"
    )


def injection(rng: random.Random) -> str:
    mark = f"hostile_mark_{rng.randint(0, 9)}"
    return rng.choice(
        [
            f"__import__('os').system('touch {mark}')",
            f"open('{mark}','w').write('x')",
            f"exec(\"open('{mark}','w')\")",
            "().__class__.__bases__[0].__subclasses__()",
            f"(lambda: open('{mark}','w'))()",
            f"eval(compile('open(\"{mark}\",\"w\")','','exec'))",
            f"Symbol('x').subs(globals()['__builtins__']['open']('{mark}','w'))",
            f"$(touch {mark}); `touch {mark}`",
            f"\\input{{/etc/passwd}} \\write18{{touch {mark}}}",
            "\\sum_{i=1}^{__import__('os').getpid()} i",
        ]
    )


def strange_text(rng: random.Random) -> str:
    return "".join(
        chr(rng.choice([0, 7, 12, 0x202E, 0xFEFF, 0x1F600, 0x0300, 92, 123, 125, 36, 49]))
        for _ in range(500)
    )


def markers(rng: random.Random) -> str:
    unit = rng.choice(
        [
            "Final answer: ",
            "The answer is ",
            "<think>",
            "</think>",
            "**1",
            "#### ",
            "\nProblem: ",
            "Answer: $",
        ]
    )
    return unit * rng.randint(1000, 30_000)


def open_boxes(rng: random.Random) -> str:
    return "\\boxed{1" * rng.randint(1000, 30_000)


GENERATORS: list[Generator] = [
    tower, bare_tower, python_tower, factorial, nested_factorial, binomial, braces, parentheses,
    fractions, roots, digits, long_decimal, exponent, scientific, laughs, repetition, product,
    expansion, big_sum, integral, matrix_power, identity_matrix, equation, large_set, injection,
    strange_text, markers, open_boxes,
]  # fmt: skip


def hostile_completions(count: int, seed: int) -> list[str]:
    """`count` completions, each generator in turn; most of them inside a box."""
    rng = random.Random(seed)
    completions = []
    for i in range(count):
        payload = GENERATORS[i % len(GENERATORS)](rng)
        wrapped = i // len(GENERATORS) % 4 != 3
        completions.append(f"Therefore $\\boxed{{{payload}}}$." if wrapped else payload)
    return completions


# --- what the readers of units, words, sets, lists and rows might stumble over ------------------


def grouped_digits(rng: random.Random) -> str:
    return ",".join(f"{rng.randint(100, 999)}" for _ in range(rng.randint(50, 500)))


def spaced_digits(rng: random.Random) -> str:
    return " ".join(f"{rng.randint(100, 999)}" for _ in range(rng.randint(50, 400)))


def many_units(rng: random.Random) -> str:
    return "5" + r"\text{ kg}\cdot\text{m}^{9}/\text{s}" * rng.randint(20, 60)


def unit_powers(rng: random.Random) -> str:
    return "8 " + rng.choice(["m^9", "km^9 ", "cm^9/s^9 ", "square square "]) * rng.randint(30, 300)


def number_words(rng: random.Random) -> str:
    word = rng.choice(["trillion ", "hundred ", "seven ", "nine hundred ", "two and ", "half of "])
    return word * rng.randint(10, 250)


def comparisons(rng: random.Random) -> str:
    return "at least " * rng.randint(10, 200) + "8"


def words_of_power(rng: random.Random) -> str:
    return "9" + " to the power of 9" * rng.randint(3, 20) + " factorial" * rng.randint(0, 4)


def outward_brackets(rng: random.Random) -> str:
    return "]" * rng.randint(10, 900) + "1;2" + "[" * rng.randint(10, 900)


def excluded_points(rng: random.Random) -> str:
    points = ",".join(f"\\sqrt{{{rng.randint(2, 99)}}}^{{9}}" for _ in range(rng.randint(20, 90)))
    return rf"\mathbb{{R}}\setminus\{{{points}\}}"


def inequalities(rng: random.Random) -> str:
    return rng.choice(["x<1 or ", "x>2 and ", "x \\ne 3, ", "<", "1<x<"]) * rng.randint(30, 300)


def family(rng: random.Random) -> str:
    return "+".join(f"{k}^{{k}}k" for k in range(2, rng.randint(20, 60))) + r", k\in\mathbb{Z}"


def congruences(rng: random.Random) -> str:
    return r"x\equiv 1 \pmod{7} or " * rng.randint(10, 60)


def rows(rng: random.Random) -> str:
    body = r"x&=1\\" * rng.randint(100, 5000)
    return rng.choice([rf"\begin{{aligned}}{body}\end{{aligned}}", r"\begin{aligned}" * 900, body])


def nested_cases(rng: random.Random) -> str:
    return r"\begin{cases}x&x>0\\" * rng.randint(10, 90) + r"\end{cases}" * rng.randint(0, 90)


def labels(rng: random.Random) -> str:
    return rng.choice(["(a) ", "(i) 1 ", "Part A: ", r"\text{(a) }"]) * rng.randint(50, 500)


def decorations(rng: random.Random) -> str:
    command = rng.choice([r"\color{red}{", r"\underline{", r"\textcolor{blue}{", r"\boxed{"])
    return command * rng.randint(10, 400) + "8" + "}" * rng.randint(0, 400)


def recurring(rng: random.Random) -> str:
    return rng.choice(["0." + r"\dot3" * 300, "0." + "3" * 70 + "...", "0.(3)" * 200, "0.1" * 40])


def tags(rng: random.Random) -> str:
    return rng.choice(
        ["<answer>", '{"answer": "', "[ANSWER]", "<think>", "</think>", "[/THINK]"]
    ) * (rng.randint(1000, 20_000))


def roles(rng: random.Random) -> str:
    return rng.choice(["\nuser\n", "<|user|>", "[INST]", "\n题目：", "\n### ", "<|channel|>"]) * (
        rng.randint(1000, 20_000)
    )


def options(rng: random.Random) -> str:
    return rng.choice(["option A ", "(A) ", "The answer is A or ", "A, not "]) * (
        rng.randint(100, 5000)
    )


def wrappers(rng: random.Random) -> str:
    n = rng.randint(30, 2000)
    return rng.choice([r"\text{\textbf{", r"\text{ a\b ", r"\mathrm{\text{"]) * n + "8" + "}" * n


def small_digits(rng: random.Random) -> str:
    return rng.choice(["⁹", "₁", "x¹²", "⁷⁄₉", "9⁻"]) * rng.randint(100, 5000)


def transposed(rng: random.Random) -> str:
    begin = rng.choice([r"\begin{pmatrix}", "[1,", "(1,2)^T"])
    return begin * rng.randint(1, 400) + "1&2" * rng.randint(10, 900) + r"\end{pmatrix}^T"


def sentences(rng: random.Random) -> str:
    lead = rng.choice(["There are ", r"\text{it is } ", "The answer is not ", "has have "])
    return lead * rng.randint(20, 2000) + "8"


def headings(rng: random.Random) -> str:
    words = ["\nNow Please solve ", "\nthe following ", "\n【例1】", "... ", "\nAnother problem: "]
    return "So 8." + rng.choice(words) * rng.randint(500, 9000)


READERS: list[Generator] = [
    grouped_digits, spaced_digits, many_units, unit_powers, number_words, comparisons,
    words_of_power, outward_brackets, excluded_points, inequalities, family, congruences, rows,
    nested_cases, labels, decorations, recurring, tags, roles, options,
    wrappers, small_digits, transposed, sentences, headings,
]  # fmt: skip
GENERATORS += READERS
