"""Where Snakemake's own behaviour is changed, or its internals are read; all of it stands here.

Each function says which issue of Snakemake it works around, and which test tells when it may go.
They hold for the minor versions in `CHECKED_ON`; under another one `apply` says so and goes on,
since each of them only makes Snakemake do more or less work than is needed.
"""

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from pathlib import Path
from typing import Any

import snakemake
from snakemake.dag import DAG
from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord
from snakemake.persistence.file import FilePersistence
from snakemake.ruleinfo import RuleInfo

from .reasons import NO_RECORD

CHECKED_ON = ("9.27",)


def apply(workflow: Any, run: str) -> None:
    """Change what has to be changed before the graph is built; `run` is the run's folder."""
    if not snakemake.__version__.startswith(CHECKED_ON) and workflow.is_main_process:
        print(
            f"Snakemake {snakemake.__version__}: this workflow was checked with "
            f"{' and '.join(CHECKED_ON)}; a rerun may do more or less than it should",
            file=sys.stderr,
        )
    see_changes_behind_ancient_files()
    keep_resources_that_are_not_named(workflow.globals)
    keep_records_with_results((run, "results/report.html", "results/models", "results/pretrain"))
    name_every_cause(workflow)


class NotAncient:
    """The jobs behind each job, without those that have nothing but ancient() files of it."""

    def __init__(self, depending: Mapping[Any, Mapping[Any, Iterable[Any]]]) -> None:
        self.depending = depending

    def __getitem__(self, job: Any) -> dict[Any, Iterable[Any]]:
        return {
            behind: files
            for behind, files in self.depending[job].items()
            if not all(file.is_ancient for file in files)
        }


def see_changes_behind_ancient_files(walk: Any = DAG.bfs) -> None:
    """Let Snakemake see what changed in a job that waits for another with ancient() alone.

    Where a job runs, Snakemake asks no job behind it for reasons of its own, since all of them run
    anyway; those behind an ancient() file do not (issue 4166). With a changed prompt, which is
    checked again, nothing but the check would run. To wait for a job without running again
    whenever it does, Snakemake has nothing but ancient(). Without this, the rows `prompt.*` and
    `model.*` of tests/workflow/test_rerun_table.py fail.
    """

    def bfs(self: Any, direction: Any, *jobs: Any, **options: Any) -> Any:
        behind = direction is self.depending
        return walk(self, NotAncient(direction) if behind else direction, *jobs, **options)

    DAG.bfs = bfs


def keep_resources_that_are_not_named(
    ours: Mapping[str, Any], apply: Any = RuleInfo.apply_modifier
) -> None:
    """Let `use rule ... with: resources:` change what it names of our rules, and keep the rest.

    Snakemake merges params so, but replaces all resources: a job whose memory an importer raises
    would not know its batch size any more. Without this, tests/workflow/test_module.py fails.
    """

    def apply_modifier(self: Any, modifier: Any, *arguments: Any, **options: Any) -> Any:
        given = modifier.ruleinfo_overwrite
        if modifier.globals is ours and given and given.resources and self.resources:
            modifier = copy(modifier)
            modifier.ruleinfo_overwrite = given = copy(given)
            given.resources = ((), {**self.resources[1], **given.resources[1]})
        return apply(self, modifier, *arguments, **options)

    RuleInfo.apply_modifier = apply_modifier


RECORDS = ".records"
empty = partial(MetadataRecord, record_format_version=RECORD_FORMAT_VERSION)


def keep_records_with_results(ours: Sequence[str]) -> None:
    """Keep what Snakemake knows of a file in its run's folder, and trust no result without one.

    Snakemake keeps it in `.snakemake`, and takes a file of which it knows nothing for what the
    config asks for. Results that were copied, or a folder that had another run's page, would then
    pass for results of any config. Files that are not `ours`, of a workflow that imports this one,
    are left to it. Without this, tests/workflow/test_moved_results.py fails.
    """
    place, metadata = FilePersistence._record_path, FilePersistence.metadata
    forget = FilePersistence.cleanup_metadata

    def is_ours(name: Any) -> bool:
        path = Path(name)
        return any(Path(one) in (path, *path.parents) for one in ours)

    def beside(self: Any, subject: str, name: str) -> Any:
        if subject == self._metadata_path and is_ours(name):
            self._fetch_max_len(subject)  # of a folder that exists
            parts = Path(name).parts
            run = parts[:2] if len(parts) > 2 else ("results",)
            subject = str(Path(*run, RECORDS))
        return place(self, subject, name)

    def or_unknown(self: Any, target: Any) -> Any:
        record = metadata(self, target)
        unknown = is_ours(target) and Path(target).exists()
        return record or (empty(params=[NO_RECORD]) if unknown else None)

    def valid_as_it_is(self: Any, target: Any) -> bool:
        record, known = self.metadata(target), forget(self, target)
        if record is not None:  # its inputs are compared by content, as ever
            valid = empty(input_checksums=record.input_checksums)
            self._write_record(self._get_key(target), valid)
        return known or record is not None

    FilePersistence._record_path = beside
    FilePersistence.metadata = or_unknown
    FilePersistence.cleanup_metadata = valid_as_it_is  # as its option promises


def name_every_cause(workflow: Any) -> None:
    """Let a plan see what changed in jobs that run anyway, behind others.

    Snakemake asks no job behind one that runs for reasons of its own. Without this,
    `test_the_plan_names_every_change` of tests/workflow/test_moved_results.py fails.
    """
    find = DAG.update_needrun

    async def find_all(self: Any, *arguments: Any, **options: Any) -> None:
        await find(self, *arguments, **options)
        for job in self.needrun_jobs() if workflow.dryrun else ():
            if workflow.persistence.has_metadata(job):
                self.reason(job).params_changed = workflow.persistence.params_changed(job)

    DAG.update_needrun = find_all


def look_when_a_job_ends(workflow: Any) -> None:
    """Take away the scheduler's limit of jobs a second, which a local run has no use for.

    With it, Snakemake looks at all ready jobs again a second after every look (pull request 3744):
    each job that ends adds one look a second for the rest of the run. Without this,
    `test_snakemake_looks_for_work_when_a_job_ends` of tests/workflow/test_reruns.py fails.
    """
    if workflow.local_exec:
        workflow.scheduler.job_rate_limiter = None


def forced_outputs(workflow: Any) -> list[str]:
    """The files that this run is told to make again (`-R`, `--force`), whatever was made before.

    Snakemake does not tell a job why it runs. Without this, tests/workflow/test_reuse.py fails at
    `test_a_forced_stage_is_really_made_again`.
    """
    return [
        str(file)
        for job in workflow.dag.needrun_jobs()
        if workflow.dag.reason(job).forced
        for file in job.output
    ]


def force(workflow: Any, stage: str, rules: Iterable[str]) -> None:
    """Force the jobs of `rules` where the rule of the stage's name is forced (`-R <stage>`).

    Snakemake forces the rules that are named, and the one of the stage's name makes nothing; there
    is no hook for more. `test_a_stage_can_be_forced` of tests/workflow/test_reruns.py tests it.
    """
    forced = workflow.dag.forcerules
    if workflow.get_rule(stage) in forced:
        forced.update(workflow.get_rule(rule) for rule in rules if workflow.is_rule(rule))


def is_no_repetition(record: logging.LogRecord) -> bool:
    """A logging filter. Snakemake prints a failed command twice: as the error and with the rule."""
    return "CalledProcessError in file" not in record.getMessage()
