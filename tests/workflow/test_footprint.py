"""The footprint analysis as a branch of a finished run: off by default, cached part by part."""

import pytest
from test_reruns import METRICS

SECTION = {
    "teacher": "reasonmaxxer",
    "benchmark": "short",
    "pivotality": {"positions": 8, "continuations": 2},
    "capability": {"problems": 5, "samples": 4},
}
PARTS = {
    "write_greedy_text": 1,
    "measure_footprint": 2,
    "decode_interventions": 1,
    "judge_interventions": 1,
    "sample_continuations": 1,
    "judge_continuations": 1,
    "sample_capability": 2,
    "judge_capability": 2,
}


def test_the_analysis_runs_beside_a_finished_run(project):
    assert project.would_run({"footprint": SECTION}) == {**PARTS, **METRICS}


@pytest.mark.parametrize("target", ["footprint", "interventions", "pivotality", "capability"])
def test_without_the_section_a_part_says_how_to_get_it(project, target):
    output = project.snakemake("--dry-run", target, "--configfile", "config/test.yaml", check=False)
    assert "footprint: is null" in output
    assert "footprint: {teacher: <arm>, benchmark: <benchmark>}" in output


def test_parts_are_made_once_and_again_only_by_their_own_keys(project):
    project.would_run({"footprint": SECTION})  # writes change.yaml
    files = ("--configfile", "config/test.yaml", "change.yaml")
    project.snakemake("footprint", "interventions", "pivotality", *files)
    capability = {"sample_capability": 2, "judge_capability": 2}
    assert project.would_run({"footprint": SECTION}) == {**capability, **METRICS}
    for change, again in (
        ({"samples": 2}, {"measure_footprint": 2}),
        ({"pivotality": {**SECTION["pivotality"], "margin": 0.4}}, {}),
        ({"top_tokens": 10}, {"decode_interventions": 1, "judge_interventions": 1}),
        (
            {"pivotality": {**SECTION["pivotality"], "positions": 6}},
            {"sample_continuations": 1, "judge_continuations": 1},
        ),
    ):
        jobs = project.would_run({"footprint": {**SECTION, **change}})
        assert jobs == {**again, **capability, **METRICS}
