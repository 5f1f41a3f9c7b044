"""What the rules share: the checked config, where files lie, and what a stage depends on."""

import json
import os
import re
import shlex
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path


def project_folder():
    """Where the project lies, whoever imports it.

    Of one that is hosted (`github(...)`) Snakemake has a bare clone: its files are unpacked once.
    """
    here = workflow.current_basedir
    if here.is_local:
        return Path(here).parents[1]
    repository = here.hosted_repo.repo
    commit = repository.commit(here.ref).hexsha
    folder = workflow.sourcecache.cache_path / "reasonmaxxer" / commit
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        partial = tempfile.mkdtemp(dir=folder.parent)
        with tempfile.TemporaryFile() as archive:
            repository.archive(archive, commit)
            archive.seek(0)
            with tarfile.open(fileobj=archive) as files:
                files.extractall(partial, filter="data")
        os.rename(partial, folder)
    return folder


HOME = project_folder()
sys.path.insert(0, f"{HOME}/workflow")

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

from reasonmaxxer.tables import reuse
from reasonmaxxer.tables.code_hash import code_hash
from reasonmaxxer.training.model_card import how
from reasonmaxxer.config import BASES, read_file, validate
from reasonmaxxer.errors import UserError
from reasonmaxxer.graph import (
    checks,
    files,
    footprint,
    gpus,
    jobs,
    machine,
    shards,
    snakemake_patches,
    upgrades,
)
from reasonmaxxer.graph import protocol as sampling
from reasonmaxxer.graph.manifest import manifest, manifest_files
from reasonmaxxer.method.kinds import CHOSEN
from reasonmaxxer.modeling.dimensions import Dimensions
from reasonmaxxer.registry import STAGES

try:
    for file in workflow.configfiles:
        read_file(file)  # of two equal keys Snakemake would silently take the last
    CONFIG = validate(config)
    checks.check(CONFIG)
    checks.check_stages(HOME / "workflow/rules")
except UserError as error:
    raise WorkflowError(str(error))

moved = workflow.modifier.path_modifier
if moved.prefix or moved.modifies_prefixes:
    raise WorkflowError(
        "module: prefix, replace_prefix: commands are told paths of results too; leave both out, "
        "and give the run a name of its own in its config (run)"
    )

RUN = f"results/{CONFIG.run}"

# A cluster's job plans the blocks of samples that the run's own process found, not those that lie
# there when it starts.
DRAWN = "REASONMAXXER_DRAWN"
if not workflow.is_main_process and DRAWN in os.environ:
    shards.listen(os.environ[DRAWN])

if workflow.is_main_process and (warning := upgrades.warning(RUN)):
    print(f"versions: {warning}", file=sys.stderr)

# Jobs on this machine take their GPUs from a pool that all runs share. On a cluster the scheduler
# has given each job its own.
GPU_POOL = "" if workflow.remote_exec else gpus.default_pool()

# Jobs find the package without an installation, and run in the Python that runs Snakemake, unless
# `--sdm` has given them one of their own.
SOFTWARE = workflow.deployment_settings.deployment_method
OWN_PYTHON = not SOFTWARE.isdisjoint(
    {DeploymentMethod.CONDA, DeploymentMethod.APPTAINER}
)
PYTHON = (
    "" if OWN_PYTHON else f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
)
# With `--default-storage-provider`, the paths of results that commands are told lead through a link
# to what Snakemake has fetched.
FETCHED = moved.apply_default_storage(RUN)
LINK = ""
if FETCHED != RUN:
    if Path(RUN).is_dir() and not Path(RUN).is_symlink():
        raise WorkflowError(
            f"{RUN}: a folder of a run without storage; move it away, or give this run another "
            "name in its config (run)"
        )
    link = shlex.join(["ln", "-sn", str(Path(FETCHED).absolute()), RUN])
    LINK = f"mkdir -p results {FETCHED}; {link} 2> /dev/null || test -L {RUN}; "
shell.prefix(
    f"set -euo pipefail; {LINK}"
    f"export PYTHONPATH={shlex.quote(f'{HOME}/workflow')} {PYTHON}"
    f" REASONMAXXER_GPU_POOL={shlex.quote(str(GPU_POOL))}; "
)

# For `--sdm conda` and `--sdm apptainer`; otherwise the environment is the one Snakemake runs in.
LOCK = "cuda" if CONFIG.resources.gpus else "cpu"
ENVIRONMENT = f"{HOME}/envs/{LOCK}.yaml"
IMAGE = f"envs/{LOCK}.sif"
# Snakemake runs a copy of the post-deploy script, which has to find its lock.
os.environ.update(REASONMAXXER_ENVS=f"{HOME}/envs")
if DeploymentMethod.APPTAINER in SOFTWARE and not Path(IMAGE).exists():
    raise WorkflowError(f"{IMAGE}: no such image; build it as profiles/README.md says")


container: IMAGE


