"""CONTRIBUTING's recipes, carried out on a copy of the project with a finished run, and run."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Project
from project_copy import COPIED, ROOT

from reasonmaxxer import tables

PACKAGE = "workflow/reasonmaxxer"
REGISTRY = f"{PACKAGE}/registry.py"
GATES_FILE = f"{PACKAGE}/method/gates.py"
KINDS_FILE = f"{PACKAGE}/method/kinds.py"

# --- a stage: counts the problems to train on -----------------------------------------------------

COUNT = {
    f"{PACKAGE}/stages/count.py": '''"""Stage `count`: how many problems there are to train on."""

import argparse
import json
from pathlib import Path

from .. import tables

HELP = "count the problems to train on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--problems", required=True, help="table `problems`")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")


def main(args: argparse.Namespace) -> None:
    count = tables.num_rows(args.problems, "problems")
    tables.write_text(args.out, json.dumps({"problems": count}))
''',
    "workflow/rules/count.smk": """rule count:
    input:
        forcible("count"),
        f"{RUN}/count.json",


rule count_problems:
    input:
        f"{RUN}/problems/train.parquet",
    output:
        f"{RUN}/count.json",
    log:
        f"{RUN}/logs/count_problems.log",
    benchmark:
        f"{RUN}/benchmarks/count_problems.tsv"
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.cpu.threads
    resources:
        **asked("cpu"),
    params:
        code=code("count"),
    shell:
        "python -m reasonmaxxer count --problems {input} --out {output} > {log} 2>&1"
""",
}
COUNT_LINE = """    Stage(
        name="count",
        rules=("count_problems",),
        label="Problems",
        makes="`count.json`: how many problems there are to train on",
        heavy=False,
    ),
"""

# --- a gate: the positions in the middle ----------------------------------------------------------

MIDDLE_GATE = """

def _middle(at: Candidates, rng: np.random.Generator) -> Positions:
    return np.arange(len(at.above)) + (len(at.entropies) - len(at.above)) // 2
"""
MIDDLE_LINE = '    "middle": Gate(_middle, words="the positions in the middle"),\n'

# --- a kind of arm: an adapter of random numbers --------------------------------------------------

NOISE = {
    f"{PACKAGE}/stages/noise.py": '''"""Stage `noise`: an adapter that has learnt nothing."""

import argparse
import tempfile
from pathlib import Path

import torch

from ..config import ModelConfig, TrainingConfig
from ..modeling.base_model import load_base, pack_adapter
from ..modeling.lora import Adapter
from ..tables.artefacts import save_tensors

HELP = "draw an adapter at random"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model-config", required=True, help="config section `model` as JSON")
    parser.add_argument("--config", required=True, help="config section `training` as JSON")
    parser.add_argument("--out", type=Path, required=True, help="folder of the adapter to write")


def main(args: argparse.Namespace) -> None:
    model = ModelConfig.from_json(args.model_config)
    config = TrainingConfig.from_json(args.config)
    adapter = Adapter(load_base(model.path, model).model, config).tensors()
    drawn = {name: 0.02 * torch.randn_like(tensor) for name, tensor in adapter.items()}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "drawn.safetensors"
        save_tensors(weights, drawn, {})
        pack_adapter(args.out, weights, model, config)
''',
    "workflow/rules/noise.smk": """rule noise:
    input:
        forcible("noise"),
        [files.arm_weights(CONFIG, arm) for arm in CONFIG.of_kind("noise")],


rule draw_adapter:
    input:
        model_files(),
    output:
        adapter=f"{RUN}/adapters/{{arm}}/adapter_model.safetensors",
        config=f"{RUN}/adapters/{{arm}}/adapter_config.json",
    log:
        f"{RUN}/logs/draw_adapter/{{arm}}.log",
    benchmark:
        f"{RUN}/benchmarks/draw_adapter/{{arm}}.tsv"
    wildcard_constraints:
        arm=named(CONFIG.of_kind("noise")),
    conda:
        ENVIRONMENT
    threads: CONFIG.resources.training.threads
    resources:
        **asked("training", one_process=True),
    params:
        model=section("model"),
        config=lambda wildcards: CONFIG.section_of(wildcards.arm, "training").as_json(),
        code=code("noise"),
    shell:
        "python -m reasonmaxxer noise --model-config {params.model:q}"
        " --config {params.config:q} --out $(dirname {output.config:q}) > {log} 2>&1"
""",
}
NOISE_LINE = """    Stage(
        name="noise",
        rules=("draw_adapter",),
        label="Noise",
        makes="`adapters/<arm>/`: a LoRA of random numbers",
        uses="PEFT",
    ),
"""
NOISE_KIND = """    "noise": Kind(
        words="a LoRA of random numbers",
        card="drawn at random",
        sections=("training",),
        rule="draw_adapter",
    ),
"""
NOISE_ARM = {"arms": {"static": {"kind": "noise", "title": "Random adapter"}}}


class Tree(Project):
    """A copy of the project that a test edits."""

    def add(self, files: dict[str, str]) -> None:
        for path, text in files.items():
            assert not (self.folder / path).exists()
            (self.folder / path).write_text(text)

    def insert(self, path: str, before: str, text: str) -> None:
        """Put text into a file, before a line that stands there once."""
        file = self.folder / path
        assert file.read_text().count(before) == 1
        file.write_text(file.read_text().replace(before, text + before))

    def touched(self) -> set[str]:
        """The project's files that are not as they were."""
        return {path for path in self._files() if not same(self.folder / path, ROOT / path)}

    def _files(self) -> Iterator[str]:
        for name in COPIED:
            for path in [self.folder / name, *(self.folder / name).rglob("*")]:
                if path.is_file() and "__pycache__" not in path.parts:
                    yield str(path.relative_to(self.folder))


