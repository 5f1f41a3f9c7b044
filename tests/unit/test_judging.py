"""Every stage that judges completions: the rows of its source, in order, with their verdicts."""

import pytest
from rollout_rows import rollout

from reasonmaxxer import tables
from reasonmaxxer.__main__ import main
from reasonmaxxer.analysis.results import check_protocol, load_scores
from reasonmaxxer.errors import UserError
from reasonmaxxer.stages.rollouts import GenerationJob
from reasonmaxxer.tables.provenance import provenance

PROBLEM = {"problem": "?", "source": "s", "level": None}
ANSWERS = {"a": "4", "b": "7"}
TEXTS = {
    ("a", 0): r"\boxed{4}",
    ("a", 1): r"\boxed{5}",
    ("b", 0): "no idea",
    ("b", 1): r"\boxed{7.0}",
}
VERDICTS = ["correct", "incorrect", "unparseable", "correct"]


def completion(problem, sample):
    return rollout([1], [2], problem, sample) | {"text": TEXTS[problem, sample]}


def decoded(problem, sample):
    row = completion(problem, sample)
    return {**row, "intervention": f"i{sample}", "touched": [], "changed": []}


def continuation(problem, sample):
    place = {"position": 3, "entropy": 1.0, "gated": True, "weight": 1.0}
    alternative = {"rank": 1, "token_id": 5, "logprob": -1.0, "continuation": sample}
    return {**completion(problem, sample), **place, **alternative, "sample": 0}


# Table -> the table it is made of, and how a row of that is made.
TABLES = {
    "verdicts": ("rollouts", completion),
    "evaluation": ("rollouts", completion),
    "interventions": ("decoded", decoded),
    "pivotality": ("continuations", continuation),
}


@pytest.fixture(params=TABLES)
def judging(request, tmp_path):
    """The name of a table of verdicts, and what makes it."""
    source, row = TABLES[request.param]
    tables.write(tmp_path / "source.parquet", source, [row(*key) for key in TEXTS])

    def run(problems):
        rows = [{"problem_id": name, "answer": ANSWERS[name], **PROBLEM} for name in problems]
        tables.write(tmp_path / "problems.parquet", "problems", rows)
        places = {"completions": "source", "problems": "problems", "out": "out"}
        flags = [x for name, file in places.items() for x in (f"--{name}", f"{file}.parquet")]
        main(["verdicts", "--table", request.param, *flags, "--config", "{}"])

    return request.param, run


