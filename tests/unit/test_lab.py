"""The lab: its problems, its texts, its tokenizer, and the pretraining of its base."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch

from reasonmaxxer.config.lab import BASES, LabSource, PretrainConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.lab import pretrain
from reasonmaxxer.lab.generator import RECIPES, SUITES, generate, problems
from reasonmaxxer.lab.tokenizer import EOS, tokenizer, vocabulary
from reasonmaxxer.lab.traces import problem_tokens, work
from reasonmaxxer.lab.world import TWINS, WORLDS, world

SPLITS = [split for split in RECIPES if split != "pretraining"]
# Of each world: tokens per fork, and the share of forks that matter.
SHARES_OF_FORKS = {**dict.fromkeys((1, 2, 3, 4), (13.0, 0.49)), 5: (10.6, 0.57), 6: (17.3, 0.35)}
TEMPLATE = Path("config/prompts/lab.txt").read_text()
SHIPPED = Path("data/lab/model")


def source(number: int = 1) -> LabSource:
    return LabSource.model_validate({"world": number})


def read_and_solve(text: str) -> int:
    """The answer by reading the English sentences: shares nothing with the generator."""
    *sentences, question = re.split(r"(?<=[.?]) ", text)
    start = re.fullmatch(r"(\d+) (\w+)\.", sentences[0])
    assert start
    values = {start[2]: int(start[1])}
    for sentence in sentences[1:]:
        name, value = _sentence(sentence.removesuffix(".").removesuffix(" at last"), values)
        values[name] = value % 97
    asked = re.fullmatch(r"How many has (\w+)\?", question)
    assert asked
    return values[asked[1]]


def _sentence(text: str, values: dict[str, int]) -> tuple[str, int]:
    name, rest = text.split(" has ")
    if name in values:  # "Ann has 5 above Ben" where Ben is wanted
        k, where, wanted = re.fullmatch(r"(\d+) (above|below) (\w+)", rest).groups()
        return wanted, values[name] - int(k) if where == "above" else values[name] + int(k)
    names = list(values)
    places = {"the first": names[0], "the last": names[-1]}
    for words, other in places.items():
        rest = rest.replace(words, other)
    rest = re.sub(r"[A-Z][a-z]+", lambda match: str(values[match[0]]), rest)
    for pattern, value in (
        (r"(\d+) (?:more than|over|and|singles beside) (\d+)", lambda a, b: a + b),
        (r"(\d+) (?:fewer than|under) (\d+)", lambda a, b: b - a),
        (r"(\d+) (?:times|by) (\d+)", lambda a, b: a * b),
        (r"(\d+) pairs beside (\d+)", lambda a, b: 2 * a + b),
        (r"(\d+) more than (\d+) times (\d+)", lambda a, b, c: a + b * c),
        (r"(\d+) times (\d+) more than (\d+)", lambda a, b, c: a * (b + c)),
        # "5 from Ann" takes 5 away from what Ann has; "Ann from 5" takes that away from 5
        (r"(\d+) from (\d+)", lambda a, b: b - a),
    ):
        if match := re.fullmatch(pattern, rest):
            return name, value(*map(int, match.groups()))
    raise AssertionError(f"unread sentence: {text}")


@pytest.mark.parametrize("number", BASES)
@pytest.mark.parametrize("split", SPLITS)
def test_answers_and_worked_solutions_are_right(split: str, number: int) -> None:
    for row in generate(split, 30, 3, source(number)):
        answer = str(read_and_solve(row["problem"]))
        assert row["answer"] == answer, row
        assert row["solution"].endswith(f"\\boxed{{{answer}}}"), row


def test_problems_are_the_same_on_every_machine() -> None:
    first = generate("medium", 1, 1, source())[0]
    assert first["problem"] == (
        "35 Bonn. Quito has 2 and Bonn. Rome has 2 from Quito. Seoul has 4 times Rome. "
        "Lima has 4 more than Seoul at last. Cairo has 2 over Lima. How many has Lima?"
    )
    assert first["answer"] == "47" and first["level"] == "4"  # 37, 35, 140 - 97 = 43, 47


def test_a_larger_count_begins_with_the_same_problems() -> None:
    assert generate("train", 40, 5, source())[:10] == generate("train", 10, 5, source())
    assert generate("train", 10, 6, source()) != generate("train", 10, 5, source())


def test_no_problem_occurs_in_two_splits() -> None:
    number_words: dict[tuple[str, ...], str] = {}
    for split in RECIPES:
        for problem in islice(problems(split, 1, LabSource(steps=(1, 1))), 60):
            asked = problem.statements[: problem.asked]
            key = (
                str(problem.given),
                *(repr((s.kind, s.other, s.amount, s.second)) for s in asked),
            )
            assert number_words.setdefault(key, split) == split


@pytest.mark.parametrize(
    ("split", "options", "words"),
    [
        ("nowhere", {}, "no split 'nowhere'"),
        ("train", {"steps": (0, 3)}, "from 1 to 7"),
        ("train", {"steps": (5, 3)}, "from 1 to 7"),
        ("train", {"steps": (5, 8)}, "from 1 to 7"),
    ],
)
def test_impossible_options_are_named(split: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        generate(split, 1, 1, LabSource.model_validate(options))


def test_steps_of_a_source_override_those_of_its_split() -> None:
    rows = generate("short", 30, 1, LabSource(steps=(4, 4)))
    assert {row["level"] for row in rows} == {"4"}


@pytest.mark.parametrize("number", BASES)
def test_texts_survive_the_tokenizer_exactly_and_hold_no_unknown_word(number: int) -> None:
    words, ids_of = tokenizer(number), vocabulary(number).index
    for split in SPLITS:
        rng = random.Random(split)
        for problem in islice(problems(split, 9, source(number)), 10):
            question = "".join(problem_tokens(problem)).strip()
            trace = work(problem, world(number), rng)
            for text in (question, TEMPLATE.replace("{problem}", question), "".join(trace.tokens)):
                ids = words.encode(text)
                assert words.decode(ids) == text
                assert words.unk_token_id not in ids
            assert ids == [ids_of(token) for token in trace.tokens]


def test_the_corpus_has_the_ids_that_the_tokenizer_gives() -> None:
    words = tokenizer(1)
    for document in islice(pretrain.documents(PretrainConfig(), 4), 20):
        assert words.encode(words.decode(document)) == document
        assert document[-1] == words.eos_token_id


def test_words_of_others_are_unknown_rather_than_an_error() -> None:
    words = tokenizer(1)
    assert words.encode(" Zanzibar") == [words.unk_token_id]


@pytest.mark.parametrize("number", BASES)
def test_forks_take_their_options_by_the_declared_shares(number: int) -> None:
    lab, rng = world(number), random.Random(0)
    taken: dict[str, Counter[int]] = defaultdict(Counter)
    tokens = forks = matter = 0
    for problem in islice(problems("pretraining", 1, source(number)), 2500):
        trace = work(problem, lab, rng)
        tokens += len(trace.tokens) + 1
        forks += len(trace.forks)
        for fork in trace.forks:
            matter += fork.kind.matters
            taken[fork.kind.name][fork.taken] += 1
            assert trace.tokens[fork.position] == fork.options[fork.taken]
            assert len(set(fork.options)) == len(fork.kind.shares)
    often, deciding = SHARES_OF_FORKS[number]
    assert tokens / forks == pytest.approx(often, rel=0.1)
    assert matter / forks == pytest.approx(deciding, rel=0.1)
    assert set(taken) == set(lab.kinds)
    for name, kind in lab.kinds.items():
        count = taken[name].total()
        for option, share in enumerate(kind.shares):
            spread = (share * (1 - share) / count) ** 0.5
            assert abs(taken[name][option] / count - share) < 4 * spread, name


@pytest.mark.parametrize("number", BASES)
def test_no_share_tells_a_fork_that_matters_from_one_that_does_not(number: int) -> None:
    kinds = world(number).kinds
    for matters, twin, _ in TWINS:
        matters = "unit" if WORLDS[number].units and matters == "operand" else matters
        assert kinds[matters].matters and not kinds[twin].matters
        assert sorted(kinds[matters].shares) == sorted(kinds[twin].shares)
        assert sum(kinds[twin].shares) == pytest.approx(1)
    assert 0.10 <= kinds["inverse"].shares[0] <= 0.14


def test_only_the_far_suite_is_longer_than_what_the_base_is_trained_and_chosen_on() -> None:
    longest = max(int(row["level"]) for row in generate("train", 60, 1, source()))
    shortest = {
        split: min(int(r["level"]) for r in generate(split, 20, 1, source())) for split in SUITES
    }
    assert [split for split, level in shortest.items() if level > longest] == ["far"]


# --- the model ------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretrainConfig]:
    """A run of seconds: a narrow model, small chunks, no compilation, one thread as the command."""
    monkeypatch.setattr(pretrain, "CHUNK", 160)
    monkeypatch.setattr(
        torch, "compile", lambda model, **_: model
    )  # only faster, and slow to start
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield PretrainConfig(
        tokens=30_000, layers=1, width=32, intermediate=32, warmup_steps=2, batch_tokens=1024
    )
    torch.set_num_threads(threads)


def test_the_exported_model_is_the_one_that_was_trained(
    small: PretrainConfig, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = small.model_copy(update={"layers": 2, "width": 64, "intermediate": 96})
    run = pretrain.Pretraining(config, 3, tmp_path / "scratch")
    ids, targets = pretrain.batches(config, 3, 0)[0]
    run.export(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        logits = model(ids).logits
        theirs = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        ours = run.model(ids, targets)
    assert float(ours) == pytest.approx(float(theirs), rel=2e-3)  # bfloat16 products
    assert AutoTokenizer.from_pretrained(tmp_path / "model").eos_token == EOS
    record = json.loads((tmp_path / "model" / "pretraining.json").read_text())
    assert record["seed"] == 3 and PretrainConfig.model_validate(record["config"]) == config


def test_a_killed_pretraining_goes_on_to_the_same_weights(
    small: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = pretrain.Pretraining(small, 1, tmp_path / "whole")
    whole.run()
    broken = pretrain.Pretraining(small, 1, tmp_path / "broken")
    checkpoint = pretrain.Pretraining._checkpoint

    def killed(run: pretrain.Pretraining) -> None:
        checkpoint(run)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pretrain.Pretraining, "_checkpoint", killed)
        broken.run()
    resumed = pretrain.Pretraining(small, 1, tmp_path / "broken")
    resumed.run()
    assert 0 < broken.tokens < resumed.tokens == whole.tokens
    for key, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[key]), key


def test_pretraining_lowers_the_loss(small: PretrainConfig, tmp_path: Path) -> None:
    run = pretrain.Pretraining(small.model_copy(update={"learning_rate": 1e-2}), 1, tmp_path)
    ids, targets = pretrain.batches(small, 99, 0)[0]
    before = run.model(ids, targets).item()
    run.run()
    assert run.model(ids, targets).item() < 0.8 * before


def test_the_loss_counts_every_token_behind_the_first_once(small: PretrainConfig) -> None:
    config = small.model_copy(update={"batch_tokens": 512})
    made = pretrain.batches(config, 1, 0)
    for ids, targets in made[:20]:
        assert ids.numel() <= config.batch_tokens
        real = targets >= 0
        assert torch.equal(ids[:, 1:][real[:, :-1] & real[:, 1:]], targets[:, :-1][real[:, 1:]])
    assert sum(len(ids) for ids, _ in made) > 0.8 * pretrain.CHUNK


def test_the_base_reads_in_pretraining_what_the_prompt_file_says() -> None:
    words, (problem,) = tokenizer(1), islice(problems("pretraining", 4_000_000, source()), 1)
    document = next(pretrain.documents(PretrainConfig(), 4_000_000))
    prompt = TEMPLATE.replace("{problem}", "".join(problem_tokens(problem)).strip())
    assert words.decode(document).startswith(prompt)
