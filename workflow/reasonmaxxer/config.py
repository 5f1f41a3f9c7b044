"""The config of a run: one class a section, every key described where it is declared.

`config/README.md` and `workflow/schemas/config.schema.json` are generated from these classes
(`python -m reasonmaxxer schema`); a test fails when they drift. Nothing heavy is imported here:
the Snakefile reads a config through this module on every call.
"""

from __future__ import annotations

import difflib
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from .errors import UserError
from .lab_config import LabSource

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._+=-]*$", max_length=64)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of the config. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    def as_json(self) -> str:
        """The section as one string, keys sorted: what a rule has among its params."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `as_json` wrote. Raises `UserError` naming the key that is wrong."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise UserError(explain(error, cls, "--config")) from error


# --- inputs -----------------------------------------------------------------------------------


class ModelConfig(Section):
    path: str = Field(description="Folder of a model, or its id on the Hugging Face hub.")
    revision: str | None = Field(
        None, description="Commit of the hub repository; pin it, or a changed model goes unseen."
    )
    dtype: Literal["float32", "bfloat16", "float16"] = Field(
        "bfloat16", description="Type the weights are run in. Logits are always float32."
    )
    max_length: Count = Field(
        8192, description="Most tokens of prompt and completion together (the engine's limit)."
    )
    gguf: str | None = Field(
        None,
        description="A GGUF file that `path` is converted from when it does not exist yet: a "
        "file's path, or `package:file` for one that an installed Python package carries.",
    )


class PromptConfig(Section):
    template: str = Field(
        "chat",
        description="File with `{problem}` in it (see config/prompts/), or `chat` for the "
        "model's own chat template with one user turn.",
    )
    instruction: str = Field(
        "", description="With `chat`: text behind the problem in the user's turn."
    )
    stop: list[str] = Field(
        default_factory=list,
        description="Strings that end a completion, such as `Human:`; trimmed from the ids.",
    )


class HubSource(Section):
    dataset: str = Field(description="Id of a dataset on the Hugging Face hub.")
    revision: str = Field(description="Commit of the dataset; required, since datasets change.")
    name: str | None = Field(None, description="The dataset's configuration.")
    split: str = Field("test", description="The dataset's split.")
    files: str | None = Field(
        None, description="One file of the repository to read, where it declares no splits."
    )


class Source(Section):
    """Where problems come from: one of `lab`, `hub`, `path`, `register`.

    `path` beside `register` reads the file in place of the download.
    """

    lab: LabSource | None = Field(None, description="The lab's problem generator.")
    hub: HubSource | None = Field(None, description="A dataset of the Hugging Face hub.")
    path: str | None = Field(None, description="A .jsonl, .csv or .parquet file.")
    register_: str | None = Field(
        None, alias="register", description="A name from data/sources.yaml."
    )
    problem: str | None = Field(
        None, description="Column of the problem's text; null: the register's, or `problem`."
    )
    answer: str | None = Field(
        None, description="Column of the reference answer; null: the register's, or `answer`."
    )
    id: str | None = Field(
        None,
        description="Column of the id; null: the register's, or `id` if there is one, or the "
        "row's number.",
    )
    level: str | None = Field(
        None, description="Column of the difficulty; null: the register's, or `level`, if any."
    )
    extract: Literal["plain", "boxed", "hashes", "first"] | None = Field(
        None,
        description="How the reference is found in its column: as it stands (plain), in the last "
        "\\boxed{}, behind ####, or as the first of a list; null: the register's, or plain.",
    )
    where: dict[str, str | bool | int] | None = Field(
        None, description="Keep the rows whose columns have these values; null: the register's."
    )
    limit: Count | None = Field(None, description="Take this many problems; null takes all.")
    shuffle: int | None = Field(
        None, description="Seed of a shuffle before `limit`; null takes them in order."
    )
    levels: list[str | int] | None = Field(
        None, min_length=1, description="Keep these levels, balanced by `limit`."
    )

    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), populate_by_name=True
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [k for k in ("lab", "hub", "path", "register_") if getattr(self, k) is not None]
        if len(given) != 1 and given != ["path", "register_"]:
            names = ", ".join(given).replace("register_", "register") or "none"
            raise ValueError(f"give exactly one of lab, hub, path, register; given: {names}")
        return self


class ProblemsConfig(Section):
    train: list[Source] = Field(
        min_length=1, description="The training pool; several sources are joined."
    )
    validation: list[Source] = Field(
        min_length=1, description="Problems that the checkpoint is chosen on."
    )
    overlap: Literal["fail", "drop"] = Field(
        "fail",
        description="What to do with a training or validation problem whose normalised text "
        "stands in a benchmark (or a training problem that stands in validation).",
    )


class BenchmarkConfig(Section):
    source: Source = Field(description="Where its problems come from.")
    title: str | None = Field(None, description="Its name in the report.")
    samples: Count | None = Field(
        None, description="Completions for each problem; null takes evaluation.samples."
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="Null takes evaluation.temperature."
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="Null takes evaluation.top_p."
    )
    max_tokens: Count | None = Field(None, description="Null takes evaluation.max_tokens.")
    prompt: PromptConfig | None = Field(None, description="Null takes the run's prompt.")
    last_number: bool = Field(
        False, description="Accept the last number in the text where no answer is marked."
    )


# --- stages -----------------------------------------------------------------------------------


class SamplingConfig(Section):
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.6, description="Of sampling.")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(0.95, description="Nucleus of sampling.")
    max_tokens: Count = Field(4096, description="Most tokens of a completion.")
    seed: int = Field(42, ge=0, description="Seed of sampling.")


class RolloutsConfig(SamplingConfig):
    """Sampling from the frozen base (the paper: K = 20, temperature 0.6, top-p 0.95)."""

    samples: Annotated[int, Field(ge=2)] = Field(20, description="K, completions a problem.")
    problems_per_shard: Count = Field(500, description="Problems a job; each job starts an engine.")
    samples_per_shard: Count = Field(
        20, description="Samples a job. Raising `samples` by whole shards keeps what was drawn."
    )


class VerdictsConfig(Section):
    timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        2.0, description="CPU seconds a comparison may take."
    )
    retry_seconds: Annotated[float, Field(gt=0)] = Field(
        10.0, description="Budget of the one retry, alone, after a timeout."
    )
    max_chars: Count = Field(100_000, description="Longest text that is searched for an answer.")
    memory_mb: Annotated[int, Field(ge=256)] = Field(
        1024, description="Memory a worker may take beyond its size at the start."
    )
    last_number: bool = Field(
        False, description="Accept the last number in the text where no answer is marked."
    )
    bad_references: Literal["drop", "fail"] = Field(
        "drop", description="A reference that does not verify against itself: drop it or stop."
    )


class EntropiesConfig(Section):
    top_k: Annotated[int, Field(ge=1, le=64)] = Field(
        5, description="Likeliest tokens kept at each position."
    )


class SelectionConfig(Section):
    problems: Count | None = Field(
        50, description="Mixed-success problems kept, nearest to a pass rate of 0.5; null: all."
    )
    window: tuple[Share, Share] = Field(
        (0.0, 1.0), description="Keep problems with a pass rate strictly inside."
    )
    min_problems: Count = Field(1, description="Fewer mixed problems than this are an error.")
    truncated: Literal["wrong", "keep", "drop"] = Field(
        "wrong",
        description="Rollouts cut off by the token limit: count as wrong, keep their verdict, "
        "or leave them out.",
    )
    trim_longest: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="Share of the longest rollouts left out (the released scripts: 0.2)."
    )
    advantages: Literal["group", "positive", "shuffled"] = Field(
        "group",
        description="group: Eq. 5. positive: correct rollouts only, advantage 1. shuffled: "
        "Eq. 5 dealt out at random among a problem's rollouts (a control).",
    )
    gate: Literal[
        "entropy", "entropy-quantile", "random", "low-entropy", "first", "last", "all"
    ] = Field(
        "entropy",
        description="Which positions are decisions. All but `all` take, rollout by rollout, "
        "as many as the entropy gate would.",
    )
    tau: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Entropy above which a position is a decision, in nats."
    )
    share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="Instead of tau: the share of all positions, by entropy."
    )
    seed: int = Field(42, ge=0, description="Seed of random gates and shuffled advantages.")

    @model_validator(mode="after")
    def _threshold(self) -> Self:
        if (self.tau is None) == (self.share is None):
            raise ValueError("give exactly one of tau (nats) and share (of positions)")
        if self.gate == "entropy-quantile" and self.share is None:
            raise ValueError("gate entropy-quantile needs share, not tau")
        if self.gate == "entropy" and self.tau is None:
            raise ValueError("gate entropy needs tau; with share, use gate entropy-quantile")
        if self.window[0] >= self.window[1]:
            raise ValueError("window: the first value must be below the second")
        return self


class TrainingConfig(Section):
    rank: Annotated[int, Field(ge=1, le=512)] = Field(32, description="LoRA rank.")
    alpha: Annotated[float, Field(gt=0)] = Field(64, description="LoRA alpha (scale alpha/rank).")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="LoRA dropout.")
    targets: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj"],
        min_length=1,
        description="Linear modules that get an adapter.",
    )
    sequences: Count = Field(
        1000, description="Rollouts trained on; epochs over the selection repeat up to this."
    )
    sequences_per_step: Count = Field(8, description="Rollouts in one optimiser step.")
    order: Literal["random", "magnitude"] = Field(
        "random",
        description="Order of training; magnitude: by |advantage| x share of decisions, falling.",
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-4, description="Peak of AdamW's rate.")
    warmup_steps: Annotated[int, Field(ge=0)] = Field(50, description="Linear warm-up.")
    decay_steps: Count | None = Field(
        None, description="Step at which the linear decay ends; null: the last step."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="AdamW's.")
    gradient_clip: Annotated[float, Field(gt=0)] = Field(1.0, description="Largest norm.")
    anchor_weight: Annotated[float, Field(ge=0)] = Field(
        0.2, description="Lambda of L = L_dec + lambda L_anchor; 0 leaves the anchor out."
    )
    advantage_clip: Annotated[float, Field(gt=0)] = Field(2.5, description="Largest |advantage|.")
    probability_floor: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Tokens with negative advantage are not pushed below this probability.",
    )
    checkpoints: Annotated[int, Field(ge=1, le=20)] = Field(
        4, description="Evenly spaced checkpoints; the best on validation is the adapter."
    )
    seed: int = Field(42, ge=0, description="Seed of adapter initialisation and order.")

    @model_validator(mode="after")
    def _checkpoints_fit(self) -> Self:
        if self.checkpoints > self.steps:
            raise ValueError(f"checkpoints: {self.checkpoints} is more than the {self.steps} steps")
        return self

    @property
    def steps(self) -> int:
        """Optimiser steps: the last one may have fewer sequences."""
        return -(-self.sequences // self.sequences_per_step)

    @property
    def checkpoint_steps(self) -> list[int]:
        """Steps after which a checkpoint is written; the last is the end of training."""
        numbers = range(1, self.checkpoints + 1)
        return [max(1, round(self.steps * number / self.checkpoints)) for number in numbers]


class ValidationConfig(SamplingConfig):
    """The checkpoint with the best pass@1 on the validation problems is the arm's adapter."""

    samples: Count = Field(4, description="Completions a validation problem and checkpoint.")
    seed: int = Field(43, ge=0, description="Seed of sampling.")
    min_parseable: Share = Field(
        0.5,
        description="A checkpoint whose share of parseable answers falls below this share of "
        "the base's has collapsed and is not chosen.",
    )


