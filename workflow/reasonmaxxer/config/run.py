"""The whole config, as a file holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from .arms import SECTIONS, ArmConfig, ResourcesConfig, SweepConfig
from .footprint import FootprintConfig
from .inputs import BenchmarkConfig, ModelConfig, ProblemsConfig, PromptConfig
from .section import Name, Section, explain
from .stages import (
    ContaminationConfig,
    DistillationConfig,
    EntropiesConfig,
    EvaluationConfig,
    GrpoConfig,
    ReportConfig,
    RolloutsConfig,
    SelectionConfig,
    TrainingConfig,
    ValidationConfig,
    VerdictsConfig,
)


class Config(Section):
    """A whole run."""

    run: Name = Field(description="Its folder under results/.")
    model: ModelConfig
    engine: Literal["vllm", "transformers"] = Field(
        "vllm", description="What generates; transformers where no vLLM wheel exists (slow)."
    )
    prompt: PromptConfig = PromptConfig()
    problems: ProblemsConfig
    benchmarks: dict[Name, BenchmarkConfig] = Field(
        min_length=1, description="Problems that arms are compared on; null takes one out."
    )
    rollouts: RolloutsConfig = RolloutsConfig()
    verdicts: VerdictsConfig = VerdictsConfig()
    entropies: EntropiesConfig = EntropiesConfig()
    selection: SelectionConfig = Field(default_factory=lambda: SelectionConfig(tau=1.4))
    training: TrainingConfig = TrainingConfig()
    grpo: GrpoConfig = GrpoConfig()
    distillation: DistillationConfig = DistillationConfig()
    validation: ValidationConfig = ValidationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    arms: dict[Name, ArmConfig] = Field(
        min_length=1,
        description="What is compared; exactly one arm of kind base. null takes one out.",
    )
    sweeps: list[SweepConfig] = Field(
        default_factory=list, description="Further arms, one for each combination of some values."
    )
    contamination: ContaminationConfig = ContaminationConfig()
    footprint: FootprintConfig | None = Field(
        None, description="Analysis of where an arm departs from the base; null leaves it out."
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
    def _without_nothing(cls, raw: Any) -> Any:
        """An arm or a benchmark that an overlay sets to null is taken out."""
        if not isinstance(raw, Mapping):
            return raw
        kept = {
            key: {name: value for name, value in raw[key].items() if value is not None}
            for key in ("arms", "benchmarks")
            if isinstance(raw.get(key), Mapping)
        }
        return {**raw, **kept}

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
            for section in ("training", "grpo"):
                if "checkpoints" in getattr(arm, section):
                    raise ValueError(f"arms.{name}.{section}.checkpoints: is the same for all arms")
            for section in SECTIONS:
                self._arm_section(name, arm, section)
            for benchmark in arm.evaluate or ():
                if benchmark not in self.benchmarks:
                    raise ValueError(f"arms.{name}.evaluate: no benchmark '{benchmark}'")
            if arm.teacher is not None and self.arms.get(arm.teacher, arm).kind == arm.kind:
                raise ValueError(
                    f"arms.{name}.teacher: no arm '{arm.teacher}' that is not distilled itself"
                )
        self._gradients_are_representable()
        self._protocol_is_whole()
        keys = ["rollouts", "validation", "evaluation"]
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
            raise ValueError("footprint.tau: is needed where selection has a share instead of tau")
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
        return self.of_kind("trained")

    def of_kind(self, *kinds: str) -> list[str]:
        """Names of the arms of these kinds, in the config's order."""
        return [name for name, arm in self.arms.items() if arm.kind in kinds]

    def is_whole(self, arm: str) -> bool:
        """Whether training the arm makes a whole model instead of an adapter."""
        return self.arms[arm].kind == "grpo" and self.section_of(arm, "grpo").rank is None

    def benchmarks_of(self, arm: str) -> list[str]:
        """The benchmarks an arm is evaluated on, in the config's order."""
        wanted = self.arms[arm].evaluate
        return [name for name in self.benchmarks if wanted is None or name in wanted]
