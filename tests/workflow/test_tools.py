"""The commands around a run, on a finished run of the lab."""

import json
import re
import subprocess
import sys

import pytest
from hub_server import TOKEN, Hub
from project_copy import ENVIRONMENT
from safetensors.numpy import load_file

from reasonmaxxer import __main__, config, tables

RUN = "results/test"
CONFIG = "config/test.yaml"


@pytest.fixture
def command(project, monkeypatch, capsys):
    """Run `python -m reasonmaxxer ...` in the run's project; returns what it printed."""

    def run(*arguments):
        monkeypatch.chdir(project.folder)
        __main__.main([str(argument) for argument in arguments])
        return capsys.readouterr().out

    return run


def test_check_finds_nothing_wrong(command):
    assert command("check", "--configfile", CONFIG).endswith("nothing wrong found\n")


def test_prompt_shows_what_the_rollouts_were_given(command, project):
    shown = command("prompt", "--configfile", CONFIG, "--n", 2)
    assert shown.count("Solution:◀ the completion starts here") == 2
    path = project.folder / RUN / "rollouts/main/p0-19.s0-3.parquet"
    given = {row["problem_id"]: row["prompt_token_ids"] for row in tables.rows(path, "rollouts")}
    for part in shown.split("\n=== ")[1:]:
        ids = [int(i) for i in part.rpartition("ids: ")[2].split()]
        assert ids == given.get(part.split(" ")[0], ids)
    assert any(problem in shown for problem in given)


def test_judge_says_what_the_run_was_told(command, project, tmp_path):
    problems = tables.rows(project.folder / RUN / "problems/short.parquet", "problems")
    gold = {row["problem_id"]: row["answer"] for row in problems}
    sampled = project.folder / RUN / "evaluation/base/short/s0-1.parquet"
    told = list(tables.rows(sampled, "evaluation"))
    rows = [{"gold": gold[row["problem_id"]], "completion": row["text"]} for row in told]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command("judge", "--input", tmp_path / "in.jsonl", "--output", tmp_path / "out.jsonl")
    judged = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["verdict"] for row in judged] == [row["verdict"] for row in told]
    assert {"correct", "incorrect"} <= {row["verdict"] for row in judged}


def test_snakemakes_own_report_has_the_page_the_tables_and_the_charts(project):
    project.snakemake("--report", "own.html", "--configfile", CONFIG)
    html = (project.folder / "own.html").read_text()
    categories, results = (
        json.JSONDecoder().raw_decode(html, html.index(f'= {{"{first}') + 2)[0]
        for first in ("Page", f"{RUN}/")
    )
    charts = (project.folder / RUN / "charts").glob("*.svg")
    files = {name: group["Other"] for name, group in categories.items()}
    assert files == {
        "Page": [f"{RUN}/report.html"],
        "Tables": [f"{RUN}/differences.parquet", f"{RUN}/metrics.parquet"],
        "Figures": sorted(f"{RUN}/charts/{path.name}" for path in charts),
    }
    assert len(files["Figures"]) == 5
    assert all("<p>" in result["caption"] for result in results.values())


def test_show_prints_the_main_table(command):
    shown = command("show", RUN)
    assert "accuracy in percent" in shown
    assert "random-gate" in shown
    assert command("show") == shown  # the latest run


def test_every_arm_that_was_made_says_what_it_took(project):
    figures = json.loads((project.folder / RUN / "metrics.json").read_text())
    costs = {row["arm"]: row for row in figures["costs"]}
    assert {"reasonmaxxer", "random-gate"} <= set(costs)
    for row in costs.values():
        assert row["seconds"] > 0
        assert row["sweep_seconds"] is not None
        assert row["generated_tokens"] > 0


def test_export_leaves_with_the_adapter_and_its_figures(command, project, tmp_path):
    out = tmp_path / "lab-adapter"
    command("export", "--configfile", CONFIG, "--out", out)
    made = project.folder / RUN / "adapters/reasonmaxxer/adapter_model.safetensors"
    exported = load_file(out / "adapter_model.safetensors")
    assert exported.keys() == load_file(made).keys()
    card = (out / "README.md").read_text()
    for row in tables.rows(project.folder / RUN / "metrics.parquet", "metrics"):
        if (row["metric"], row["arm"]) == ("accuracy", "reasonmaxxer") and row["benchmark"] in (
            "short",
            "far",
        ):
            assert f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})" in card