class EvaluationConfig(SamplingConfig):
    """The protocol of every benchmark and arm; a benchmark may overlay it, an arm may not."""

    samples: Count = Field(1, description="Completions a problem, unless the benchmark says more.")
    seed: int = Field(44, ge=0, description="Seed of sampling.")
    samples_per_shard: Count = Field(
        64, description="Samples a job. Raising samples by whole shards keeps what was drawn."
    )


class ReportConfig(Section):
    title: str = Field("ReasonMaxxer", description="Heading of the page.")
    rollouts_shown: Annotated[int, Field(ge=1, le=200)] = Field(
        10, description="Rollouts to read in the page, their gated tokens marked."
    )
    price_per_hour: Annotated[float, Field(ge=0)] | None = Field(
        None, description="Dollars an hour of the machine; null leaves dollars out."
    )
    reference: str | None = Field(
        None, description="Rows of the paper's table to show beside ours, by base model."
    )


# --- arms and resources -----------------------------------------------------------------------


class ArmConfig(Section):
    """One thing that is compared. Sections given here overlay the run's own."""

    kind: Literal["base", "trained", "checkpoint"] = Field(
        "trained",
        description="base: the frozen model. trained: an adapter of ours. checkpoint: `model`.",
    )
    title: str | None = Field(None, description="Its name in the report.")
    model: ModelConfig | None = Field(None, description="With kind checkpoint: the model.")
    rollouts: dict[str, Any] = Field(default_factory=dict, description="Overlay of rollouts.")
    selection: dict[str, Any] = Field(default_factory=dict, description="Overlay of selection.")
    training: dict[str, Any] = Field(default_factory=dict, description="Overlay of training.")

    @model_validator(mode="after")
    def _fits_kind(self) -> Self:
        if (self.kind == "checkpoint") != (self.model is not None):
            raise ValueError("model goes with kind checkpoint, and only there")
        if self.kind != "trained" and (self.rollouts or self.selection or self.training):
            raise ValueError(f"an arm of kind {self.kind} is not trained: no overlays")
        return self


