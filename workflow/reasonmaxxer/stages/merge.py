"""Tool `merge`: an adapter added to its base in float32, as a whole model."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

from ..config import ModelConfig
from ..generation.prompts import load_tokenizer
from ..tables.artefacts import check_adapter

HELP = "add an adapter to its base: a whole model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model-config", required=True, help="config section `model` as JSON")
    parser.add_argument("--adapter", required=True, type=Path, help="folder of the adapter")
    parser.add_argument("--out", required=True, type=Path, help="folder of the model to write")
    parser.add_argument("--threads", type=int, default=1, help="number of CPU cores")


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".merge.", dir=args.out.parent) as scratch:
        merge(ModelConfig.from_json(args.model_config), args.adapter, Path(scratch))
        for file in Path(scratch).iterdir():
            file.replace(args.out / file.name)


def merge(model: ModelConfig, adapter: Path, out: Path) -> None:
    """Write the base with the adapter added, in the model's type and in one file, to `out`."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    check_adapter(adapter)
    base: Any = AutoModelForCausalLM.from_pretrained(
        model.path, revision=model.revision, dtype=torch.float32, use_safetensors=True
    )
    merged: Any = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
    merged.to(getattr(torch, model.dtype)).save_pretrained(out, max_shard_size="1TB")
    load_tokenizer(model).save_pretrained(out)
