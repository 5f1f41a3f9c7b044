"""Whatever is wrong with a config, its inputs or its machine: `check` says it, and runs nothing."""

import re

import pytest
import yaml
from bad_input_cases import CASES, ROOT, config_files

from reasonmaxxer import config
from reasonmaxxer.__main__ import main
from reasonmaxxer.errors import UserError
from reasonmaxxer.modeling.base_model import load_base


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the project's configs and data, in which nothing has run."""
    for name in ("config", "data"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", CASES)
def test_check_names_the_mistake_and_the_remedy(name, project, tmp_path_factory, capfd):
    files = config_files(name, tmp_path_factory.mktemp("case"))
    with pytest.raises(SystemExit) as ended:
        main(["check", "--configfile", *files])
    assert ended.value.code == 2
    said = capfd.readouterr().err
    for part in CASES[name][1]:
        assert part in said
    assert "Traceback" not in said
    assert not (project / "results").exists()


def test_weights_that_are_missing_are_never_filled_with_random_numbers(tmp_path):
    config_files("weights without a layer", tmp_path)
    path = str(tmp_path / "model")
    with pytest.raises(UserError, match=r"layers\.1\.mlp\.up_proj\.weight is missing"):
        load_base(path, config.ModelConfig(path=path, dtype="float32"))


def test_nothing_is_wrong_with_the_config_that_the_mistakes_are_laid_over(project, capfd):
    main(["check", "--configfile", "config/test.yaml"])
    assert "nothing wrong found" in capfd.readouterr().out


def test_the_default_config_is_checked_where_none_is_named(project, capfd):
    main(["check"])
    assert "nothing wrong found" in capfd.readouterr().out


def test_an_overlay_takes_an_arm_and_a_benchmark_out(project):
    overlay = {"arms": {"random-gate": None}, "benchmarks": {"far": None}}
    (project / "change.yaml").write_text(yaml.safe_dump(overlay))
    run = config.load(["config/test.yaml", "change.yaml"])
    assert [*run.arms] == ["base", "reasonmaxxer"]
    assert [*run.benchmarks] == ["short"]


def test_a_line_that_a_user_is_told_to_run_runs_as_it_stands():
    sources = (ROOT / "workflow").rglob("*.py")
    told = [
        line
        for path in sources
        for line in re.findall(r"[\"`:] ?(snakemake .*)", path.read_text())
        if path.name != "__init__.py"
    ]
    assert len(told) > 5
    assert [line for line in told if not line.startswith("snakemake --cores ")] == []
