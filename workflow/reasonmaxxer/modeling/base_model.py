"""The base model: loaded once, split into body and head, checked, given its adapter."""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import tables
from ..config import ModelConfig, TrainingConfig
from ..datasets.sources import check_place
from ..errors import UserError, hub_error, time_limit, unreadable
from ..tables.artefacts import check_made_model
from . import cpu_kernels, packing
from .device import on_gpu
from .lm_head import Head
from .packing import ATTENTION, Packed, fill_batches

LAYOUT_SECONDS = 10.0  # most time that a model's layout without weights may take
# Larger batches outgrow a CPU's caches: the lab model is scored a quarter slower by 16384 tokens.
CPU_BATCH_TOKENS = 2048


@dataclass
class Base:
    """A causal language model whose logits are `head.logits(hidden(ids))`."""

    model: Any  # transformers.PreTrainedModel
    head: Head
    device: torch.device

    @property
    def width(self) -> int:
        """H, the size of a hidden state."""
        return self.head.weight.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """The type of weights and hidden states."""
        return self.head.weight.dtype

    @property
    def packs(self) -> bool:
        """Whether the architecture lets attention go sequence by sequence; most do."""
        return self.model.config._attn_implementation == ATTENTION

    def hidden(self, batch: Packed) -> Tensor:
        """Last hidden states, after the final norm.

        Args:
            batch: sequences of N tokens together, filler included, on the model's device.

        Returns:
            [N, H] in the model's dtype. Those of the filler are rubbish, which no sequence sees.
        """
        packed = {"sequences": batch.lengths} if self.packs else {}
        return self.model.base_model(
            input_ids=batch.input_ids, position_ids=batch.positions, use_cache=False, **packed
        ).last_hidden_state[0]

    def batches(self, lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
        """`fill_batches` of no more tokens than this device runs well."""
        if not self.packs:
            return [[index] for index in range(len(lengths))]
        most = CPU_BATCH_TOKENS if self.device.type == "cpu" else batch_tokens
        return fill_batches(lengths, min(batch_tokens, most))

    def pack(self, sequences: Sequence[Sequence[int] | np.ndarray]) -> Packed:
        """`packing.pack` of sequences [T] of ids, on the model's device."""
        return packing.pack(sequences, self.device)


def model_settings(path: str, config: ModelConfig) -> Any:
    """The model's own transformers config, read without weights; `UserError` if it cannot be."""
    from transformers import AutoConfig

    check_place(path)
    try:
        return AutoConfig.from_pretrained(path, revision=config.revision, trust_remote_code=False)
    except Exception as error:  # whatever the library raises for files that are not sound
        raise unreadable(path, "no readable model", error) from error


def check_ids(ids: np.ndarray, vocabulary: int, where: str) -> None:
    """Raise `UserError` if an id in [T] (any integers) is negative or beyond the vocabulary."""
    if len(ids) and not (ids.min() >= 0 and ids.max() < vocabulary):
        wrong = ids.min() if ids.min() < 0 else ids.max()
        raise UserError(
            f"{where}: token id {wrong} is outside the model's vocabulary of {vocabulary}; "
            "was it made with another model?"
        )


def skeleton(settings: Any) -> Any:
    """The model laid out without weights: a moment even for a large one.

    Raises `UserError` if it is not a causal language model, or one of impossible sizes.
    """
    from transformers import AutoModelForCausalLM

    kind = f"model.path: a model of type {settings.model_type}"
    if settings.get_text_config() is not settings or settings.is_encoder_decoder:
        raise UserError(
            f"{kind} is not a causal language model: it has parts for more than text; use "
            "a checkpoint of its text model alone"
        )
    try:
        with time_limit(LAYOUT_SECONDS), torch.device("meta"):
            return AutoModelForCausalLM.from_config(settings)
    except Exception as error:  # sizes that make no sense can raise anything
        if "Unrecognized configuration class" in str(error):
            raise UserError(f"{kind} is not a causal language model") from error
        raise UserError(
            f"{kind} cannot be laid out: {error}; are the sizes in its config.json right?"
        ) from error


def linear_modules(model: Any) -> dict[str, str]:
    """The last names of the body's linear modules, each with a full name that has it."""
    return {
        name.rsplit(".", 1)[-1]: name
        for name, module in model.base_model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }


def check_targets(settings: Any, targets: Sequence[str], section: str = "training") -> None:
    """Raise `UserError` if one of `targets`, such as `q_proj`, is no linear module of the model."""
    model = skeleton(settings)
    linear = linear_modules(model)
    others = {type(m).__name__ for m in model.base_model.modules()}
    for target in targets:
        if target not in linear and not linear and "Conv1D" in others:
            raise UserError(
                f"{section}.target_modules: {target}: models of type {settings.model_type} have "
                "Conv1D modules in place of linear ones, which is not supported; take another model"
            )
        if target not in linear:
            raise UserError(
                f"{section}.target_modules: {target}: the model has no such linear module; "
                f"it has {', '.join(sorted(linear)) or 'none'}"
            )


def check_loaded(found: Mapping[str, Any], model: Any, path: str) -> None:
    """Raise `UserError` if weights and config.json are not of one model.

    transformers would fill what is missing with random numbers, and leave out further layers.
    `found` is what it says of loading `model`: missing_keys, mismatched_keys and unexpected_keys.
    """

    def alike(name: str) -> str:
        return re.sub(r"\d+", "N", name)

    kinds = {alike(name) for name in model.state_dict()}
    wrong = [
        f"{name} has the shape {[*there]} instead of {[*wanted]}"
        for name, there, wanted in sorted(found["mismatched_keys"])
    ]
    wrong += [f"{name} is missing" for name in sorted(found["missing_keys"])]
    wrong += [f"{n} has no place" for n in sorted(found["unexpected_keys"]) if alike(n) in kinds]
    if wrong:
        raise UserError(
            f"model.path: {path}: its weights are not those that its config.json describes: "
            f"{wrong[0]} (the first of {len(wrong)}); copy or download both again"
        )


def load_base(path: str, config: ModelConfig) -> Base:
    """Load the frozen model, in evaluation mode, on a GPU where there is one.

    Raises `UserError` if it cannot be read, or scales or caps its logits.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    check_made_model(path)
    # A frozen base has no use for the dropout that some models were pretrained with.
    settings = model_settings(path, config)
    for name in ("attention_dropout", "hidden_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop"):
        if getattr(settings, name, None):
            setattr(settings, name, 0.0)
    try:
        model, found = AutoModelForCausalLM.from_pretrained(
            path,
            config=settings,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            revision=config.revision,
            dtype=getattr(torch, config.dtype),
            use_safetensors=True,
            attn_implementation="sdpa",
        )
    except (OSError, ValueError) as error:
        raise UserError(f"model.path: {path}: cannot be loaded: {hub_error(error)}") from error
    except SafetensorError as error:
        local = "it is an input of the run: copy or download it again"
        again = local if Path(path).is_dir() else "remove its folder from HF_HOME and run again"
        raise UserError(f"model.path: {path}: damaged weights: {error}; {again}") from error
    check_loaded(found, model, path)
    device = torch.device("cuda", torch.cuda.current_device()) if on_gpu() else torch.device("cpu")
    if on_gpu():  # cuDNN's attention builds a plan for every new shape, and each batch has its own
        torch.backends.cuda.enable_cudnn_sdp(False)
    if model._supports_attention_backend:
        packing.install(model)
    model.to(device).eval().requires_grad_(False)
    cpu_kernels.install(model)
    output = model.get_output_embeddings()
    base = Base(model, Head(output.weight, getattr(output, "bias", None)), device)
    _check_split(base, path)
    return base


@torch.no_grad()
def _check_split(base: Base, path: str) -> None:
    """Compare the model's own logits with ours on a few tokens, behind others in a batch.

    What is not attention, such as a recurrent state, may pass from one sequence to the next: such a
    model reads one at a time.
    """
    ids = (np.arange(4) % base.head.vocabulary).tolist()
    own = base.model(input_ids=torch.tensor([ids], device=base.device), use_cache=False).logits[0]
    tolerance = (1e-3 if base.dtype == torch.float32 else 3e-2) * own.abs().max().clamp(min=1)

    def differs(*before: list[int]) -> bool:
        batch = base.pack([*before, ids])
        ours = base.head.logits(batch.split(base.hidden(batch))[-1])
        return bool((own.float() - ours).abs().max() > tolerance)

    if base.packs and differs(ids[::-1]):
        base.model.set_attn_implementation("sdpa")
    if differs():
        raise UserError(
            f"model.path: {path}: this architecture ({base.model.config.model_type}) scales, caps "
            "or otherwise changes its logits behind the output projection, which is not supported"
        )


# --- adapter ----------------------------------------------------------------------------------


def lora_config(config: TrainingConfig, path: str | None = None) -> Any:
    """The adapter's `peft.LoraConfig`; `path` is the base model's name in it."""
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        base_model_name_or_path=path,
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.target_modules),
        bias="none",
    )


def pack_adapter(folder: Path, weights: Path, model: ModelConfig, config: TrainingConfig) -> None:
    """A folder that PEFT and `vllm serve --lora-modules` load unchanged."""
    folder.mkdir(parents=True, exist_ok=True)
    with tables.replacing(folder / "adapter_model.safetensors") as partial:
        shutil.copyfile(weights, partial)
    tables.write_text(
        folder / "adapter_config.json", json.dumps(peft_config(model, config), indent=1)
    )


def peft_config(model: ModelConfig, config: TrainingConfig) -> dict[str, Any]:
    """adapter_config.json, as PEFT itself writes it."""
    values = lora_config(config, model.path).to_dict()
    values["revision"] = model.revision
    return {k: sorted(v) if isinstance(v, set) else v for k, v in values.items()}
