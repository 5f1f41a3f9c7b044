"""Problems: every source reads into the same table, and bad input is told by file, row, column."""

import argparse
import gzip
import json
import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reasonmaxxer import tables
from reasonmaxxer.config import Source, VerdictsConfig
from reasonmaxxer.datasets import sources
from reasonmaxxer.datasets.overlap import normalise
from reasonmaxxer.errors import UserError
from reasonmaxxer.stages import decontaminate, problems

ROWS = [
    {"id": "a", "problem": "What is 1 + 1?", "answer": "2", "level": "Level 1"},
    {"id": "b", "problem": "What is 2 + 2?", "answer": "4", "level": "Level 2"},
    {"id": "c", "problem": "What is 3 + 3?", "answer": "6", "level": "Level 2"},
    {"id": "d", "problem": "What is 4 + 4?", "answer": "8", "level": "Level 1"},
]


def jsonl(path, rows=ROWS):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def load(path, **options):
    return problems.load_problems([Source(path=str(path), **options)], "train")


def command(module, **options):
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    flags = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        flags += [f"--{name.replace('_', '-')}", *map(str, values)]
    module.main(parser.parse_args(flags))


def test_jsonl_csv_and_parquet_of_the_same_rows_give_the_same_problems(tmp_path):
    frame = pd.DataFrame(ROWS)
    frame.to_csv(tmp_path / "p.csv", index=False)
    frame.to_parquet(tmp_path / "p.parquet")
    expected = load(jsonl(tmp_path / "p.jsonl"))
    assert expected[0] == {
        "problem_id": "p/a",
        "problem": "What is 1 + 1?",
        "answer": "2",
        "source": "p",
        "level": "1",
    }
    assert load(tmp_path / "p.csv") == expected
    assert load(tmp_path / "p.parquet") == expected


