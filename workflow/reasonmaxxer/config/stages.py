"""Sections of the stages: sampling, verifier, scorer, gate, trainer, evaluation, report."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from .section import Count, Section, Seed, Share


class SamplingConfig(Section):
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(0.6, description="Of sampling.")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(0.95, description="Nucleus of sampling.")
    max_tokens: Count = Field(4096, description="Most tokens of a completion.")
    seed: Seed = Field(42, description="Seed of sampling.")


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
    keep_states: bool = Field(
        False,
        description="Keep the base's hidden states for the trainer, which is spared a third of its "
        "work; a token takes the model's width in its type on disk. In half precision the anchor "
        "then starts at rounding instead of zero.",
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
    seed: Seed = Field(42, description="Seed of random gates and shuffled advantages.")

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
    warmup_steps: Annotated[int, Field(ge=0)] = Field(
        50, description="Linear warm-up, no longer than the run."
    )
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
    seed: Seed = Field(42, description="Seed of adapter initialisation and order.")

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        steps = -(-self.sequences // self.sequences_per_step)
        _check_steps(self, steps)
        if self.decay_steps is not None and self.decay_steps < steps:
            raise ValueError(
                f"decay_steps: {self.decay_steps} ends before the {steps} steps do: the rest would "
                "train at rate 0"
            )
        return self


class GrpoConfig(SamplingConfig):
    """Reinforcement learning by TRL's GRPOTrainer, from the verifier's rewards: kind grpo."""

    temperature: Annotated[float, Field(gt=0, le=2)] = Field(1.0, description="Of sampling.")
    top_p: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="Nucleus of sampling.")
    seed: Seed = Field(42, description="Seed of sampling, order and adapter.")
    steps: Count = Field(60, description="Optimiser steps, each on rollouts of its own.")
    prompts_per_step: Count = Field(16, description="Problems of a step.")
    num_generations: Annotated[int, Field(ge=2)] = Field(
        8, description="Completions of a problem: the group that advantages are taken in."
    )
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-6, description="AdamW's rate.")
    warmup_steps: Annotated[int, Field(ge=0)] = Field(
        0, description="Linear warm-up, no longer than the run."
    )
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="AdamW's.")
    gradient_clip: Annotated[float, Field(gt=0)] = Field(1.0, description="Most gradient norm.")
    beta: Annotated[float, Field(ge=0)] = Field(
        0.0, description="Weight of the KL divergence from the base; 0: none."
    )
    epsilon: Annotated[float, Field(gt=0, lt=1)] = Field(0.2, description="Clip of the ratio.")
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = Field(
        "dapo", description="How TRL averages over tokens and completions."
    )
    rank: Annotated[int, Field(ge=1, le=512)] | None = Field(
        None, description="LoRA rank; null: all parameters are trained."
    )
    alpha: Annotated[float, Field(gt=0)] = Field(64, description="With rank: LoRA alpha.")
    targets: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj"],
        min_length=1,
        description="With rank: linear modules that get an adapter.",
    )
    checkpoints: Annotated[int, Field(ge=1, le=20)] = Field(
        4, description="Evenly spaced checkpoints; the best on validation is the arm."
    )

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        _check_steps(self, self.steps)
        return self


def _check_steps(section: TrainingConfig | GrpoConfig, steps: int) -> None:
    for key in ("checkpoints", "warmup_steps"):
        if getattr(section, key) > steps:
            raise ValueError(f"{key}: {getattr(section, key)} is more than the {steps} steps")


class DistillationConfig(Section):
    """A teacher arm's next-token distributions distilled into a LoRA (Eq. 4): kind distilled."""

    problems: Count = Field(100, description="Training problems that the teacher works.")
    samples: Count = Field(1, description="The teacher's rollouts a problem.")
    top_k: Annotated[int, Field(ge=1)] = Field(
        64, description="Likeliest tokens of the teacher; its distribution is theirs alone."
    )
    rank: Annotated[int, Field(ge=1, le=512)] = Field(
        32, description="LoRA rank; alpha is twice as much."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.05, description="LoRA dropout.")
    targets: list[str] = Field(
        ["q_proj", "k_proj", "v_proj", "o_proj"],
        min_length=1,
        description="Linear modules that get an adapter; the paper's W_O is o_proj alone.",
    )
    epochs: Count = Field(3, description="Passes over the rollouts.")
    sequences_per_step: Count = Field(16, description="Rollouts in one optimiser step.")
    learning_rate: Annotated[float, Field(gt=0)] = Field(1e-4, description="Peak of AdamW's rate.")
    warmup_share: Share = Field(0.1, description="Share of the steps with linear warm-up.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.01, description="AdamW's.")
    seed: Seed = Field(42, description="Seed of adapter initialisation and order.")


class ValidationConfig(SamplingConfig):
    """The checkpoint with the best pass@1 on the validation problems is the arm's adapter."""

    samples: Count = Field(4, description="Completions a validation problem and checkpoint.")
    seed: Seed = Field(43, description="Seed of sampling.")
    min_parseable: Share = Field(
        0.5,
        description="A checkpoint whose share of parseable answers falls below this share of "
        "the base's has collapsed and is not chosen. Where all have, the main arm stops the run; "
        "another keeps the best of them.",
    )


class EvaluationConfig(SamplingConfig):
    """The protocol of every benchmark and arm; a benchmark may overlay it, an arm may not."""

    protocol: Literal["paper"] | None = Field(
        None,
        description="paper: one sample a problem, eight on AIME24 and AMC23, temperature 0.6, "
        "top-p 0.95, whatever else is said; a benchmark's own values for these are an error.",
    )
    samples: Count | None = Field(
        None,
        description="Completions a problem, unless the benchmark says more; null: so many more, "
        "the fewer problems the benchmark is known to have, that about 500 are drawn (1 to 16).",
    )
    seed: Seed = Field(44, description="Seed of sampling.")
    samples_per_shard: Count = Field(
        64, description="Samples a job. Raising samples by whole shards keeps what was drawn."
    )


class ContaminationConfig(Section):
    """How many problems of a benchmark the base knows by heart: an extra stage, on request."""

    check: bool = Field(False, description="Whether the run measures it and the report shows it.")
    tail: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.4, description="Share of a problem's tokens that the base is to complete verbatim."
    )


class ReportConfig(Section):
    title: str = Field("ReasonMaxxer", description="Heading of the page.")
    rollouts_shown: Annotated[int, Field(ge=1, le=200)] = Field(
        10, description="Rollouts to read in the page, their gated tokens marked."
    )
    price_per_hour: Annotated[float, Field(ge=0)] | None = Field(
        None,
        description="Dollars an hour of one processor core, or of one GPU where the run uses GPUs; "
        "null leaves dollars out.",
    )
    reference: str | None = Field(
        None, description="Rows of the paper's table to show beside ours, by base model."
    )
