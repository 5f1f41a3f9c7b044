"""What model cards have in common: how the arm came about, and the lines that use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..config import Config, ModelConfig, TrainingConfig
from ..method.advantages import ADVANTAGES
from ..method.credit import CREDIT
from ..method.gates import GATES
from ..method.kinds import KINDS
from ..method.objectives import OBJECTIVES
from ..tables.artefacts import served_rank

NOT_IN_KEY = {"*": "the words of a card: a better sentence makes no adapter again"}


def how(config: Config, arm: str) -> str:
    """How an arm that is made here came about, in words."""
    kind = KINDS[config.arms[arm].kind]
    given = {"teacher": config.arms[arm].teacher}
    if kind.selects:
        selection, training = (config.section_of(arm, name) for name in ("selection", "training"))
        anchor = (
            ", the others anchored to the base" if training.anchor_weight else ", without an anchor"
        )
        positions = GATES[selection.gate].words + ("" if selection.gate == "all" else anchor)
        rule = ADVANTAGES[selection.advantages]
        rollouts = rule.words + (CREDIT[selection.credit].words if rule.compares else "")
        objective = OBJECTIVES[training.objective].words
        given |= {"objective": objective, "rollouts": rollouts, "positions": positions}
    return kind.card.format(**given)


def front(model: ModelConfig, whole: bool, **more: Any) -> str:
    """The card's front matter, in the hub's terms; `more` are fields of its `ModelCardData`."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        base_model=None if Path(model.path).is_dir() else model.path,  # the hub takes ids alone
        library_name="transformers" if whole else "peft",
        pipeline_tag="text-generation",
        tags=["reasonmaxxer", *([] if whole else ["lora"])],
        **more,
    )
    return f"---\n{data.to_yaml()}\n---\n"


def card(
    arm: str, what: str, model: ModelConfig, training: TrainingConfig, whole: bool, body: str
) -> str:
    """A whole card: what an arm's folder is, `body`, and how to use it."""
    made = "A model" if whole else "An adapter"
    modules = ", ".join(training.target_modules)
    shape = f"LoRA of rank {training.rank} (alpha {training.alpha:g}) on {modules}"
    return f"""{front(model, whole)}
# {arm}

{made} made from {model.path}: {"all parameters" if whole else shape}, {what}.

{body}

Use it:

{usage(model, None if whole else training.rank, arm)}"""


def usage(model: ModelConfig, rank: int | None, name: str, folder: str = "<this folder>") -> str:
    """Markdown lines that serve and load the folder; `rank` is None for a whole model."""
    if rank is None:
        serve, package, loader = f"vllm serve {folder}", "transformers", "AutoModelForCausalLM"
    else:
        revision = f" --revision {model.revision}" if model.revision else ""
        # vLLM takes what stands before the first = for the name.
        lora = f"--lora-modules {name.replace('=', '-')}={folder}"
        serve = f"""vllm serve {model.path}{revision} --enable-lora \\
      --max-lora-rank {served_rank(rank)} {lora}"""
        package, loader = "peft", "AutoPeftModelForCausalLM"
    return f"""    {serve}

    from {package} import {loader}
    model = {loader}.from_pretrained("{folder}")
"""