wildcard_constraints:
    arm="|".join(map(re.escape, CONFIG.arms)),
    origin="[^/]+",
    split="[^/]+",
    benchmark="[^/]+",
    shard="[^/]+",


SPLITS = ["train", "validation", *CONFIG.benchmarks]

# The splits whose problems are left out of each pool.
CLEANED_OF = {
    pool: [
        f"{RUN}/problems/{split}.parquet"
        for split in splits
        if CONFIG.problems.overlap == "drop"
    ]
    for pool, splits in {
        "validation": CONFIG.benchmarks,
        "train": ["validation", *CONFIG.benchmarks],
    }.items()
}


snakemake_patches.apply(workflow, RUN)

# The name that a rule has here, since whoever imports it may have renamed it.
called = workflow.modifier.modify_rulename


def check_machine():
    """Stop a run before its first job, if what it asks for is not here.

    The nodes of a cluster are its scheduler's affair, and a page is rendered anywhere.
    """
    given = workflow.global_resources.get("gpu")
    limit = given.value if given else None
    if limit is not None and limit < CONFIG.resources.gpus:
        raise WorkflowError(
            f"config: resources: a job asks for {CONFIG.resources.gpus} GPUs, all jobs together "
            f"may use {limit}: give --resources gpu=<number>, or a profile that says so "
            "(profiles/local-gpus)"
        )
    heavy = {
        called(rule) for stage in STAGES.values() if stage.heavy for rule in stage.rules
    }
    if not workflow.local_exec or heavy.isdisjoint(
        job.rule.name for job in workflow.dag.needrun_jobs()
    ):
        return
    try:
        model = CONFIG.model
        scarce = machine.check(CONFIG, Dimensions.of_model(model.path, model.revision))
    except UserError as error:
        raise WorkflowError(str(error))
    for line in scarce:
        logger.warning(line)


# Ancient, so that they rerun nothing: they stop a run that cannot work, and change no result.
CHECKED = ancient([f"{RUN}/problems/audit.json", f"{RUN}/problems/preflight.json"])


@cache
def code(stage):
    """Hash of all our code behind a stage; a rule's param, since Snakemake sees rules only."""
    return code_hash(f"stages.{stage}")


def kept_code(stage, table, frozen_with=None):
    """The same, unless the config freezes the stage: then the hash that made the table is valid.

    `table` is the pattern of a Parquet output. A function of wildcards alone: Snakemake does not
    track params that look at their output.
    """
    if (frozen_with or stage) not in CONFIG.freeze:
        return code(stage)
    return lambda wildcards: files.recorded_code(
        table.format(**dict(wildcards)), code(stage)
    )


def asked(stage, one_process=False):
    """Resources of a stage's jobs, from the config: untracked, as they change no result.

    A job that is tried again may have run out of memory or time, and asks for half as much more.
    A command that is one process takes one GPU at most: TRL refuses more, others would idle.
    """
    given = CONFIG.resources.of(stage)
    if one_process:
        given |= {"gpu": min(1, given["gpu"]), "processes": 1}

    def more(key):
        return lambda wildcards, attempt: given[key] * (attempt + 1) // 2

    return {**given, "mem_mb": more("mem_mb"), "runtime": more("runtime")}


def forcible(stage):
    """No files, as the input of a stage's own rule: makes `-R <stage>` force the stage's jobs."""

    def no_files(wildcards):
        rules = map(called, STAGES[stage].rules)
        snakemake_patches.force(workflow, called(stage), rules)
        return []

    return no_files


# Threads, memory and GPUs of an engine, as flags of every command that starts one.
ENGINE = (
    "--threads {threads} --kv-cache-mb {resources.kv_cache_mb}"
    " --gpu-memory-utilization {resources.gpu_memory_utilization}"
    " --tensor-parallel {resources.tensor_parallel}"
    " --pipeline-parallel {resources.pipeline_parallel}"
)


def section(name):
    """A section of the config as one string: Snakemake compares params as a set of reprs."""
    return literal(getattr(CONFIG, name).as_json())


def literal(value):
    """A param as it stands: in a plain string Snakemake takes `{word}` for a wildcard."""
    return lambda wildcards: value


@cache
def model_files(path=CONFIG.model.path):
    """The model's files, where it is a folder; a hub model is pinned by its revision."""
    return files.model_files(path, CONFIG.model)


def shard_files(stage, arm=None):
    """A stage's files for every shard of the rollouts that an arm trains on."""
    return shards.shard_files(CONFIG, RUN, stage, arm)


def selected_from(stage, origin):
    """The same files for the arms that share a selection."""
    return shard_files(stage, shards.arm_of(CONFIG, "selection", origin))


def state_files(arm):
    """The base's hidden states of every shard, if they are kept (`entropies.cache_hidden_states`)."""
    if not CONFIG.entropies.cache_hidden_states:
        return []
    return [
        str(Path(file).with_suffix(".safetensors"))
        for file in shard_files("entropies", arm)
    ]