@pytest.mark.parametrize(
    ("extract", "cell", "reference"),
    [
        ("plain", " 42 ", "42"),
        ("plain", 42, "42"),
        ("plain", r"\boxed{7}", r"\boxed{7}"),
        ("boxed", r"First \boxed{1}, so \boxed{\frac{3}{4}}.", r"\frac{3}{4}"),
        ("boxed", r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        ("boxed", r"our answer is $\boxed 2$.", "2"),  # so in two rows of MATH's training split
        ("hashes", "She has 3 + 4 = <<3+4=7>>7.\n#### 1,007", "1,007"),
        ("first", ["$5$", "6"], "$5$"),
        ("first", '["5", "6"]', "5"),
        ("first", "5", "5"),
        ("first", r"[1, 3]", "[1, 3]"),
        ("first", r"[0, \frac{1}{2})", r"[0, \frac{1}{2})"),
    ],
)
def test_the_reference_is_taken_out_of_its_column(tmp_path, extract, cell, reference):
    path = jsonl(tmp_path / "p.jsonl", [{"problem": "?", "answer": cell}])
    assert load(path, extract=extract)[0]["answer"] == reference


def test_columns_can_have_any_name_and_rows_without_ids_are_numbered(tmp_path):
    path = jsonl(tmp_path / "p.jsonl", [{"question": "Why?", "gt": "1", "hard": 3.0}])
    (row,) = load(path, problem="question", answer="gt", level="hard")
    assert (row["problem_id"], row["problem"], row["level"]) == ("p/0", "Why?", "3")


BAD = {
    "broken line": ('{"problem": "a", "answer": "1"}\n{"problem": ', "line 2: not valid JSON"),
    "not an object": ("[1, 2]\n", "line 1: each line must be a JSON object of columns"),
    "empty problem": ('{"problem": " ", "answer": "1"}\n', "line 1: column 'problem' is empty"),
    "no answer": ('{"problem": "a", "answer": null}\n', "line 1: column 'answer' is empty"),
    "near column": ('{"problem": "a", "answers": "1"}\n', "did you mean 'answers'?"),
    "double id": (
        '{"id": 1, "problem": "a", "answer": "1"}\n{"id": 1, "problem": "b", "answer": "1"}\n',
        "line 2: duplicate id '1' (first seen at",
    ),
    "list": ('{"problem": "a", "answer": ["1"]}\n', "found list; use extract: first"),
    "broken list": ('{"problem": "a", "answer": "[\\"1"}\n', "not a JSON list"),
    "empty list": ('{"problem": "a", "answer": []}\n', "an empty list"),
    "nothing": ("\n", "contains no problem"),
    "NaN": ('{"problem": "a", "answer": NaN}\n', "line 1: column 'answer' is empty"),
    "a key twice": ('{"problem": "a", "answer": 1, "answer": 2}\n', "'answer' occurs twice"),
    "half an emoji": (
        '{"problem": "a \\ud83d", "answer": "1"}\n',
        "line 1: column 'problem': an incomplete character",
    ),
    "too many digits": (
        f'{{"problem": "a", "answer": {"9" * 5000}}}\n',
        "line 1: Exceeds the limit",
    ),
    "too deep": ("[" * 100_000 + "\n", "line 1: "),
    "texts written out": ('{"problem": "a", "answer": "[\'5\']"}\n', "use extract: first"),
}


def test_what_pandas_writes_for_an_empty_cell_is_empty(tmp_path):
    frame = pd.DataFrame({"problem": ["a", "b"], "answer": [1.5, float("nan")]})
    frame.to_parquet(tmp_path / "p.parquet")
    with pytest.raises(UserError, match="row 1: column 'answer' is empty"):
        load(tmp_path / "p.parquet")


def test_bytes_are_read_as_the_text_that_they_are(tmp_path):
    rows = {"problem": [b"wof\xc3\xbcr?"], "answer": [b"1"], "level": [b"2"]}
    pq.write_table(pa.table(rows), tmp_path / "p.parquet")
    (row,) = load(tmp_path / "p.parquet")
    assert (row["problem"], row["answer"], row["level"]) == ("wofür?", "1", "2")
    pq.write_table(pa.table(rows | {"answer": [b"\xff"]}), tmp_path / "p.parquet")
    with pytest.raises(UserError, match="row 0: column 'answer': bytes that are not valid UTF-8"):
        load(tmp_path / "p.parquet")


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".csv.gz"])
def test_a_compressed_file_is_read_and_a_damaged_one_named(tmp_path, suffix):
    path = tmp_path / f"p{suffix}"
    text = {".jsonl.gz": '{"problem": "a", "answer": "1"}\n', ".csv.gz": "problem,answer\na,1\n"}
    whole = gzip.compress(text[suffix].encode())
    path.write_bytes(whole)
    assert [row["problem_id"] for row in load(path)] == ["p/0"]
    path.write_bytes(whole[:-6])
    with pytest.raises(UserError, match=f"p{suffix}: not a readable gzip file"):
        load(path)


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_another_delimiter_is_found_and_said(tmp_path, capsys, mark, name):
    path = tmp_path / "p.csv"
    path.write_text(f"problem{mark}answer\nHow much, Ann?{mark}1,5\n")
    (row,) = load(path)
    assert (row["problem"], row["answer"]) == ("How much, Ann?", "1,5")
    assert f"its columns are separated by {name}" in capsys.readouterr().err
    assert load(path, delimiter=mark) == [row]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("cell", "answer"),
    [
        ("['5']", "5"),
        ("['5', '6']", "5"),
        ('[\'it is "5"\', "6"]', 'it is "5"'),
        ('["5"]', "5"),
        (r"['\\frac{1}{2}']", r"\frac{1}{2}"),
        ("[1, 2]", "[1, 2]"),
        ("[5]", "5"),
        ("[-2.5]", "-2.5"),
    ],
)
def test_the_first_of_a_list_that_is_written_out_is_taken(tmp_path, cell, answer):
    pd.DataFrame({"problem": ["a"], "answer": [cell]}).to_csv(tmp_path / "p.csv", index=False)
    (row,) = load(tmp_path / "p.csv", extract="first")
    assert row["answer"] == answer


@pytest.mark.parametrize(
    "cell", ["['5' '6']", "['5'", "['5', x]", "[['5']]", "('5',)", "{'a': '5'}", "[]"]
)
def test_a_list_that_cannot_be_read_is_an_error(tmp_path, cell):
    pd.DataFrame({"problem": ["a"], "answer": [cell]}).to_csv(tmp_path / "p.csv", index=False)
    with pytest.raises(UserError, match=r"line 2: column 'answer': (not a JSON|an empty) list"):
        load(tmp_path / "p.csv", extract="first")


def test_a_list_is_never_run(tmp_path):
    cell = "[__import__('os')]"
    pd.DataFrame({"problem": ["a"], "answer": [cell]}).to_csv(tmp_path / "p.csv", index=False)
    assert load(tmp_path / "p.csv", extract="first")[0]["answer"] == cell


