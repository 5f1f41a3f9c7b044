"""The model and the prompts, looked at before an engine starts.

Seconds on any machine: configs, tokenizers and file headers are read, weights are not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import tables
from .config import ModelConfig, PromptConfig
from .errors import UserError
from .model import check_targets, model_settings
from .prompts import encode, load_tokenizer
from .provenance import provenance

HELP = "check that a model can be read and that every prompt leaves room for its completion"


def check_model(model: ModelConfig, targets: list[str]) -> Any:
    """The model's settings (a transformers config).

    Raises:
        UserError: the folder or hub id, its tokenizer or the headers of its weights cannot be
            read; `max_length` is beyond the model's positions; it has no module of `targets`.
    """
    load_tokenizer(model)
    settings = model_settings(model.path, model)
    check_targets(settings, targets)
    longest = getattr(settings, "max_position_embeddings", None)
    if longest is not None and model.max_length > longest:
        raise UserError(
            f"model.max_length: {model.max_length} is more than the {longest} positions of "
            f"{model.path}"
        )
    if Path(model.path).is_dir():
        _check_weights(Path(model.path))
    return settings


def _check_weights(folder: Path) -> None:
    from safetensors import SafetensorError, safe_open

    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise UserError(f"model.path: {folder}: no *.safetensors file in it")
    for file in files:
        try:
            with safe_open(file, "np") as tensors:
                tensors.keys()
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file}: not a readable safetensors file: {error}") from error


def check_prompts(
    model: ModelConfig, prompt: PromptConfig, problems: Mapping[str, str], max_tokens: int
) -> int:
    """The longest prompt's tokens; `problems` maps ids to texts. Raises `UserError` for a prompt
    that leaves no room for `max_tokens` in the model's `max_length`.
    """
    encoded = encode(prompt, list(problems.values()), load_tokenizer(model))
    for problem_id, ids in zip(problems, encoded, strict=True):
        if len(ids) + max_tokens > model.max_length:
            raise UserError(
                f"problem {problem_id}: its prompt has {len(ids)} tokens; with max_tokens = "
                f"{max_tokens} that is more than model.max_length = {model.max_length}; raise "
                f"model.max_length, or lower max_tokens"
            )
    return max(map(len, encoded), default=0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model-config", required=True, help="config section `model`, as JSON")
    parser.add_argument("--targets", required=True, nargs="+", help="modules that get an adapter")
    parser.add_argument(
        "--problems", required=True, nargs="+", type=Path, help="tables of problems"
    )
    parser.add_argument(
        "--prompts",
        required=True,
        help='JSON: table name -> {"prompt": config section, "max_tokens": number}',
    )
    parser.add_argument("--out", required=True, type=Path, help="JSON of what was found")


def main(args: argparse.Namespace) -> None:
    model = ModelConfig.from_json(args.model_config)
    settings = check_model(model, args.targets)
    prompts = json.loads(args.prompts)
    longest = {}
    for path in args.problems:
        asked = prompts[path.stem]
        texts = {row["problem_id"]: row["problem"] for row in tables.rows(path, "problems")}
        prompt = PromptConfig.from_json(json.dumps(asked["prompt"]))
        longest[path.stem] = check_prompts(model, prompt, texts, asked["max_tokens"])
    found = {
        "model_type": settings.model_type,
        "vocabulary": settings.vocab_size,
        "longest_prompt": longest,
        "provenance": provenance("preflight", model.model_dump(mode="json"), args.problems),
    }
    tables.write_text(args.out, json.dumps(found, indent=1, sort_keys=True) + "\n")