def all_shard_files(stage):
    """The same for all arms."""
    arms = [None, *CONFIG.trained_arms]
    return sorted({file for arm in arms for file in shard_files(stage, arm)})


def named(arms):
    """The wildcard constraint that admits these arms, and nothing where there are none."""
    return "|".join(map(re.escape, arms)) or "(?!)"


def adapter_of(arm):
    """The folder of the arm's adapter; none for whole models and bases, which run as they are."""
    made = files.arm_weights(CONFIG, arm) and not CONFIG.is_whole(arm)
    return files.arm_folder(CONFIG, arm) if made else "none"


def adapter_flag(arm):
    """The same as an option, where there is one."""
    folder = adapter_of(arm)
    return "" if folder == "none" else f"--adapter {folder}"


def checkpoint_files(arm):
    """The checkpoints that the arm's training writes."""
    count = jobs.checkpoint_training(CONFIG, arm).checkpoints
    return [
        f"{RUN}/training/{arm}/checkpoint-{number}.safetensors"
        for number in range(1, count + 1)
    ]


# --- the evaluation ---

# Blocks of samples of every benchmark, each a file of an arm.
BLOCKS = [
    (benchmark, shard)
    for benchmark in CONFIG.benchmarks
    for shard in shards.evaluation_shards(CONFIG, benchmark)
]
# Most arms are sampled on all benchmarks in one start of the engine, or several arms in one; those
# with a list of their own block by block.
LISTED = [arm for arm in CONFIG.arms if CONFIG.arms[arm].evaluate is not None]
TOGETHER = [arm for arm in CONFIG.arms if arm not in LISTED]
SHARING = [arm for arm in TOGETHER if CONFIG.shares_engine(arm)]


def evaluation_files(arm, kind=""):
    """An arm's tables of all benchmarks; with `kind` those of its completions."""
    return [
        f"{RUN}/evaluation/{arm}/{'/'.join(block)}{kind}.parquet" for block in BLOCKS
    ]


def evaluation_prompts(arm):
    return [
        sampling.prompt_of_arm(CONFIG, arm, benchmark).as_json()
        for benchmark, _ in BLOCKS
    ]


def evaluation_templates(arm):
    """The files behind them."""
    return sorted(
        {file for b, _ in BLOCKS for file in files.prompt_files(CONFIG, b, arm)}
    )


BLOCK = f"{RUN}/evaluation/{{arm}}/{{benchmark}}/{{shard}}"
EVALUATED = [f"{RUN}/problems/{benchmark}.parquet" for benchmark, _ in BLOCKS]


# --- the footprint analysis: functions of wildcards, as the config may have no such section ---

FOOTPRINT = f"{RUN}/footprint"


def analysis():
    """The section; an error that says how to get the analysis where it is off."""
    try:
        return footprint.section(CONFIG)
    except UserError as error:
        raise WorkflowError(str(error))


def footprint_part(key, *paths):
    """Files of a part of the analysis, if it is on."""
    if getattr(analysis(), key, True) is None:
        raise WorkflowError(f"config: footprint.{key}: is null, so it is left out")
    return list(paths)


def capability_files():
    folder = f"{FOOTPRINT}/capability"
    return [f"{folder}/{arm}.parquet" for arm in footprint.capability_arms(CONFIG)]


def footprint_problems():
    return f"{RUN}/problems/{analysis().benchmark}.parquet"


def footprint_template():
    return files.prompt_files(CONFIG, analysis().benchmark)


def footprint_prompt():
    return sampling.prompt_of(CONFIG, analysis().benchmark).as_json()


def footprint_verdicts():
    return sampling.verdicts_of(CONFIG, analysis().benchmark).as_json()


def arm_files(arm):
    """The files of an arm's model, and its adapter where it is one."""
    made = files.arm_weights(CONFIG, arm)
    whole = CONFIG.is_whole(arm)
    return made + ([] if whole else model_files(files.model_of(CONFIG, arm).path))


def teacher_flags():
    """The teacher's model and adapter as a command's flags."""
    arm = analysis().teacher
    model = shlex.quote(files.model_of(CONFIG, arm).as_json())
    return f"--teacher-config {model} {adapter_flag(arm)}"


def launcher(wildcards, resources):
    """What starts the trainer. It looks at `resources`, so Snakemake does not track it."""
    if resources.processes == 1:
        return "python -m reasonmaxxer training"
    return f"torchrun --standalone --nproc-per-node {resources.processes} --module reasonmaxxer training"


def tracking(wildcards, resources):
    """Where a trainer reports to. It has `resources`, so Snakemake does not track it."""
    trackers = CONFIG.resources.training.report_to
    record = f"--record {RUN}/tracking/{wildcards.arm}"
    return f"{record} --report-to {' '.join(trackers)}" if trackers else ""