def test_a_cell_may_be_long(tmp_path):
    long = "Why? " * 50_000
    (tmp_path / "p.csv").write_text(f"problem,answer\n{long},1\n")
    assert load(tmp_path / "p.csv")[0]["problem"] == long.strip()


def test_a_text_of_parquet_that_is_no_text_is_said_to_be_damaged(tmp_path):
    table = pa.table({"problem": ["Why is that?"], "answer": ["1"]})
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(table, tmp_path / "p.parquet", **plain)
    whole = (tmp_path / "p.parquet").read_bytes()
    (tmp_path / "p.parquet").write_bytes(whole.replace(b"Why is that?", b"Why is tha\xff?"))
    with pytest.raises(UserError, match=r"p\.parquet: not a readable Parquet file"):
        load(tmp_path / "p.parquet")


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_named_by_file_and_line(tmp_path, case):
    text, message = BAD[case]
    path = tmp_path / "mine.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        load(path, extract="first" if case.endswith("list") and case != "list" else None)
    assert message in str(error.value)
    assert "mine" in str(error.value)


@pytest.mark.parametrize(
    ("extract", "mark"), [("boxed", r"no answer marked by \boxed{}"), ("hashes", "####")]
)
def test_a_reference_without_its_mark_is_an_error(tmp_path, extract, mark):
    path = jsonl(tmp_path / "p.jsonl", [{"problem": "?", "answer": "7"}])
    with pytest.raises(UserError) as error:
        load(path, extract=extract)
    assert mark in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", b"problem,answer\na,1\nb\n", "line 3: does not have as many fields"),
        ("p.csv", b"problem,answer\n\xff\xfe,1\n", "not UTF-8"),
        ("p.csv", b"problem,answer,answer\na,1,2\n", "line 1: column 'answer' occurs twice"),
        ("p.parquet", b"not parquet", "not a readable Parquet file"),
        ("p.txt", b"", "not a .jsonl, .csv or .parquet file"),
    ],
)
def test_an_unreadable_file_is_an_error_with_its_name(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name) as error:
        load(tmp_path / name)
    assert message in str(error.value)
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / f"missing-{name.replace('.txt', '.csv')}")


def test_limit_takes_the_first_and_shuffle_others_in_an_order_of_its_own(tmp_path):
    path = jsonl(tmp_path / "p.jsonl")
    first = [row["problem_id"] for row in load(path, limit=2)]
    assert first == ["p/a", "p/b"]
    orders = {tuple(r["problem_id"] for r in load(path, shuffle=seed)) for seed in range(8)}
    assert len(orders) > 4
    assert load(path, shuffle=3) == load(path, shuffle=3)
    with pytest.raises(UserError, match="limit 5, but it has only 4"):
        load(path, limit=5)


def test_all_is_a_limit(tmp_path):
    path = jsonl(tmp_path / "p.jsonl")
    assert load(path, limit="all") == load(path)


def test_skip_leaves_out_the_first_of_the_shuffled(tmp_path):
    path = jsonl(tmp_path / "p.jsonl")
    whole, rest = load(path, shuffle=3), load(path, shuffle=3, skip=1, limit=3)
    assert rest == whole[1:]
    with pytest.raises(UserError, match="limit 4, but it has only 3 problems behind the 1 of skip"):
        load(path, skip=1, limit=4)


def test_levels_are_balanced_by_the_limit(tmp_path):
    path = jsonl(tmp_path / "p.jsonl")
    rows = load(path, levels=[1, "Level 2"], limit=3)
    assert sorted(row["level"] for row in rows) == ["1", "1", "2"]
    assert {row["level"] for row in load(path, levels=[2])} == {"2"}
    with pytest.raises(UserError, match=r"3 problems of level '2' are asked for, there are 2"):
        load(path, levels=[2], limit=3)


def test_where_keeps_the_rows_with_these_values(tmp_path):
    rows = [{"problem": str(n), "answer": "1", "several": n > 1} for n in range(4)]
    pd.DataFrame(rows).to_csv(tmp_path / "p.csv", index=False)
    for path in (jsonl(tmp_path / "p.jsonl", rows), tmp_path / "p.csv"):
        assert [r["problem"] for r in load(path, filter={"several": False})] == ["0", "1"]


