"""The kinds of arm: what can be compared, and how an arm of each kind is made."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of arm. Its words stand in the description of the config's key `kind`."""

    words: str
    # As model cards say how such an arm came about. {objective}, {rollouts} and {positions}
    # are what it was trained by and on where it `selects`, {teacher} is its teacher's name.
    card: str = ""
    # The sections of the config that make such an arm, which it may overlay; none: not made here.
    sections: tuple[str, ...] = ()
    # The rule that trains it; its jobs are named by the arm.
    rule: str | None = None
    # The table of its training log and the file's name under training/<arm>/.
    log: str | None = None
    # The section whose `checkpoints` are written, one of which is chosen on validation.
    checkpoints: str | None = None
    # Whether it is taught by another arm, the one that its key `teacher` names.
    teacher: bool = False
    # Whether it is trained on rollouts of the base that were gated in the stage `selection`.
    selects: bool = False


KINDS = {
    "base": Kind(words="the frozen model"),
    "trained": Kind(
        words="a LoRA trained by the method",
        card="trained offline by {objective} on {rollouts} at {positions}",
        sections=("rollouts", "selection", "training"),
        rule="train_adapter",
        log="training",
        checkpoints="training",
        selects=True,
    ),
    "grpo": Kind(
        words="reinforcement learning from the base",
        card="trained by GRPO with the rewards of the verifier",
        sections=("grpo",),
        rule="train_grpo",
        log="grpo",
        checkpoints="grpo",
    ),
    "distilled": Kind(
        words="the distributions of the arm `teacher` in a LoRA",
        card="distilled from the arm {teacher} (arXiv 2605.06241, Eq. 4)",
        sections=("distillation",),
        rule="distil_teacher",
        log="training",
        teacher=True,
    ),
    "checkpoint": Kind(words="the public model `model`"),
}

MADE = tuple(name for name, kind in KINDS.items() if kind.sections)
CHOSEN = tuple(name for name, kind in KINDS.items() if kind.checkpoints)
SECTIONS = tuple(dict.fromkeys(name for kind in KINDS.values() for name in kind.sections))
