"""The model and the prompts, looked at before an engine starts.

Seconds on any machine: configs, tokenizers and file headers are read, weights are not.
"""

import argparse
import ast
import importlib.util
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import tables
from ..config import ModelConfig, PromptConfig
from ..errors import UserError
from ..generation.prompts import encode, eos_token_ids, load_tokenizer
from ..modeling.base_model import (
    check_ids,
    check_loaded,
    check_targets,
    model_settings,
    skeleton,
)
from ..tables.artefacts import ADAPTER_WEIGHTS, MODEL_WEIGHTS
from ..tables.provenance import provenance

HELP = "check that a model can be read and that every prompt leaves room for its completion"


INDEX = f"{MODEL_WEIGHTS}.index.json"
# Attributes of a model's config by which its logits are not those of body and head alone.
WHOLE = ("F64", "F32", "F16", "BF16")  # what safetensors calls types that are not quantised
LOGIT_CHANGES = ("final_logit_softcapping", "logit_scale", "logits_scaling")

Texts = Mapping[str, Mapping[str, str]]  # split -> problem id -> text


def look(
    asked: Mapping[str, Any], splits: Texts, base: Any = None, lora: bool = False
) -> tuple[Any, dict[str, int]]:
    """A model's settings (a transformers config), and the tokens of each split's longest prompt.

    `asked` is one of `graph.jobs.models`; a split of it that is not among `splits` is passed over.
    A teacher must share the vocabulary of the model with the settings `base`. With `lora`
    the engine serves adapters beside the model that they belong to.
    """
    model = ModelConfig.model_validate(asked["model"])
    try:
        settings, tokenizer = check_model(
            model, asked["targets"], asked["engine"], lora and bool(asked["targets"])
        )
        if asked.get("teaches") and base is not None and settings.vocab_size != base.vocab_size:
            raise UserError(
                f"{model.path} has {settings.vocab_size} tokens and the base {base.vocab_size}: "
                "a teacher is compared with the base token by token, so they must share a "
                "vocabulary"
            )
        longest = {
            split: check_prompts(
                model,
                PromptConfig.model_validate(prompt["prompt"]),
                splits[split],
                prompt["max_tokens"],
                settings.vocab_size,
                tokenizer,
            )
            for split, prompt in asked["prompts"].items()
            if split in splits
        }
    except UserError as error:
        text = str(error)
        raise UserError(
            text if text.startswith(asked["place"]) else f"{asked['place']}: {text}"
        ) from error
    return settings, longest


def check_model(
    model: ModelConfig, targets: list[str], engine: str, lora: bool = False
) -> tuple[Any, Any]:
    """The model's settings (a transformers config) and its tokenizer.

    Raises `UserError` where it cannot be read, run by the engine, scored or trained here.
    """
    settings = model_settings(model.path, model)
    if getattr(settings, "quantization_config", None):
        raise UserError(
            f"model.path: {model.path}: a quantised checkpoint; take the one it was made from: "
            "the adapter is trained on whole weights"
        )
    tokenizer = load_tokenizer(model)
    if len(tokenizer) <= len(tokenizer.all_special_ids):  # transformers makes one up
        raise UserError(
            f"model.path: {model.path}: no tokenizer, or one with an empty vocabulary; "
            "copy tokenizer.json and tokenizer_config.json of the model it was trained from"
        )
    if not eos_token_ids(model, tokenizer):
        raise UserError(
            f"model.path: {model.path}: neither the tokenizer nor generation_config.json names an "
            "end-of-sequence token, so no completion would end; set eos_token in one of them"
        )
    laid_out = skeleton(settings)
    if targets and not laid_out._supports_sdpa:
        raise UserError(
            f"model.path: {model.path}: {type(laid_out).__name__} has no SDPA attention (PyTorch's "
            "scaled_dot_product_attention), with which models are scored and trained here; take "
            "a model of another architecture"
        )
    if engine == "vllm":
        check_vllm(type(laid_out), model.path, lora)
    check_targets(settings, targets)
    for name in LOGIT_CHANGES:
        if getattr(settings, name, None) not in (None, 1):
            raise UserError(
                f"model.path: {model.path}: {name}: {getattr(settings, name)}: models that scale "
                "or cap their logits are not supported"
            )
    longest = getattr(settings, "max_position_embeddings", None)
    if longest is not None and model.max_length > longest:
        raise UserError(
            f"model.max_length: {model.max_length} is more than the {longest} positions of "
            f"{model.path}"
        )
    if Path(model.path).is_dir():
        _check_weights(Path(model.path), laid_out)
    else:
        _check_hub_weights(model)
    return settings, tokenizer