def test_two_sources_of_one_name_keep_their_ids_apart(tmp_path):
    (tmp_path / "x").mkdir()
    given = [Source(path=jsonl(tmp_path / "p.jsonl")), Source(path=jsonl(tmp_path / "x/p.jsonl"))]
    ids = [row["problem_id"] for row in problems.load_problems(given, "train")]
    assert len(set(ids)) == 8
    assert ids[4] == "p-2/a"


def test_the_lab_gives_as_many_problems_as_asked_for():
    source = Source.model_validate({"lab": {}, "limit": 3})
    rows = problems.load_problems([source], "train-pool")
    assert len(rows) == 3
    assert rows == problems.load_problems([source], "train")
    with pytest.raises(UserError, match="needs `limit`"):
        problems.load_problems([Source.model_validate({"lab": {}})], "train")


def test_a_local_file_stands_in_for_a_registered_dataset(tmp_path, capsys):
    path = jsonl(tmp_path / "x.jsonl", [{"question": "1 + 1?", "answer": "so\n#### 2"}])
    (row,) = problems.load_problems([Source(register="gsm8k", path=path)], "gsm8k")
    assert (row["problem_id"], row["answer"]) == ("gsm8k/0", "2")
    assert f"note: {path}: 1 problems, the register expects 1319" in capsys.readouterr().err


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(UserError, match="did you mean 'math500'"):
        problems.load_problems([Source(register="math-500")], "x")


def test_the_register_pins_every_dataset_and_says_how_many_problems_must_come_out():
    entries = sources.read_register()
    benchmarks = {"math500": 500, "gsm8k": 1319, "amc23": 40, "aime24": 30, "minerva-math": 272}
    benchmarks |= {"olympiadbench": [581, 580], "olympiadbench-all": 674}
    benchmarks |= {"aime25": 30, "aime26": 30, "math-test": 5000}
    benchmarks |= {"arc-challenge": 1172, "arc-challenge-train": 1119, "openbookqa": 500}
    pools = {"math-train": 7500, "gsm8k-train": 7473}
    pinned = {
        name: entry.rows
        for name, entry in entries.items()
        if re.fullmatch("[0-9a-f]{40}", entry.hub.revision)
    }
    assert pinned == benchmarks | pools
    assert entries.keys() - pinned.keys() == {"simplerl-3to5"}  # the register says why


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"Compute $d.$", r"compute  $d$."),
        (r"Let $x^4 + jx^2$", r"Let $x^{4}+j x^{2}$"),
        (r"\[\cos^3 \frac{2 \pi}{7}\]", r"$\cos ^{3} \frac{2 \pi}{7}$"),
        (r"$\left(\dfrac12\right)$", r"$(\frac12)$"),
        ("Janet’s ducks", "Janet's  ducks"),
        ("ﬁve", "FIVE"),
    ],
)
def test_two_spellings_of_one_problem_agree(one, other):
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("3.5 apples", "35 apples"), ("x + 1", "x - 1"), ("1,000", "1000"), ("a_1", "a_2")],
)
def test_different_problems_stay_different(one, other):
    assert normalise(one) != normalise(other)


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_normalising_takes_any_text_and_never_depends_on_blanks_around(text):
    assert normalise(f"  {text}\n") == normalise(text)


def tables_of(tmp_path, **splits):
    paths = {}
    for split, rows in splits.items():
        paths[split] = str(tmp_path / f"{split}.parquet")
        full = [{"answer": "1", "source": "s", "level": None, **row} for row in rows]
        tables.write(paths[split], "problems", full)
    return paths


def shared(tmp_path):
    def row(i, text):
        return {"problem_id": i, "problem": text}

    return tables_of(
        tmp_path,
        train=[
            row("t1", "One?"),
            row("t2", "Two?"),
            row("t3", "three"),
            row("t4", "Four"),
            row("t5", "four"),
        ],
        validation=[row("v1", "Three?"), row("v2", "Five?"), row("v3", "  $TWO$? ")],
        bench=[row("b1", "two?")],
    )


def cleaned(tmp_path, overlap):
    """Both pools cleaned as the workflow does: validation of the benchmarks, training of both."""
    paths = shared(tmp_path)
    out = {split: tmp_path / "clean" / f"{split}.parquet" for split in ("validation", "train")}
    others = [paths["bench"]]
    for split, path in out.items():
        flags = {"split": split, "overlap": overlap, "out": path}
        command(decontaminate, pool=paths[split], against=others, **flags)
        others = [path, *others]
    return {**out, "bench": paths["bench"]}