class SweepConfig(Section):
    """Arms made from one: an arm for every combination of the grid's values.

    `{arm: reasonmaxxer, grid: {selection.tau: [0.2, 0.4]}}` makes `reasonmaxxer+tau=0.2` and
    `reasonmaxxer+tau=0.4`.
    """

    arm: str = Field(description="The arm whose overlays the new ones start from.")
    grid: dict[
        Annotated[str, Field(pattern=r"^(rollouts|selection|training)\.[a-z_]+$")],
        Annotated[list[Any], Field(min_length=1)],
    ] = Field(min_length=1, description="`section.key` -> the values it takes.")

    def arms(self, start: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """The arms by name, each as a config would write it."""
        made = {}
        for values in itertools.product(*self.grid.values()):
            arm = dict(start)
            for place, value in zip(self.grid, values, strict=True):
                section, key = place.split(".")
                arm[section] = {**arm.get(section, {}), key: value}
            settings = [f"{k.split('.')[1]}={v}" for k, v in zip(self.grid, values, strict=True)]
            title = start.get("title") or self.arm
            arm["title"] = f"{title}, {', '.join(settings)}"
            made["+".join([self.arm, *settings]).lower()] = arm
        return made


class Resources(Section):
    """What a job of a stage asks for. Never part of what makes a result."""

    threads: Count = Field(1, description="CPU cores.")
    mem_mb: Count = Field(4000, description="Memory.")
    runtime: Count = Field(60, description="Minutes.")
    gpu: Annotated[int, Field(ge=0)] = Field(0, description="GPUs.")
    batch_tokens: Count = Field(16384, description="Tokens in a batch of the scorer or trainer.")
    kv_cache_mb: Count = Field(1000, description="CPU engines: memory for the KV cache.")
    gpu_memory_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        90, description="GPU engines: share of the GPU's memory taken."
    )
    tensor_parallel: Count = Field(1, description="vLLM's tensor parallel size.")


