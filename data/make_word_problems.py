"""Write data/word-problems.jsonl: school problems of one or two steps for config/smollm2.yaml.

    python data/make_word_problems.py > data/word-problems.jsonl

Six kinds (the column `level`). The splits share no problem: each story of a kind occurs once. The
numbers are small, since a model of 135 M parameters is to solve a problem in some of its tries
and fail in others.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

# fmt: off
NAMES = [
    "Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Henry",
    "Iris", "Jack", "Kate", "Leo", "Mia", "Noah", "Olga", "Paul",
]
THINGS = [
    "apples", "pencils", "stickers", "marbles", "books",
    "coins", "cards", "shells", "buttons", "stamps",
]
# fmt: on
SPLITS = {"train": 50, "validation": 10, "test": 40}  # problems of each kind


def joining(rng: random.Random) -> tuple[str, int]:
    a, b = rng.randint(3, 20), rng.randint(2, 12)
    return f"{{A}} has {a} {{things}} and gets {b} more. How many {{things}} has {{A}} now?", a + b


def leaving(rng: random.Random) -> tuple[str, int]:
    a, b = rng.randint(8, 20), rng.randint(2, 7)
    return (
        f"{{A}} had {a} {{things}} and gave {b} of them to {{B}}. "
        "How many {things} are left for {A}?",
        a - b,
    )


def comparing(rng: random.Random) -> tuple[str, int]:
    a, b = rng.randint(3, 15), rng.randint(2, 9)
    return (
        f"{{A}} has {a} {{things}}. {{B}} has {b} more than {{A}}. How many {{things}} has {{B}}?",
        a + b,
    )


def groups(rng: random.Random) -> tuple[str, int]:
    a, b = rng.randint(2, 6), rng.randint(2, 10)
    return (
        f"{{A}} has {a} bags with {b} {{things}} in each. How many {{things}} is that altogether?",
        a * b,
    )


def sharing(rng: random.Random) -> tuple[str, int]:
    a, b = rng.randint(2, 6), rng.randint(2, 10)
    return (
        f"{{A}} shares {a * b} {{things}} equally among {a} children. "
        "How many {things} does each child get?",
        b,
    )


def two_steps(rng: random.Random) -> tuple[str, int]:
    a, b, c = rng.randint(3, 9), rng.randint(2, 6), rng.randint(1, 4)
    return (
        f"{{A}} has {a} {{things}}, finds {b} more and then loses {c}. "
        "How many {things} has {A} at the end?",
        a + b - c,
    )


KINDS = {
    "joining": joining,
    "leaving": leaving,
    "comparing": comparing,
    "groups": groups,
    "sharing": sharing,
    "two-steps": two_steps,
}


def problems(kind: str) -> Iterator[dict[str, str]]:
    """Problems of a kind without end, no two with the same numbers and things."""
    rng = random.Random(f"word problems/{kind}")
    seen = set()
    while True:
        story, answer = KINDS[kind](rng)
        first, second = rng.sample(NAMES, 2)
        things = rng.choice(THINGS)
        if (story, things) not in seen:
            seen.add((story, things))
            text = story.format(A=first, B=second, things=things)
            yield {"problem": text, "answer": str(answer), "level": kind}


def main() -> None:
    for kind in KINDS:
        endless = problems(kind)
        for split, count in SPLITS.items():
            for number in range(count):
                row = {"id": f"{split}/{kind}/{number}", **next(endless), "split": split}
                print(json.dumps(row))


if __name__ == "__main__":
    main()
