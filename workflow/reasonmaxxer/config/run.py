"""The whole config, as a file holds it."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from ..method.kinds import CHOSEN, KINDS, SECTIONS
from .arms import ArmConfig, Made, SweepConfig, folder_of, made_arms
from .footprint import FootprintConfig
from .model import ModelConfig, PromptConfig
from .problems import ProblemsConfig
from .report import ReportConfig
from .resources import ResourcesConfig
from .sampling import (
    BenchmarkConfig,
    CheckpointConfig,
    EvaluationConfig,
    MemorizationConfig,
    RolloutsConfig,
)
from .section import Name, Section, explain
from .selection import THRESHOLDS, EntropiesConfig, SelectionConfig
from .training import DistillationConfig, GrpoConfig, TrainingConfig
from .verdicts import VerdictsConfig

REMOVABLE = ("arms", "benchmarks")


class Config(Section):
    """A whole run."""

    run: Name = Field(
        description="Name of the run: its files lie in results/<run>/. Another name starts a new "
        "run beside this one."
    )
    model: ModelConfig = Field(description="The base model.")
    engine: Literal["vllm", "transformers"] = Field(
        "vllm",
        description="What samples completions. Take transformers, which is many times slower, "
        "where vLLM cannot be installed.",
    )
    prompt: PromptConfig = Field(PromptConfig(), description="How problems are put to the model.")
    problems: ProblemsConfig = Field(description="The problems for training and validation.")
    benchmarks: dict[Name, BenchmarkConfig] = Field(
        min_length=1,
        description="The benchmarks that arms are evaluated on, by name. In an overlay, null "
        "removes one.",
    )
    rollouts: RolloutsConfig = Field(
        RolloutsConfig(), description="Sampling of the training rollouts."
    )
    verdicts: VerdictsConfig = Field(VerdictsConfig(), description="The verifier.")
    entropies: EntropiesConfig = Field(EntropiesConfig(), description="The scorer.")
    selection: SelectionConfig = Field(
        default_factory=lambda: SelectionConfig(tau=1.4),
        description="Which rollouts train, how strongly, and at which positions.",
    )
    training: TrainingConfig = Field(
        TrainingConfig(), description="The LoRA, and how it is trained."
    )
    grpo: GrpoConfig = Field(GrpoConfig(), description="Reinforcement learning, the yardstick.")
    distillation: DistillationConfig = Field(
        DistillationConfig(), description="Distillation of one arm into a small LoRA."
    )
    checkpoint: CheckpointConfig = Field(
        CheckpointConfig(), description="How the best checkpoint of an arm is chosen."
    )
    evaluation: EvaluationConfig = Field(
        EvaluationConfig(), description="How arms are evaluated on the benchmarks."
    )
    arms: dict[Name, ArmConfig] = Field(
        min_length=1,
        description="What is compared, by name; exactly one arm of kind base. In an overlay, "
        "null removes one.",
    )
    sweeps: list[SweepConfig] = Field(
        default_factory=list,
        description="Further arms: one for every combination of some keys' values.",
    )
    memorization: MemorizationConfig = Field(
        MemorizationConfig(), description="How much of the benchmarks the base knows by heart."
    )
    footprint: FootprintConfig | None = Field(
        None, description="Analysis of where an arm departs from the base. null: none."
    )
    report: ReportConfig = Field(ReportConfig(), description="The report page.")
    resources: ResourcesConfig = Field(
        ResourcesConfig(), description="What jobs ask of the machine. Reruns nothing."
    )
    freeze: list[str] = Field(
        default_factory=list,
        description="Stages whose results stay valid although the code behind them has changed, "
        "such as `[rollouts]` after an update of this workflow. A warning names what would "
        "otherwise have run again.",
    )

    # How each arm came about, which the arms themselves do not say.
    _made: dict[str, Made] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _with_made_arms(cls, raw: Any, validated: ModelWrapValidatorHandler[Self]) -> Self:
        """Put arms of seeds and sweeps among the others; take out what an overlay sets to null."""
        if isinstance(raw, Mapping):
            raw = {**raw, **{key: _without_nulls(raw[key]) for key in REMOVABLE if key in raw}}
        if not isinstance(raw, Mapping) or not isinstance(raw.get("arms"), Mapping):
            return validated(raw)
        made = made_arms(raw["arms"], raw.get("sweeps") or [])
        config = validated({**raw, "arms": {n: m.arm for n, m in made.items()}, "sweeps": []})
        config._made = made
        return config

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        bases = [name for name, arm in self.arms.items() if arm.kind == "base"]
        if len(bases) != 1:
            raise ValueError(f"arms: exactly one arm of kind base is needed, found {len(bases)}")
        for name, arm in self.arms.items():
            for section in {KINDS[kind].checkpoints for kind in CHOSEN}:
                if "checkpoints" in getattr(arm, str(section)):
                    raise ValueError(
                        f"arms.{name}.{section}.checkpoints: must be the same for all arms; "
                        f"set {section}.checkpoints"
                    )
            for section in SECTIONS:
                self._arm_section(name, arm, section)
            for benchmark in arm.evaluate or ():
                if benchmark not in self.benchmarks:
                    raise ValueError(f"arms.{name}.evaluate: no benchmark '{benchmark}'")
            if arm.teacher is not None and self.arms.get(arm.teacher, arm).kind == arm.kind:
                raise ValueError(
                    f"arms.{name}.teacher: no arm '{arm.teacher}' that is not distilled itself"
                )
        self._experiments_differ()
        self._gradients_are_representable()
        self._protocol_is_whole()
        keys = ["rollouts", "checkpoint", "evaluation"]
        keys += ["grpo"] if self.of_kind("grpo") else []
        for key in keys:
            if getattr(self, key).max_tokens >= self.model.max_length:
                raise ValueError(
                    f"{key}.max_tokens: {getattr(self, key).max_tokens} leaves no room for a "
                    f"prompt in model.max_length = {self.model.max_length}"
                )
        if self.footprint is not None:
            self._check_footprint(self.footprint)
        return self

    def _experiments_differ(self) -> None:
        """What is done twice would be counted twice: as two seeds, or as two comparisons."""
        known: dict[str, str] = {}
        for name, arm in self.arms.items():
            first = known.setdefault(self._experiment(name), name)
            if first == name:
                continue
            seeds = f"; to train {first} several times, give it seeds: [...]"
            raise ValueError(
                f"arms.{name}: is the same experiment as {first}: same kind, settings, seeds and "
                f"benchmarks; leave one of the two out{seeds if KINDS[arm.kind].sections else ''}"
            )

    def _experiment(self, name: str) -> str:
        """All that an arm's figures come from."""
        arm = self.arms[name]
        sections = {k: self.section_of(name, k).as_json() for k in KINDS[arm.kind].sections}
        about = arm.model_dump(mode="json", include={"kind", "model", "prompt", "teacher"})
        return json.dumps([about, sections, self.benchmarks_of(name)], sort_keys=True)

    def _gradients_are_representable(self) -> None:
        """Of a long rollout's anchor, float16 has no gradient left: one over its length squared."""
        trained = self.of_kind("trained", "distilled")
        if trained and self.model.dtype == "float16":
            raise ValueError(
                f"model.dtype: float16: arm '{trained[0]}' cannot be trained in it, small "
                "gradients would vanish; take bfloat16, or float32 on GPUs without it"
            )

    def _protocol_is_whole(self) -> None:
        """Under a named protocol nothing that it sets may be set otherwise."""
        if self.evaluation.protocol is None:
            return
        own = {
            "evaluation": self.evaluation.model_fields_set,
            **{f"benchmarks.{k}": b.model_fields_set for k, b in self.benchmarks.items()},
        }
        for place, given in own.items():
            for key in sorted(given & {"samples", "temperature", "top_p"}):
                raise ValueError(
                    f"{place}.{key}: evaluation.protocol: {self.evaluation.protocol} sets it; "
                    "leave one of the two out"
                )

    def _check_footprint(self, footprint: FootprintConfig) -> None:
        if footprint.teacher not in self.arms or footprint.teacher == self.base_arm:
            others = ", ".join(name for name in self.arms if name != self.base_arm)
            raise ValueError(f"footprint.teacher: {footprint.teacher}: is not one of: {others}")
        if footprint.benchmark not in self.benchmarks:
            known = ", ".join(self.benchmarks)
            raise ValueError(f"footprint.benchmark: {footprint.benchmark}: is not one of: {known}")
        if footprint.tau is None and self.selection.tau is None:
            raise ValueError(
                "footprint.tau: is required, because selection has another threshold than tau"
            )
        wanted = footprint.pivotality.alternatives if footprint.pivotality else 0
        if wanted > self.entropies.top_k:
            raise ValueError(
                f"footprint.pivotality.alternatives: {wanted} is more than the "
                f"{self.entropies.top_k} tokens that entropies.top_k keeps"
            )

    def _arm_section(self, name: str, arm: ArmConfig, section: str) -> Section:
        own: Section = getattr(self, section)
        overlay = getattr(arm, section)
        merged = {**own.model_dump(), **overlay}
        if section == "selection" and any(key in overlay for key in THRESHOLDS):
            merged |= {key: overlay.get(key) for key in THRESHOLDS}
        try:
            return type(own).model_validate(merged)
        except ValidationError as error:
            raise ValueError(explain(error, type(own), f"arms.{name}.{section}")) from error

    def section_of(self, arm: str, section: str) -> Any:
        """The run's section with the arm's own values laid over it."""
        return self._arm_section(arm, self.arms[arm], section)

    @cached_property
    def changed(self) -> dict[str, dict[str, Any]]:
        """Where each arm's settings differ from those of its kind's first plain arm, by arm.

        {section.key: its value}, seeds aside. An arm is plain that takes the run's sections as
        they are; where a kind has none, its first arm stands for it.
        """
        settings = {
            name: {
                f"{section}.{key}": value
                for section in KINDS[arm.kind].sections
                for key, value in self.section_of(name, section).model_dump(mode="json").items()
                if key != "seed"
            }
            for name, arm in self.arms.items()
        }
        own = {
            f"{section}.{key}": value
            for section in SECTIONS
            for key, value in getattr(self, section).model_dump(mode="json").items()
        }
        found: dict[str, dict[str, Any]] = {}
        for kind in {arm.kind for arm in self.arms.values()}:
            names = self.of_kind(kind)
            plain = (name for name in names if settings[name].items() <= own.items())
            start = settings[next(plain, names[0])]
            found |= {
                name: {key: value for key, value in settings[name].items() if value != start[key]}
                for name in names
            }
        return found

    @cached_property
    def origins(self) -> dict[str, dict[str, str]]:
        """The folders of each trained arm's `rollouts` and `selection`, which arms may share.

        They are named by what differs from the run's own sections, whatever the arms are called
        and in which order they stand. The number of samples is not part of the first: an arm with
        another K has more or fewer shards of the same folder.
        """
        names: dict[str, dict[str, str]] = {"rollouts": {}, "selection": {}}
        for arm in self.trained_arms:
            sampling, selection = (self._differences(arm, name) for name in names)
            differences = {f"rollouts.{key}": value for key, value in sampling.items()} | selection
            names["selection"][arm] = folder_of(differences)
            sampling.pop("samples", None)
            names["rollouts"][arm] = folder_of(sampling)
        return names

    def _differences(self, arm: str, section: str) -> dict[str, Any]:
        """Where a section of an arm, as jobs are told it, is not the run's own."""
        own = json.loads(self.section_of(arm, section).as_json())
        shared = getattr(self, section).model_dump(mode="json")
        return {key: value for key, value in own.items() if value != shared[key]}

    def line_of(self, arm: str) -> str:
        """The arm whose `seeds` made this one; itself where none did."""
        return self._made[arm].line

    def swept(self, arm: str) -> dict[str, Any] | None:
        """Of a point of a sweep over one setting: where it starts, what it changes, from and to."""
        made = self._made[arm]
        if made.start is None or len(made.swept) != 1:
            return None
        ((place, value),) = made.swept.items()
        section, key = place.split(".")
        own = getattr(self.section_of(made.start, section), key)
        return {"arm": made.start, "key": place, "value": value, "own": own}

    @property
    def models(self) -> dict[str, ModelConfig]:
        """The base and every public checkpoint, by their place in the config."""
        arms = {f"arms.{name}.model": arm.model for name, arm in self.arms.items()}
        return {"model": self.model} | {place: model for place, model in arms.items() if model}

    @property
    def base_arm(self) -> str:
        return next(name for name, arm in self.arms.items() if arm.kind == "base")

    @property
    def trained_arms(self) -> list[str]:
        """Arms that are trained on the base's rollouts, gated by the stage `selection`."""
        return self.of_kind(*(name for name, kind in KINDS.items() if kind.selects))

    def of_kind(self, *kinds: str) -> list[str]:
        """Names of the arms of these kinds, in the config's order."""
        return [name for name, arm in self.arms.items() if arm.kind in kinds]

    def is_whole(self, arm: str) -> bool:
        """Whether training the arm makes a whole model instead of an adapter."""
        section = KINDS[self.arms[arm].kind].checkpoints
        return section is not None and self.section_of(arm, section).rank is None

    def benchmarks_of(self, arm: str) -> list[str]:
        """The benchmarks an arm is evaluated on, in the config's order."""
        wanted = self.arms[arm].evaluate
        return [name for name in self.benchmarks if wanted is None or name in wanted]

    def shares_engine(self, arm: str) -> bool:
        """Whether an arm is the base or an adapter of it, and all of these have one engine."""
        own = self.arms[arm].model is None and not self.is_whole(arm)
        return own and self.resources.generation.share_engine


def _without_nulls(named: Any) -> Any:
    if not isinstance(named, Mapping):
        return named
    return {name: value for name, value in named.items() if value is not None}
