"""What the config alone shows to be wrong, before the graph is built.

Light, since the Snakefile calls it: files are looked for, templates read, nothing else.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import registry
from ..config import SHARED, Config, PromptConfig, Source
from ..datasets.sources import suggest
from ..errors import UserError
from ..generation.prompts import template_text
from ..method import kinds
from ..method.kinds import KINDS
from ..registry import STAGE_OF_RULE, STAGES, Stage
from .protocol import VALIDATION, protocol, registered
from .shards import section_of

REGISTRY = Path(registry.__file__)
KINDS_FILE = Path(kinds.__file__)
COMMIT = re.compile(r"[0-9a-f]{40}")
MOST_JOBS = 50_000  # of one kind
# Files of a run that a benchmark of the same name would overwrite.
TAKEN_BENCHMARKS = ("train", "train-pool", VALIDATION, f"{VALIDATION}-pool")


def check(config: Config) -> None:
    """Raise `UserError` with a line for each thing that cannot work."""
    looks = (_names, _kept, _templates, _greedy, _braces, _sources, _pool, _sizes)
    found = [line for look in looks for line in look(config)]
    if found:
        raise UserError("\n".join(f"config: {line}" for line in found))


def unpinned(config: Config) -> list[str]:
    """A warning for each model and dataset of the hub that no commit pins."""
    revisions = {
        f"{place}.revision": (model.path, model.revision)
        for place, model in config.models.items()
        if model.gguf is None and not Path(model.path).is_dir()
    }
    revisions |= {
        f"{place}.hub.revision": (source.hub.dataset, source.hub.revision)
        for place, source in _all_sources(config)
        if source.hub is not None
    }
    return [
        f"{place}: {name} is at {revision or 'no revision'}, which is no commit (40 digits): if it "
        "changes there, this goes unseen"
        for place, (name, revision) in revisions.items()
        if not COMMIT.fullmatch(revision or "")
    ]


def _names(config: Config) -> Iterator[str]:
    for name in TAKEN_BENCHMARKS:
        if name in config.benchmarks:
            yield f"benchmarks.{name}: the name is taken by the run's own problems; choose another"
    if SHARED in config.arms:
        yield f"arms.{SHARED}: the name is taken by what the arms share; choose another"


def _kept(config: Config) -> Iterator[str]:
    for stage in config.freeze:
        if stage not in STAGES:
            yield f"freeze: {stage}: no such stage; {suggest(stage, STAGES)}"


def _templates(config: Config) -> Iterator[str]:
    for place, prompt in _prompts(config):
        if prompt.template == "chat":
            continue
        try:
            template_text(prompt.template)
        except UserError as error:
            yield f"{place}.template: {error}"


def _prompts(config: Config) -> Iterator[tuple[str, PromptConfig]]:
    yield "prompt", config.prompt
    for name, benchmark in config.benchmarks.items():
        if benchmark.prompt is not None:
            yield f"benchmarks.{name}.prompt", benchmark.prompt
    for name, arm in config.arms.items():
        if arm.prompt is not None:
            yield f"arms.{name}.prompt", arm.prompt


def _greedy(config: Config) -> Iterator[str]:
    """At temperature 0 all samples of a problem are equal, and vLLM refuses to draw several."""
    asked = {"validation": protocol(config, VALIDATION)}
    asked |= {f"benchmarks.{name}": protocol(config, name) for name in config.benchmarks}
    for arm in (None, *config.trained_arms):
        rollouts = section_of(config, arm, "rollouts")
        asked[f"arms.{arm}.rollouts" if arm else "rollouts"] = rollouts, rollouts.samples
    for place, (sampling, samples) in asked.items():
        if sampling.temperature == 0 and samples > 1:
            yield (
                f"{place}: temperature: 0 with {samples} samples a problem, which would all be "
                "equal; set samples: 1, or a temperature above 0"
            )


def _braces(config: Config) -> Iterator[str]:
    """Snakemake takes `{word}` in a file's name for a wildcard."""
    paths: dict[str, str | None] = {}
    paths |= {f"{place}.template": prompt.template for place, prompt in _prompts(config)}
    paths |= {f"{place}.path": source.path for place, source in _all_sources(config)}
    paths |= {f"{place}.path": model.path for place, model in config.models.items()}
    paths |= {f"{place}.gguf": model.gguf for place, model in config.models.items()}
    for place, path in paths.items():
        if path is not None and ("{" in path or "}" in path):
            yield f"{place}: {path}: a path with braces, which Snakemake cannot read; rename it"


def _sources(config: Config) -> Iterator[str]:
    for place, source in _all_sources(config):
        if source.path is not None and not Path(source.path).is_file():
            yield f"{place}.path: {source.path}: no such file"
        try:
            if source.register_ is not None:
                registered(source.register_)
        except UserError as error:
            yield f"{place}.{error}"


