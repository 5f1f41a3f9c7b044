"""The project as a module of another workflow: from a checkout, and from a hub as by snakedeploy.

The hub is a Git repository on this machine, to which Git is told to go for github.com.
"""

import re
import subprocess
from pathlib import Path

import project_copy
import pytest
from conftest import Project
from dry_runs import jobs_in
from project_copy import ROOT, copy_of_the_project

IMPORTER = """
configfile: "{config}"

module reasonmaxxer:
    snakefile: {snakefile}
    config: config

use rule * from reasonmaxxer as {prefix}*
"""
CHANGED = """
use rule train_adapter from reasonmaxxer as {prefix}train_adapter with:
    resources:
        mem_mb=2222

onstart:
    reasonmaxxer.onstart()
"""
CHECKOUT = f'"{ROOT}/workflow/Snakefile"'
HOSTED = 'github("someone/reasonmaxxer", path="workflow/Snakefile", tag="v1")'
LIMITS = ("--resources", "mem_mb=6000", "gpu=1")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory):
    """A folder with a hub of one repository, and with Snakemake's cache."""
    folder = tmp_path_factory.mktemp("hub")
    copy = copy_of_the_project(folder / "someone/reasonmaxxer")
    settings = f'[url "file://{folder}/"]\n insteadOf = https://github.com/\n'
    (folder / "gitconfig").write_text(f"{settings}[user]\n name = someone\n email = a@b\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(project_copy.ENVIRONMENT, "GIT_CONFIG_GLOBAL", str(folder / "gitconfig"))
        patch.setitem(project_copy.ENVIRONMENT, "XDG_CACHE_HOME", str(folder / "cache"))
        steps = (["init", "-q"], ["add", "--all"], ["commit", "-qm", "all"], ["tag", "v1"])
        for step in steps:
            subprocess.run(["git", *step], cwd=copy, env=project_copy.ENVIRONMENT, check=True)
        yield folder


def importer(folder: Path, snakefile: str, prefix: str = "", changed: bool = False) -> Project:
    """A workflow in a folder of its own that imports the project."""
    text = (IMPORTER + CHANGED * changed).format(
        config=ROOT / "config/test.yaml", snakefile=snakefile, prefix=prefix
    )
    (folder / "Snakefile").write_text(text)
    return Project(folder)


@pytest.mark.parametrize(
    ("snakefile", "prefix", "changed"),
    [(CHECKOUT, "", False), (CHECKOUT, "rm_", True), (HOSTED, "rm_", False), (HOSTED, "", True)],
)
def test_whoever_imports_it_plans_the_same_jobs(
    hub, checkout, tmp_path, snakefile, prefix, changed
):
    project = importer(tmp_path, snakefile, prefix, changed)
    planned = project.snakemake("--dry-run", "--printshellcmds")
    own = {f"{prefix}{rule}": jobs for rule, jobs in checkout.would_run().items()}
    found = jobs_in(planned)
    assert found.pop(f"{prefix}default") == 1
    found.pop(f"{prefix}all", None)
    assert found == own
    training = re.search(rf"^rule {prefix}train_adapter:.*?\n\n", planned, re.M | re.S)
    assert training is not None
    assert ("mem_mb=2222" in training[0]) == changed
    assert "batch_tokens=16384" in training[0] and "--batch-tokens 16384" in training[0]
    if snakefile == HOSTED:  # its code and its model are those of the commit
        (unpacked,) = (hub / "cache").glob("**/source-cache/reasonmaxxer/*/config")
        assert f'"path": "{unpacked.parent}/data/lab/model"' in training[0]


def test_a_module_whose_paths_would_move_is_refused(tmp_path):
    project = importer(tmp_path, f'{CHECKOUT}\n    prefix: "elsewhere"')
    printed = project.snakemake("--dry-run", check=False)
    assert "leave both out, and give the run a name of its own" in printed


def test_a_module_of_a_hub_runs_and_a_forced_stage_really_runs_again(hub, tmp_path):
    project = importer(tmp_path, HOSTED, "rm_", changed=True)
    project.snakemake("rm_training", *LIMITS)
    run = tmp_path / "results/test"
    assert {path.name for path in (run / "training").iterdir()} == {"random-gate", "reasonmaxxer"}
    log = run / "logs/select_positions/main.log"
    before = log.stat().st_mtime_ns
    project.snakemake("rm_selection", "-R", "rm_selection", *LIMITS)
    assert log.stat().st_mtime_ns > before
    assert "taken from an earlier job" not in log.read_text()