def test_an_overlap_drops_the_training_problem_never_the_benchmarks(tmp_path):
    paths = cleaned(tmp_path, "drop")
    ids = {
        split: tables.read(paths[split], "problems")["problem_id"].to_pylist()
        for split in ("train", "validation")
    }
    assert ids == {"train": ["t1", "t4"], "validation": ["v1", "v2"]}
    made = tables.provenance_of(paths["train"], "problems")
    assert (made["doubles"], made["overlap"]) == (1, {"bench": 1, "validation": 1})
    splits = [paths[split] for split in ("train", "validation", "bench")]
    command(decontaminate, audit=splits, out=tmp_path / "audit.json")
    summary = json.loads((tmp_path / "audit.json").read_text())
    assert {name: split["problems"] for name, split in summary["splits"].items()} == {
        "train": 2,
        "validation": 2,
        "bench": 1,
    }


def test_an_overlap_under_fail_is_told_with_both_ids(tmp_path):
    with pytest.raises(UserError, match=r"v3 is b1 of bench") as error:
        cleaned(tmp_path, "fail")
    assert "problems.overlap: drop" in str(error.value)
    assert not (tmp_path / "clean/validation.parquet").exists()


def test_the_audit_stops_a_run_whose_splits_share_a_problem(tmp_path):
    paths = shared(tmp_path)
    splits = [paths[split] for split in ("train", "validation", "bench")]
    with pytest.raises(UserError, match="v3 is b1 of bench"):
        command(decontaminate, audit=splits, out=tmp_path / "audit.json")


def test_references_that_do_not_verify_are_dropped_or_stop_the_run(tmp_path):
    path = jsonl(tmp_path / "p.jsonl", [*ROWS[:2], {**ROWS[2], "answer": r"\boxed{"}])
    config = VerdictsConfig()
    kept, bad = problems.check_references(load(path), config)
    assert [row["problem_id"] for row in kept] == ["p/a", "p/b"]
    assert list(bad) == ["p/c"]
    strict = config.model_copy(update={"bad_references": "fail"})
    with pytest.raises(UserError, match=r"1 references do not verify .*\n.*p/c"):
        problems.check_references(load(path), strict)


def test_the_command_writes_the_table_with_its_provenance(tmp_path):
    out = tmp_path / "train.parquet"
    given = json.dumps([{"path": jsonl(tmp_path / "p.jsonl")}])
    command(problems, sources=given, split="train", out=out)
    assert tables.read(out, "problems").num_rows == 4
    made = tables.provenance_of(out, "problems")
    assert made["stage"] == "problems"
    assert list(made["inputs"]) == [str(Path(tmp_path / "p.jsonl"))]


ARC = {"text": ["ice", "steam", "fog"], "label": ["1", "2", "3"]}


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (ARC, "2"),
        ({**ARC, "label": ["A", "B", "C"]}, "B"),
        (["ice", "steam", "fog"], 1),
        (["ice", "steam", "fog"], "B"),
        (["ice", "steam", "fog"], "steam"),
    ],
)
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_choices_stand_below_the_problem_and_the_reference_is_a_letter(
    tmp_path, options, answer, suffix
):
    rows = [{"problem": "Water boils to", "answer": answer, "options": options}]
    path = tmp_path / f"q.{suffix}"
    jsonl(path, rows) if suffix == "jsonl" else pq.write_table(pa.Table.from_pylist(rows), path)
    (found,) = load(path, choices="options")
    assert found["problem"] == "Water boils to\nA. ice\nB. steam\nC. fog"
    assert found["answer"] == "B"
    kept, bad = problems.check_references([found], VerdictsConfig(verifier="choice"))
    assert kept == [found] and not bad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "D"}, "line 1: column 'answer': D is none of the choices: 1, 2, 3"),
        ({"options": "ice, steam"}, "line 1: column 'options': 2 to 10 choices are expected"),
        ({"options": ["ice"]}, "line 1: column 'options': 2 to 10 choices are expected"),
        ({"options": {**ARC, "label": ["1"]}}, "label and text are not equally long"),
        ({"choices": "answers"}, "line 1: no column 'answers'"),
    ],
)
def test_choices_that_cannot_be_asked_are_named(tmp_path, change, message):
    row = {"problem": "Water boils to", "answer": "2", "options": ARC} | change
    path = jsonl(tmp_path / "q.jsonl", [row])
    with pytest.raises(UserError, match=re.escape(message)):
        load(path, choices=change.get("choices", "options"))
