"""What is said when results were made under other versions of the packages."""

import pytest

from reasonmaxxer import tables
from reasonmaxxer.graph.upgrades import warning
from reasonmaxxer.tables.provenance import versions


@pytest.fixture
def run(tmp_path):
    """A run whose rollouts and training logs were made under the given versions."""

    def make(rollouts: dict, training: dict) -> str:
        tables.write(tmp_path / "rollouts/main/a.parquet", "rollouts", [], {"versions": rollouts})
        tables.write(tmp_path / "training/ours/log.parquet", "training", [], {"versions": training})
        return str(tmp_path)

    return make


def test_nothing_is_said_where_nothing_is_or_all_is_as_now(run, tmp_path):
    assert warning(str(tmp_path)) is None
    assert warning(run(versions(), versions())) is None


def test_an_upgrade_is_named_with_both_versions_and_the_line_that_runs_again(run):
    now = versions()
    said = warning(run(now, {**now, "torch": "2.0.0", "peft": "0.1"}))
    assert f"training with torch 2.0.0 (now {now['torch']})" in said
    assert f"training with peft 0.1 (now {now['peft']})" in said
    assert said.endswith("with the run's --configfile: snakemake --cores all -R training")
    assert warning(run({**now, "torch": "2.0.0"}, now)).endswith("--cores all -R rollouts")


def test_packages_that_compute_nothing_of_a_result_and_broken_tables_say_nothing(run, tmp_path):
    now = versions()
    made = run({**now, "sympy": "1.0"}, now)
    (tmp_path / "rollouts/main/b.parquet").write_text("half a table")
    assert warning(made) is None