class ResourcesConfig(Section):
    generation: Resources = Field(
        Resources(), description="Rollouts, checkpoint choice and evaluation."
    )
    verdicts: Resources = Field(Resources(threads=2, mem_mb=3000), description="The verifier.")
    entropies: Resources = Field(Resources(), description="The scorer.")
    training: Resources = Field(Resources(), description="The trainer.")
    light: Resources = Field(
        Resources(mem_mb=2000, runtime=20), description="Problems, selection, metrics, report."
    )

    @property
    def gpus(self) -> int:
        """Most GPUs that a job asks for."""
        return max(self.generation.gpu, self.entropies.gpu, self.training.gpu)

    def of(self, stage: str) -> dict[str, int]:
        """What a stage's jobs ask for beside their threads."""
        return getattr(self, stage).model_dump(exclude={"threads"})


class Config(Section):
    """A whole run."""

    run: Name = Field(description="Its folder under results/.")
    model: ModelConfig
    engine: Literal["vllm", "transformers"] = Field(
        "vllm", description="What generates; transformers where no vLLM wheel exists (slow)."
    )
    prompt: PromptConfig = PromptConfig()
    problems: ProblemsConfig
    benchmarks: dict[Name, BenchmarkConfig] = Field(min_length=1)
    rollouts: RolloutsConfig = RolloutsConfig()
    verdicts: VerdictsConfig = VerdictsConfig()
    entropies: EntropiesConfig = EntropiesConfig()
    selection: SelectionConfig = Field(default_factory=lambda: SelectionConfig(tau=1.4))
    training: TrainingConfig = TrainingConfig()
    validation: ValidationConfig = ValidationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    arms: dict[Name, ArmConfig] = Field(
        min_length=1, description="What is compared; exactly one arm of kind base."
    )
    sweeps: list[SweepConfig] = Field(
        default_factory=list, description="Further arms, one for each combination of some values."
    )
    report: ReportConfig = ReportConfig()
    resources: ResourcesConfig = ResourcesConfig()
    keep: list[str] = Field(
        default_factory=list,
        description="Stages whose outputs stay valid although our code changed (a warning "
        "names what would have run again).",
    )

    @model_validator(mode="before")
    @classmethod
    def _with_sweeps(cls, raw: Any) -> Any:
        """The arms of the sweeps stand among the others; the sweeps themselves are spent."""
        if not isinstance(raw, Mapping) or not raw.get("sweeps"):
            return raw
        arms = dict(raw.get("arms") or {})
        for item in raw["sweeps"]:
            try:
                sweep = SweepConfig.model_validate(item)
            except ValidationError as error:
                raise ValueError(explain(error, SweepConfig, "sweeps")) from error
            if sweep.arm not in arms:
                raise ValueError(f"sweeps: arm: no arm '{sweep.arm}' under arms")
            arms |= sweep.arms(arms[sweep.arm] or {})
        return {**raw, "arms": arms, "sweeps": []}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        bases = [name for name, arm in self.arms.items() if arm.kind == "base"]
        if len(bases) != 1:
            raise ValueError(f"arms: exactly one arm of kind base is needed, found {len(bases)}")
        for name, arm in self.arms.items():
            if "checkpoints" in arm.training:
                raise ValueError(f"arms.{name}.training.checkpoints: is the same for all arms")
            for section in ("rollouts", "selection", "training"):
                self._arm_section(name, arm, section)
        for key in ("rollouts", "validation", "evaluation"):
            if getattr(self, key).max_tokens >= self.model.max_length:
                raise ValueError(
                    f"{key}.max_tokens: {getattr(self, key).max_tokens} leaves no room for a "
                    f"prompt in model.max_length = {self.model.max_length}"
                )
        return self

    def _arm_section(self, name: str, arm: ArmConfig, section: str) -> Section:
        own: Section = getattr(self, section)
        overlay = getattr(arm, section)
        merged = {**own.model_dump(), **overlay}
        if section == "selection" and "tau" in overlay and "share" not in overlay:
            merged["share"] = None
        if section == "selection" and "share" in overlay and "tau" not in overlay:
            merged["tau"] = None
        try:
            return type(own).model_validate(merged)
        except ValidationError as error:
            raise ValueError(explain(error, type(own), f"arms.{name}.{section}")) from error

    def section_of(self, arm: str, section: str) -> Any:
        """The run's section with the arm's own values laid over it."""
        return self._arm_section(arm, self.arms[arm], section)

    @property
    def base_arm(self) -> str:
        return next(name for name, arm in self.arms.items() if arm.kind == "base")

    @property
    def trained_arms(self) -> list[str]:
        return [name for name, arm in self.arms.items() if arm.kind == "trained"]


