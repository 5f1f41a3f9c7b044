"""The schedule of training: steps, checkpoints, learning rates, and what other sections make of it.

Apart from the config, which a stage's code hash does not count, while what is worked out here is in
no rule's params. For the same reason every value that the stage reads is given, defaults included.
"""

from __future__ import annotations

from ..config import DistillationConfig, GrpoConfig, TrainingConfig


def optimiser_steps(sequences: int, batch_size: int) -> int:
    """How many steps visit so many sequences; the last step may have fewer of them."""
    return -(-sequences // batch_size)


def checkpoint_steps(training: TrainingConfig) -> list[int]:
    """Steps after which a checkpoint is written; the last is the end of training."""
    steps = optimiser_steps(training.sequences, training.batch_size)
    numbers = range(1, training.checkpoints + 1)
    return [max(1, round(steps * number / training.checkpoints)) for number in numbers]


def learning_rate(step: int, steps: int, config: TrainingConfig) -> float:
    """Rate of the 1-based `step` of so many: linear warm-up from 0, then linear decay to 0.

    As in the usual schedule with warm-up, the n-th step takes the rate at n - 1.
    """
    done, end = step - 1, config.decay_steps or steps
    if done < config.warmup_steps:
        return config.learning_rate * done / config.warmup_steps
    return config.learning_rate * max(end - done, 0) / max(end - config.warmup_steps, 1)


def rollouts_per_step(grpo: GrpoConfig) -> int:
    """Rollouts of an optimiser step: every prompt is sampled `num_generations` times."""
    return grpo.prompts_per_step * grpo.num_generations


def of_grpo(grpo: GrpoConfig) -> TrainingConfig:
    """Adapter and checkpoints of the section `grpo`."""
    return TrainingConfig(
        rank=grpo.rank or 1,
        alpha=grpo.alpha,
        dropout=0.0,
        target_modules=grpo.target_modules,
        sequences=grpo.steps * rollouts_per_step(grpo),
        batch_size=rollouts_per_step(grpo),
        warmup_steps=grpo.warmup_steps,
        checkpoints=grpo.checkpoints,
        seed=grpo.seed,
    )


def of_distillation(distillation: DistillationConfig, rollouts: int) -> TrainingConfig:
    """The trainer's settings for so many rollouts of the teacher."""
    sequences = distillation.epochs * rollouts
    steps = optimiser_steps(sequences, distillation.batch_size)
    return TrainingConfig(
        rank=distillation.rank,
        alpha=2 * distillation.rank,
        dropout=distillation.dropout,
        target_modules=distillation.target_modules,
        sequences=sequences,
        batch_size=distillation.batch_size,
        order="random",
        learning_rate=distillation.learning_rate,
        warmup_steps=round(distillation.warmup_ratio * steps),
        decay_steps=None,
        weight_decay=distillation.weight_decay,
        max_grad_norm=1.0,
        checkpoints=1,
        seed=distillation.seed,
    )
