"""The judge as a whole: order, isolation, limits, references, and the command."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hostile_completions import GENERATORS, hostile_completions
from hypothesis import given, settings
from hypothesis import strategies as st
from judge_processes import workers_of

from reasonmaxxer.__main__ import main
from reasonmaxxer.config import VerdictsConfig
from reasonmaxxer.verifier.equivalence import equivalent
from reasonmaxxer.verifier.extraction.answers import extract
from reasonmaxxer.verifier.judge import Verdict, check_references, judge_pairs
from reasonmaxxer.verifier.leaves import quick_leaf
from reasonmaxxer.verifier.limits import beyond_limits

QUICK = VerdictsConfig(timeout_seconds=0.5, retry_seconds=0.7)
ALGEBRA = ("x > 2", r"So \boxed{-x < -2}.")  # decided by a worker
ENDLESS = ("7", r"\boxed{\int_0^1 \frac{\sin(x^{45})e^{x^x}}{\ln(x+\tan x)} dx}")
WORKFLOW = str(Path(__file__).parents[2] / "workflow")


def gone(pid: int, seconds: float = 10) -> bool:
    """Whether a process ends within some seconds."""
    for _ in range(int(seconds * 20)):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_verdicts_come_in_the_order_of_the_pairs_and_no_worker_stays() -> None:
    pairs = [("1", r"\boxed{1}"), ALGEBRA, ("2", r"\boxed{3}"), ALGEBRA, ("4", "no idea")]
    verdicts = [v.verdict for v in judge_pairs(pairs, workers=2)]
    assert verdicts == ["correct", "correct", "incorrect", "correct", "unparseable"]
    assert workers_of(os.getpid()) == []


def test_numbers_and_strings_start_no_process() -> None:
    seen = []
    for _ in judge_pairs((str(i), rf"\boxed{{{i}}}") for i in range(20)):
        seen += workers_of(os.getpid())
    assert seen == []


def test_pairs_are_read_as_they_are_needed() -> None:
    verdicts = judge_pairs((str(i), rf"\boxed{{{i}}}") for i in iter(int, 1))  # endless
    assert [next(verdicts).verdict for _ in range(3)] == ["correct"] * 3
    verdicts.close()


def test_workers_are_gone_when_the_iteration_is_left() -> None:
    verdicts = judge_pairs([ALGEBRA, ALGEBRA, ENDLESS])
    next(verdicts)
    verdicts.close()
    assert workers_of(os.getpid()) == []


def test_a_comparison_without_end_is_a_timeout_and_the_next_one_is_judged() -> None:
    verdicts = list(judge_pairs([ENDLESS, ALGEBRA], options=QUICK))
    assert verdicts[0].verdict == "timeout"
    assert verdicts[0].reason == "time limit"
    assert verdicts[1].verdict == "correct"


def test_hostile_completions_get_a_verdict_and_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    completions = hostile_completions(len(GENERATORS), seed=1)
    verdicts = list(judge_pairs([("7", text) for text in completions], options=QUICK))
    assert len(verdicts) == len(completions)
    assert "correct" not in {v.verdict for v in verdicts[:20]}
    assert workers_of(os.getpid()) == []
    assert list(tmp_path.iterdir()) == []
    assert list(Path("/").glob("hostile_mark*")) == []


@given(
    st.lists(
        st.sampled_from(
            [
                *"{}()[]^_+-*/=,;|!%$ 1x",
                *[r"\frac", r"\sqrt", r"\{", r"\}", r"\\", r"\pm", r"\text{"],
                "a ",
            ]
        )
    ),
    st.integers(1, 300),
)
@settings(max_examples=150, deadline=None)
def test_no_text_stops_the_quick_comparison(tokens: list[str], times: int) -> None:
    text = "".join(tokens) * times
    answer = extract(rf"\boxed{{{text[:1500]}}}").answer
    if answer and not beyond_limits(answer, 2000):
        assert equivalent("7", answer, quick_leaf) in (True, False, None)


def test_a_killed_worker_changes_no_verdict() -> None:
    killed: list[int] = []

    def kill_once() -> None:
        while not (workers := workers_of(os.getpid())):
            time.sleep(0.05)
        time.sleep(0.3)  # it has been given a pair by now, and has not answered all of them
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    pairs = [(f"x > {i}", rf"\boxed{{-x < -{i}}}") for i in range(2, 40)]
    killer = threading.Thread(target=kill_once)
    killer.start()
    verdicts = {v.verdict for v in judge_pairs(pairs, workers=1)}
    killer.join()
    assert verdicts == {"correct"} and killed


def test_workers_end_with_a_killed_parent() -> None:
    code = (
        "from reasonmaxxer.verifier.judge import judge_pairs\n"
        f"pairs = [({ALGEBRA[0]!r}, {ALGEBRA[1]!r}), ({ENDLESS[0]!r}, {ENDLESS[1]!r})]\n"
        "for verdict in judge_pairs(pairs):\n"
        "    print(verdict.verdict, flush=True)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": WORKFLOW},
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"correct\n"  # the worker now computes without end
    (worker,) = workers_of(parent.pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(worker)


def test_the_verdicts_do_not_depend_on_workers_or_hash_seed(tmp_path: Path) -> None:
    rows = [
        {"gold": gold, "completion": text}
        for gold, text in [
            ALGEBRA,
            (r"\{1,2\}", r"\boxed{2, 1}"),
            (r"2x+4y-3=0", r"\boxed{y=-\frac{1}{2}x+\frac{3}{4}}"),
            (r"\frac{1}{2004!}", r"\boxed{\frac{1}{2006!}}"),
            (r"[0,2] \cap (1,3)", r"\boxed{(1,2]}"),
            ("5", "\\boxed{" + "{" * 100),
        ]
    ]
    given, out = tmp_path / "pairs.jsonl", tmp_path / "out.jsonl"
    given.write_text("".join(json.dumps(row) + "\n" for row in rows))
    main(["judge", "--input", str(given), "--output", str(out)])
    alone = out.read_bytes()
    command = [sys.executable, "-m", "reasonmaxxer", "judge", "--input", str(given)]
    subprocess.run(
        [*command, "--output", str(out), "--workers", "2"],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": WORKFLOW, "PYTHONHASHSEED": "12345"},
    )
    assert out.read_bytes() == alone
    written = [json.loads(line) for line in alone.splitlines()]
    assert [row["verdict"] for row in written] == [
        *("correct", "correct", "correct", "incorrect", "correct", "unparseable")
    ]
    assert list(written[0]) == ["gold", "completion", *Verdict._fields]


def test_references_that_do_not_verify_against_themselves_are_named() -> None:
    golds = [("a", "7"), ("b", r"\frac{1}{2"), ("c", ""), ("d", r"(1,2) \cup [3,\infty)")]
    assert [(name, gold) for name, gold, _ in check_references(golds)] == [
        ("b", r"\frac{1}{2"),
        ("c", ""),
    ]


def test_a_sum_of_a_thousand_terms_is_judged() -> None:
    (verdict,) = judge_pairs([("7", rf"\boxed{{{'x+' * 900}x}}")], options=QUICK)
    assert verdict.verdict != "correct"