def validate(raw: Mapping[str, Any], where: str = "config") -> Config:
    """The checked config. Raises `UserError` with a line for each key that is wrong."""
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise UserError(explain(error, Config, where)) from error


def load(paths: list[str] | list[Path]) -> Config:
    """Read config files, later ones laid over earlier ones key by key, as Snakemake does."""
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
        except FileNotFoundError as error:
            raise UserError(f"{path}: no such config file") from error
        except yaml.YAMLError as error:
            raise UserError(f"{path}: not valid YAML: {error}") from error
        if not isinstance(content, dict):
            raise UserError(
                f"{path}: a config is a mapping of keys, found {type(content).__name__}"
            )
        merged = overlay(merged, content)
    return validate(merged, " + ".join(str(path) for path in paths))


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`: mappings key by key, anything else replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = overlay(old, value) if both else value  # type: ignore[arg-type]
    return merged


def explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """A pydantic error in a user's words: a line a key, with a suggestion for a mistyped one."""
    lines = []
    for item in error.errors():
        location = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            lines.append(f"{where}: {location}: unknown key{_suggestion(model, item['loc'])}")
        elif item["type"] == "missing":
            lines.append(f"{where}: {location}: is required")
        else:
            message = item["msg"].removeprefix("Value error, ")
            value = "" if isinstance(item["input"], dict) else f" (given: {item['input']!r})"
            prefix = f"{where}: {location}: " if location else f"{where}: "
            lines.append(f"{prefix}{message}{value}")
    return "\n".join(lines)


def _suggestion(model: type[BaseModel], location: tuple[Any, ...]) -> str:
    known = set(_keys(model))
    near = difflib.get_close_matches(str(location[-1]), sorted(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else "; see config/README.md for the keys"


def _keys(model: type[BaseModel]) -> list[str]:
    schema = json.dumps(model.model_json_schema())
    found: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if isinstance(content.get("properties"), dict):
            found.extend(content["properties"])
        return content

    json.loads(schema, object_pairs_hook=collect)
    return found