def test_every_completion_is_judged_in_order(judging, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name, run = judging
    run(ANSWERS)
    rows = list(tables.rows("out.parquet", name))
    if name == "pivotality":
        assert [(row["problem_id"], row["continuations"], row["correct"]) for row in rows] == [
            ("a", 2, 1),
            ("b", 2, 1),
        ]
    else:
        assert [row["verdict"] for row in rows] == VERDICTS
        assert [row["problem_id"] for row in rows] == ["a", "a", "b", "b"]
    assert tables.provenance_of("out.parquet", name)["stage"] == "verdicts"


@pytest.mark.parametrize(
    ("end", "verdicts"),
    [
        ("<think>\n", ["unparseable", "correct"]),
        ("<think>\n\n</think>\n\n", ["correct", "correct"]),
    ],
)
def test_thinking_that_the_prompt_opened_and_nobody_closed_is_no_answer(
    tmp_path, monkeypatch, end, verdicts
):
    monkeypatch.chdir(tmp_path)
    rows = [completion("a", sample) for sample in (0, 1)]
    rows[1]["text"] = r"Perhaps \boxed{5}.</think>It is \boxed{4}."
    tables.write("source.parquet", "rollouts", rows, {"prompt_end": f"Assistant: {end}"})
    tables.write("problems.parquet", "problems", [{"problem_id": "a", "answer": "4", **PROBLEM}])
    places = {"completions": "source", "problems": "problems", "out": "out"}
    flags = [x for name, file in places.items() for x in (f"--{name}", f"{file}.parquet")]
    main(["verdicts", *flags, "--config", "{}"])
    assert [row["verdict"] for row in tables.rows("out.parquet", "verdicts")] == verdicts


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("none", [None, None, None]),
        ("slow", [None, "incorrect", None]),
        ("all", ["correct", "incorrect", "unparseable"]),
    ],
)
def test_an_evaluation_has_a_second_opinion_of_plain_math_verify(
    tmp_path, monkeypatch, asked, seconds
):
    monkeypatch.chdir(tmp_path)
    golds = {"a": "4", "b": r"\{1,2\} \cap \{2,3\}", "c": "5"}
    texts = {"a": r"\boxed{4}", "b": r"\boxed{\{2\}}", "c": "no idea"}
    rows = [completion(name, 0) | {"text": texts[name]} for name in golds if name in "ab"]
    rows.append(completion("b", 0) | {"problem_id": "c", "text": texts["c"]})
    tables.write("source.parquet", "rollouts", rows)
    problems = [{"problem_id": name, "answer": gold, **PROBLEM} for name, gold in golds.items()]
    tables.write("problems.parquet", "problems", problems)
    places = {"completions": "source", "problems": "problems", "out": "out"}
    flags = [x for name, file in places.items() for x in (f"--{name}", f"{file}.parquet")]
    main(
        [
            "verdicts",
            "--table",
            "evaluation",
            *flags,
            "--config",
            f'{{"second_opinion": "{asked}"}}',
        ]
    )
    judged = list(tables.rows("out.parquet", "evaluation"))
    assert [row["verdict"] for row in judged] == ["correct", "correct", "unparseable"]
    assert [row["second"] for row in judged] == seconds


def test_a_completion_of_another_runs_problem_is_an_error(judging, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        judging[1](["a"])
    said = capfd.readouterr().err.splitlines()[-1]
    assert "source.parquet: problem_id: 'b' is not in problems.parquet" in said
    assert "snakemake --cores all --force source.parquet" in said
    assert not (tmp_path / "out.parquet").exists()


def evaluated(name, samples=(0, 1), **job):
    """A table made by the command, of completions drawn as the job says."""
    made_by = provenance("rollouts", GenerationJob(**job).model_dump(mode="json"))
    rows = [completion(*place) for place in TEXTS if place[1] in samples]
    tables.write(f"{name}.rollouts.parquet", "rollouts", rows, made_by)
    problems = [{"problem_id": name, "answer": ANSWERS[name], **PROBLEM} for name in ANSWERS]
    tables.write("problems.parquet", "problems", problems)
    files = {"completions": f"{name}.rollouts", "problems": "problems", "out": name}
    flags = [x for flag, file in files.items() for x in (f"--{flag}", f"{file}.parquet")]
    main(["verdicts", "--table", "evaluation", *flags, "--config", "{}"])
    return f"{name}.parquet"


@pytest.mark.parametrize(
    ("key", "value"),
    [("temperature", 1.0), ("top_p", 1.0), ("max_tokens", 8), ("engine", "transformers")],
)
def test_samples_drawn_differently_are_never_put_together(tmp_path, monkeypatch, key, value):
    monkeypatch.chdir(tmp_path)
    same = load_scores([evaluated("same", seed=7)], "same", "short", samples=2)
    half, rest = evaluated("half", [0]), evaluated("rest", [1], first_sample=1)
    base = load_scores([half, rest], "base", "short", samples=2)
    check_protocol("short", {"base": base, "same": same})

    other = load_scores([evaluated("other", **{key: value})], "other", "short", samples=2)
    with pytest.raises(
        UserError, match="'base' and 'other' were evaluated with different settings"
    ):
        check_protocol("short", {"base": base, "other": other})
    rest = evaluated("rest", [1], **{key: value})
    with pytest.raises(UserError, match="its shards were sampled under different settings"):
        load_scores([half, rest], "base", "short", samples=2)