def _all_sources(config: Config) -> Iterator[tuple[str, Source]]:
    for split in ("train", "validation"):
        for index, source in enumerate(getattr(config.problems, split)):
            yield f"problems.{split}[{index}]", source
    for name, benchmark in config.benchmarks.items():
        yield f"benchmarks.{name}.source", benchmark.source


def _pool(config: Config) -> Iterator[str]:
    limits: list[Any] = [source.limit for source in config.problems.train]
    if None in limits:
        yield (
            "problems.train: limit: give the number of problems: shards of rollouts are planned "
            "before the data is read"
        )
        return
    for arm in (None, *config.trained_arms):
        wanted = section_of(config, arm, "selection").min_problems
        if wanted > sum(limits):
            place = f"arms.{arm}.selection" if arm else "selection"
            yield f"{place}.min_problems: {wanted}, but the pool has only {sum(limits)} problems"
            return


def _sizes(config: Config) -> Iterator[str]:
    """Each job costs the graph time and memory; beyond reason, planning alone would never end."""
    problems = sum(source.limit or 0 for source in config.problems.train)
    jobs = {}
    for arm in (None, *config.trained_arms):
        rollouts = section_of(config, arm, "rollouts")
        count = -(-problems // rollouts.problems_per_shard)
        count *= -(-rollouts.samples // rollouts.samples_per_shard)
        place = f"arms.{arm}.rollouts" if arm and config.arms[arm].rollouts else "rollouts"
        jobs[place] = (
            count,
            "lower problems.train's limit or rollouts.samples, or raise problems_per_shard or "
            "samples_per_shard",
        )
    for name in (VALIDATION, *config.benchmarks):
        count = -(-protocol(config, name)[1] // config.evaluation.samples_per_shard)
        place = VALIDATION if name == VALIDATION else f"benchmarks.{name}"
        arms = len(config.arms) if name != VALIDATION else 1
        jobs[place] = count * arms, "lower samples, or raise evaluation.samples_per_shard"
    for place, (count, remedy) in jobs.items():
        if count > MOST_JOBS:
            yield f"{place}: makes {count:,} jobs, more than {MOST_JOBS:,}; {remedy}"


# --- the project's own halves -----------------------------------------------------------------

RULE = re.compile(r"^ *(?:rule (\w+):|use rule \w+ as (\w+) with:)", re.MULTILINE)
# Rule files that belong to no stage: what the rules share, and the lab's base models.
NO_STAGES = {"common", "pretrain"}


def check_stages(rules: Path) -> None:
    """Raise `UserError` where one half of a stage or of a kind of arm is missing.

    A stage is its line in the registry, its module and its rule file in the folder `rules`; a kind
    of arm that is made here is its entry in the table of kinds and a rule of some stage.
    """
    found = [*_kinds()]
    found += [line for stage in STAGES.values() for line in _halves(stage, rules)]
    known = STAGES.keys() | NO_STAGES
    found += [
        f"{file}: no stage of this name is in {REGISTRY}; add a line there, or remove the file"
        for file in sorted(rules.glob("*.smk"))
        if file.stem not in known
    ]
    if found:
        raise UserError("\n".join(found))


def _kinds() -> Iterator[str]:
    for name, kind in KINDS.items():
        if kind.rule is not None and kind.rule not in STAGE_OF_RULE:
            yield (
                f"{KINDS_FILE}: kind '{name}': no stage in {REGISTRY} has its rule '{kind.rule}'; "
                "add it to the `rules` of the stage that makes such arms"
            )
        if (kind.rule is None) != (not kind.sections):
            yield (
                f"{KINDS_FILE}: kind '{name}': a kind that is made here has both a `rule` and "
                "`sections`, any other has none; give both or neither"
            )


def _halves(stage: Stage, rules: Path) -> Iterator[str]:
    module = REGISTRY.parent / "stages" / f"{stage.name}.py"
    if stage.command is None and not module.is_file():
        yield f"{REGISTRY}: stage '{stage.name}': its module {module} is missing"
    file = rules / f"{stage.name}.smk"
    if not file.is_file():
        yield f"{REGISTRY}: stage '{stage.name}': its rule file {file} is missing"
        return
    there = {one or other for one, other in RULE.findall(file.read_text(encoding="utf-8"))}
    for rule in (stage.name, *stage.rules):
        if rule not in there:
            yield f"{file}: the rule '{rule}' is missing, which {REGISTRY} expects of the stage"
    for rule in sorted(there - {stage.name, *stage.rules}):
        yield f"{REGISTRY}: stage '{stage.name}': its rule '{rule}' in {file} is not in `rules`"
