"""Show what the model will read: a config's prompts as text and as token ids."""

import argparse
import shlex
from pathlib import Path

from .. import config
from ..errors import UserError
from ..generation.prompts import encode, eos_token_ids, load_tokenizer, stop_ids
from ..graph.protocol import prompt_of, sources_of
from ..stages.problems import load_problems
from .arguments import at_least

HELP = "show the prompts of a config: text, token ids, and where the completion starts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--configfile", nargs="+", required=True, help="config files, each laid over the one before"
    )
    parser.add_argument("--n", type=at_least(1), default=3, help="how many problems to show")
    parser.add_argument(
        "--split", default="train", help="whose problems: train, validation or a benchmark"
    )


def main(args: argparse.Namespace) -> None:
    run = config.load(args.configfile)
    splits = ["train", "validation", *run.benchmarks]
    if args.split not in splits:
        raise UserError(f"--split {args.split}: the run has {', '.join(splits)}")
    prompt = prompt_of(run, args.split)
    if run.model.gguf is not None and not Path(run.model.path, "config.json").exists():
        raise UserError(
            f"model.path: {run.model.path}: not converted yet; make it, with the run's "
            f"--configfile: snakemake --cores 1 {shlex.quote(f'{run.model.path}/config.json')}"
        )
    tokenizer = load_tokenizer(run.model)
    shown = load_problems(sources_of(run, args.split), args.split)[: args.n]
    ids, strings = stop_ids(prompt, tokenizer)
    ends = {i: tokenizer.convert_ids_to_tokens(i) for i in eos_token_ids(run.model, tokenizer)}
    ends |= {i: tokenizer.convert_ids_to_tokens(i) for i in ids}
    print(f"model {run.model.path}, template {prompt.template}")
    print(f"a completion ends at the ids {ends} and at the strings {strings}")
    for row in shown:
        (tokens,) = encode(prompt, [row["problem"]], tokenizer)
        print(f"\n=== {row['problem_id']} (answer: {row['answer']}), {len(tokens)} tokens")
        print(tokenizer.decode(tokens, clean_up_tokenization_spaces=False), end="")
        print("◀ the completion starts here")
        print("ids:", " ".join(str(i) for i in tokens))