def same(one: Path, other: Path) -> bool:
    return other.exists() and one.read_bytes() == other.read_bytes()


@pytest.fixture
def tree(project, tmp_path) -> Tree:
    shutil.copytree(project.folder, tmp_path / "project", symlinks=True)
    return Tree(tmp_path / "project")


@pytest.fixture
def unmade(checkout, tmp_path) -> Tree:
    """The same without a run."""
    shutil.copytree(checkout.folder, tmp_path / "project", symlinks=True)
    return Tree(tmp_path / "project")


def add_stage(tree: Tree, files: dict[str, str], line: str) -> None:
    tree.add(files)
    tree.insert(REGISTRY, '    Stage(\n        name="preflight",', line)


def add_kind(tree: Tree) -> None:
    add_stage(tree, NOISE, NOISE_LINE)
    tree.insert(KINDS_FILE, '    "checkpoint": Kind(', NOISE_KIND)


# --- the recipes ----------------------------------------------------------------------------------


def test_a_stage_is_a_module_a_rule_file_and_a_line(tree):
    moved = tree.would_run()  # the page, whose template lies in another folder now
    add_stage(tree, COUNT, COUNT_LINE)
    assert tree.touched() == {*COUNT, REGISTRY}
    assert tree.would_run() == moved
    assert tree.would_run(None, "count") == {"count_problems": 1, "count": 1}
    tree.snakemake("count", "--configfile", "config/test.yaml")
    run = tree.folder / "results/test"
    rows = tables.num_rows(run / "problems/train.parquet", "problems")
    assert json.loads((run / "count.json").read_text()) == {"problems": rows}
    # It is a command, it can be frozen, and -R forces its jobs.
    assert "count_problems" in tree.would_run(None, "count", "-R", "count")
    assert tree.would_run({"freeze": ["count"]}, "count").keys() <= {"count"}


def test_a_gate_is_an_entry_of_the_table(tree):
    tree.insert(GATES_FILE, "\n\ndef _last(", MIDDLE_GATE)
    tree.insert(GATES_FILE, '    "last": Gate(', MIDDLE_LINE)
    assert tree.touched() == {GATES_FILE}
    change = {"arms": {"middle": {"selection": {"gate": "middle"}}}}
    tree.snakemake("selection", "--configfile", *tree.config_files(change))
    folder = tree.folder / "results/test/selection"
    found, main = (
        tables.read(folder / f"{name}.parquet", "selection").to_pylist()
        for name in ("gate=middle", "main")
    )
    assert len(found) == len(main)
    for row, other in zip(found, main, strict=True):
        places, length = row["positions"], len(row["token_ids"])
        assert len(places) == len(other["positions"])
        assert places == list(range(places[0], places[0] + len(places)))
        assert places[0] == (length - len(places)) // 2


def test_a_kind_of_arm_is_an_entry_and_its_stage(tree):
    add_kind(tree)
    assert tree.touched() == {*NOISE, REGISTRY, KINDS_FILE}
    jobs = {"draw_adapter": 1, "sample_evaluation": 1, "judge_evaluation": 1}
    page = {"compute_metrics": 1, "render_report": 1, "publish_report": 1}
    assert tree.would_run(NOISE_ARM) == {**jobs, **page}
    tree.snakemake("--configfile", *tree.config_files(NOISE_ARM))
    run = tree.folder / "results/test"
    found = json.loads((run / "metrics.json").read_text())
    assert {row["benchmark"] for row in found["rows"] if row["arm"] == "static"} == {
        *("short", "far", "mean"),
    }
    (cost,) = (row for row in found["costs"] if row["arm"] == "static")
    assert cost["seconds"] > 0
    assert cost["trained_tokens"] == 0
    assert "Random adapter" in (run / "report.html").read_text()


# --- a forgotten half -----------------------------------------------------------------------------


def refused(tree: Tree, change: dict | None = None) -> str:
    files = tree.config_files(change)
    said = tree.snakemake("--dry-run", "--configfile", *files, check=False)
    assert "Traceback" not in said
    assert "Job stats" not in said
    return said


@pytest.mark.parametrize("missing", COUNT)
def test_a_stage_without_its_module_or_rules_names_them(unmade, missing):
    add_stage(unmade, {path: text for path, text in COUNT.items() if path != missing}, COUNT_LINE)
    said = refused(unmade)
    assert REGISTRY in said
    assert "stage 'count'" in said
    assert missing in said


def test_a_stage_without_its_line_names_the_registry(unmade):
    unmade.add(COUNT)
    said = refused(unmade)
    assert "workflow/rules/count.smk" in said
    assert REGISTRY in said


def test_an_unknown_kind_names_the_known_ones(unmade):
    add_stage(unmade, NOISE, NOISE_LINE)
    said = refused(unmade, NOISE_ARM)
    assert "arms.static.kind: " in said
    assert "'distilled'" in said


def test_a_kind_without_its_stage_names_both_files(unmade):
    unmade.insert(KINDS_FILE, '    "checkpoint": Kind(', NOISE_KIND)
    said = refused(unmade)
    assert KINDS_FILE in said
    assert "kind 'noise'" in said
    assert "'draw_adapter'" in said
    assert REGISTRY in said
