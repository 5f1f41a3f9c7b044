"""Tool `merge`: an adapter added to its base in float32, as a whole model."""

import argparse
import tempfile
from pathlib import Path

import torch

from ..config import ModelConfig
from ..generation.engine import merged_model
from ..generation.prompts import load_tokenizer

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
    merged = merged_model(model, adapter).to(getattr(torch, model.dtype))
    merged.save_pretrained(out, max_shard_size="1TB")
    load_tokenizer(model).save_pretrained(out)