READ = """
import json, datasets
rows = datasets.load_dataset("me/rollouts", split="train")
print(json.dumps({"columns": rows.column_names, "rows": rows.to_list()}))
"""


def test_push_uploads_adapter_and_rollouts_and_the_hub_reads_them(project, tmp_path):
    home = {"HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
    paths = {"PYTHONPATH": str(project.folder / "workflow")}
    options = {"cwd": project.folder, "capture_output": True, "text": True}
    command = [sys.executable, "-m", "reasonmaxxer", "push", "--configfile", CONFIG]
    command += ["--to", "me/adapter", "--rollouts-to", "me/rollouts", "--private"]
    with Hub({}) as hub:
        environment = {**ENVIRONMENT, **home, **paths, "HF_ENDPOINT": hub.url}
        refused = subprocess.run(command, env=environment, **options)
        assert refused.returncode == 2 and not hub.repositories
        assert "--to me/adapter: " in refused.stderr and "set HF_TOKEN" in refused.stderr
        environment["HF_TOKEN"] = TOKEN
        done = subprocess.run(command, env=environment, **options)
        assert done.returncode == 0, done.stderr
        adapter, rollouts = (hub.repositories[name] for name in ("me/adapter", "me/rollouts"))
        assert (adapter.kind, rollouts.kind) == ("models", "datasets")
        assert adapter.private and rollouts.private
        read = subprocess.run([sys.executable, "-c", READ], env=environment, **options)
        assert read.returncode == 0, read.stderr
    folder = project.folder / RUN
    made = folder / "adapters/reasonmaxxer/adapter_model.safetensors"
    assert adapter.files["adapter_model.safetensors"] == made.read_bytes()
    assert adapter.files["README.md"].startswith(b"---\n")
    found = json.loads(read.stdout)["rows"]
    shard = "main/p0-19.s0-3.parquet"
    texts = {
        (row["problem_id"], row["sample"]): row["text"]
        for row in tables.rows(folder / "rollouts" / shard, "rollouts")
    }
    assert {(row["problem_id"], row["sample"]): row["completion"] for row in found} == texts
    verdicts = [row["verdict"] for row in tables.rows(folder / "verdicts" / shard, "verdicts")]
    assert sorted(row["verdict"] for row in found) == sorted(verdicts)
    scored = [row["entropy"] for row in tables.rows(folder / "entropies" / shard, "entropies")]
    assert [entropy for row in found for entropy in row["entropies"]] == scored
    assert all(len(row["entropies"]) == len(row["token_ids"]) for row in found)


def test_init_writes_a_config_for_the_lab_model_and_checks_both(command, tmp_path):
    out = tmp_path / "mine.yaml"
    said = command(
        *("init", "--model", "data/lab/model", "--problems", f"{RUN}/problems/train.parquet"),
        *("--benchmarks", f"{RUN}/problems/far.parquet", "--train", 8, "--validation", 8),
        *("--out", out),
    )
    assert "nothing wrong found" in said
    assert config.load([out]).model.path == "data/lab/model"
    assert sum(line.lstrip().startswith("#") for line in out.read_text().splitlines()) > 4


def test_the_line_that_init_prints_starts_the_run(checkout, tmp_path):
    """Pasted into a shell as it stands, from a file whose name has a blank and a quote in it."""
    rows = [{"problem": f"Ann has {i}. How many has Ann?", "answer": str(i)} for i in range(70)]
    for name, part in (("pool", rows[:60]), ("exam", rows[60:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    command = [sys.executable, "-m", "reasonmaxxer", "init", "--model", "data/lab/model"]
    command += ["--problems", tmp_path / "pool.jsonl", "--benchmarks", tmp_path / "exam.jsonl"]
    command += ["--train", "40", "--validation", "20", "--out", tmp_path / "It's mine.yaml"]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(checkout.folder / "workflow")}
    options = {"cwd": checkout.folder, "env": environment, "capture_output": True, "text": True}
    said = subprocess.run(command, check=True, **options).stdout
    line = re.search(r"^run it: (.*)$", said, re.M)[1]
    assert "0 of validation are left out, 0 of train are left out" in said
    started = subprocess.run(["sh", "-c", f"{line} --dry-run"], check=False, **options)
    assert started.returncode == 0, started.stdout + started.stderr