def check_vllm(architecture: Any, path: str, lora: bool = False) -> None:
    """Raise `UserError` if vLLM cannot run this class of transformers, or not with `lora`.

    It has classes of its own, and runs others through transformers where they allow that. Its
    register is read as text, since importing it takes longer than all that is checked here.
    """
    package = importlib.util.find_spec("vllm")
    if package is None or package.origin is None:
        raise UserError(
            "engine: vllm: is not installed; make the environment (make env), or take "
            "engine: transformers, which is slow"
        )
    classes = Path(package.origin).parent / "model_executor/models"
    register = (classes / "registry.py").read_text(encoding="utf-8")
    name = architecture.__name__
    own = re.search(rf'"{name}":\s*\(\s*"(\w+)",\s*"(\w+)"', register)
    if not (
        own or architecture.is_backend_compatible() or architecture._can_set_attn_implementation()
    ):
        raise UserError(
            f"model.path: {path}: vLLM cannot run {name}; take engine: transformers, which is slow"
        )
    if lora and own and not _takes_adapters(classes, *own.groups()):
        raise UserError(
            f"model.path: {path}: vLLM runs {name} without adapters; take a model of another "
            "architecture, resources.generation.gpu: 0 or engine: transformers, which merge "
            "them into the weights"
        )


def _takes_adapters(classes: Path, module: str, name: str) -> bool:
    """Whether a class of vLLM's models, or one that it derives from, serves LoRA."""
    file = classes / f"{module}.py"
    if not file.is_file():  # the package that runs transformers' own classes does
        return module == "transformers"
    defined: dict[str, list[str]] = {}
    imported: dict[str, tuple[str, str]] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            defined[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported |= {
                a.asname or a.name: (node.module.split(".")[-1], a.name) for a in node.names
            }
    bases = defined.get(name, [])
    return "SupportsLoRA" in bases or any(
        _takes_adapters(classes, *((module, base) if base in defined else imported[base]))
        for base in bases
        if base in defined or base in imported
    )


def _check_weights(folder: Path, laid_out: Any) -> None:
    """Raise `UserError` if the weights are not there whole, or not those of this model."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    index = folder / INDEX
    tensors: dict[str, Any] = {}
    for name in _parts(index) if index.is_file() else [MODEL_WEIGHTS]:
        if not (folder / name).is_file():
            raise UserError(f"model.path: {_missing(folder, index, name)}")
        tensors |= _tensors(folder / name)
    model, found = type(laid_out).from_pretrained(
        None,
        config=laid_out.config,
        state_dict=tensors,
        device_map={"": "meta"},
        output_loading_info=True,
        ignore_mismatched_sizes=True,
    )
    check_loaded(found, model, str(folder))


def _parts(index: Path) -> list[str]:
    """The files that an index names."""
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        parts = sorted({str(name) for name in content["weight_map"].values()})
        if any(Path(name).name != name for name in parts):
            raise ValueError("files of another folder")
        return parts
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{index}: not a readable index of weights; it is an input of the run: copy or "
            "download it again"
        ) from error


def _missing(folder: Path, index: Path, name: str) -> str:
    """What is said of weights that are not there, by what is there instead."""
    if (folder / name).is_symlink():
        return f"{folder / name}: a link to nothing; copy the file itself (cp -L)"
    if index.is_file():
        return f"{index}: names {name}, which is not there; copy it again"
    if (folder / ADAPTER_WEIGHTS).is_file():
        return (
            f"{folder}: holds an adapter, no {name}; name the model that it belongs to, or merge "
            "the two (PEFT's merge_and_unload)"
        )
    if there := sorted(file.name for file in folder.glob("*.safetensors")):
        return (
            f"{folder}: no {name} and no {INDEX} in it, but {there[0]}, which transformers does "
            "not read; take the checkpoint in the transformers format"
        )
    return f"{folder}: no *.safetensors file in it; of other formats GGUF is read, by model.gguf"


def _tensors(file: Path) -> dict[str, Any]:
    """The file's tensors without their values; `UserError` if they are quantised."""
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as content:
            slices = {name: content.get_slice(name) for name in content.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{file}: not a readable safetensors file: {error}; it is an input of the run: "
            "copy or download it again"
        ) from error
    for name, part in slices.items():
        if part.get_dtype() not in WHOLE:
            raise UserError(
                f"{file}: {name} is of type {part.get_dtype()}; take the checkpoint that it was "
                f"made from, in one of {', '.join(WHOLE)}"
            )
    return {name: torch.empty(part.get_shape(), device="meta") for name, part in slices.items()}


def _check_hub_weights(model: ModelConfig) -> None:
    from huggingface_hub import file_exists

    try:
        names = (MODEL_WEIGHTS, INDEX)
        found = any(file_exists(model.path, name, revision=model.revision) for name in names)
    except Exception:  # the hub does not answer: the weights are in the cache, or loading says it
        return
    if not found:
        raise UserError(
            f"model.path: {model.path}: no *.safetensors file on the hub; other formats are never "
            "read: convert it, or take a revision that has one"
        )


def check_prompts(
    model: ModelConfig,
    prompt: PromptConfig,
    problems: Mapping[str, str],
    max_tokens: int,
    vocabulary: int,
    tokenizer: Any,
) -> int:
    """The longest prompt's tokens; `problems` maps ids to texts.

    Raises `UserError` for a prompt that leaves no room for half of `max_tokens` in the model's
    `max_length`, or that the model has no embeddings for.
    """
    encoded = encode(prompt, list(problems.values()), tokenizer)
    for problem_id, ids in zip(problems, encoded, strict=True):
        room = model.max_length - len(ids)
        if 2 * room < max_tokens:
            raise UserError(
                f"problem {problem_id}: its prompt has {len(ids)} tokens, which leaves its "
                f"completion {max(room, 0)} of model.max_length = {model.max_length}, less than "
                f"half of max_tokens = {max_tokens}; raise model.max_length, or lower max_tokens"
            )
        check_ids(np.array(ids), vocabulary, f"model.path: {model.path}: its tokenizer")
    return max(map(len, encoded), default=0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models",
        required=True,
        help="JSON list: place in the config, model, targets (modules that get an adapter), "
        "engine, prompts (split -> prompt and max_tokens), teaches (shares the first's vocabulary)",
    )
    parser.add_argument(
        "--problems", required=True, nargs="+", type=Path, help="tables of problems"
    )
    parser.add_argument(
        "--lora", action="store_true", help="the engine serves adapters beside their model"
    )
    parser.add_argument("--out", required=True, type=Path, help="JSON of what was found")


def main(args: argparse.Namespace) -> None:
    splits = {
        path.stem: {r["problem_id"]: r["problem"] for r in tables.rows(path, "problems")}
        for path in args.problems
    }
    asked = json.loads(args.models)
    found: dict[str, Any] = {}
    base = None
    for one in asked:
        settings, longest = look(one, splits, base, args.lora)
        base = base or settings
        found[one["place"]] = {
            "model_type": settings.model_type,
            "vocabulary": settings.vocab_size,
            "longest_prompt": longest,
        }
    record = provenance("preflight", {"models": asked}, args.problems)
    text = json.dumps({"models": found, "provenance": record}, indent=1, sort_keys=True)
    tables.write_text(args.out, text + "\n")
