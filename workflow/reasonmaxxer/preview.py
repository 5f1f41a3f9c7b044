"""Show what the model will read: a config's prompts as text and as token ids."""

from __future__ import annotations

import argparse

from . import config
from .problems import load_problems
from .prompts import encode, eos_token_ids, load_tokenizer, stop_ids

HELP = "show the prompts of a config: text, token ids, and where the completion starts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--configfile", nargs="+", required=True, help="config files, in order")
    parser.add_argument("--n", type=int, default=3, help="how many training problems to show")


def main(args: argparse.Namespace) -> None:
    run = config.load(args.configfile)
    tokenizer = load_tokenizer(run.model)
    shown = load_problems(run.problems.train, "train")[: args.n]
    ids, strings = stop_ids(run.prompt, tokenizer)
    ends = {i: tokenizer.convert_ids_to_tokens(i) for i in eos_token_ids(run.model, tokenizer)}
    ends |= {i: tokenizer.convert_ids_to_tokens(i) for i in ids}
    print(f"model {run.model.path}, template {run.prompt.template}")
    print(f"a completion ends at the ids {ends} and at the strings {strings}")
    for row in shown:
        (tokens,) = encode(run.prompt, [row["problem"]], tokenizer)
        print(f"\n=== {row['problem_id']} (answer: {row['answer']}), {len(tokens)} tokens")
        print(tokenizer.decode(tokens, clean_up_tokenization_spaces=False), end="")
        print("◀ the completion starts here")
        print("ids:", " ".join(str(i) for i in tokens))
