"""Upload the result to the hub: an adapter with its card, and its rollouts where asked for."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .. import tables
from ..config import Config
from ..datasets.sources import HUB_ID
from ..errors import UserError, hub_error
from ..graph.shards import rollout_shards, rollouts_origin
from . import export

HELP = "upload a run's adapter with its card, and if asked its rollouts, to the hub"

KEY = ("problem_id", "sample")
# Texts first, as the hub's viewer shows them; then one item a token of the completion.
ROLLOUTS = pa.schema(
    [
        *[(name, pa.string()) for name in ("problem_id", "problem", "reference", "level")],
        ("sample", pa.int32()),
        *[(name, pa.string()) for name in ("completion", "finish_reason")],
        *[(name, pa.string()) for name in ("verdict", "answer", "reason")],
        ("token_ids", pa.list_(pa.int32())),
        ("logprobs", pa.list_(pa.float32())),
        ("entropies", pa.list_(pa.float32())),
    ]
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    export.add_arm_arguments(parser)
    parser.add_argument("--to", required=True, help="repository of the adapter, as OWNER/NAME")
    parser.add_argument(
        "--rollouts-to",
        help="also upload the rollouts that the arm was trained on, with problems, verdicts and "
        "entropies, to this repository of a dataset",
    )
    parser.add_argument("--private", action="store_true", help="make new repositories private")


def main(args: argparse.Namespace) -> None:
    wanted = {"--to": args.to, "--rollouts-to": args.rollouts_to}
    for flag, given in wanted.items():
        if given is not None and ("/" not in given or not HUB_ID.fullmatch(given)):
            raise UserError(f"{flag} {given}: a repository of the hub is OWNER/NAME")
    run = export.load(args)
    if args.rollouts_to and args.arm not in run.trained_arms:
        raise UserError(
            f"--rollouts-to: the arm {args.arm} is not trained on the base's rollouts; leave it "
            f"out, or give --arm one of {', '.join(run.trained_arms)}"
        )
    with tempfile.TemporaryDirectory() as scratch:
        adapter, rollouts = Path(scratch, "adapter"), Path(scratch, "rollouts")
        adapter.mkdir()
        export.pack(run, args, adapter, args.to)
        if args.rollouts_to:  # all is packed before anything is sent
            pack_rollouts(run, args, rollouts)
        upload(adapter, "--to", args.to, "model", args.private)
        if args.rollouts_to:
            upload(rollouts, "--rollouts-to", args.rollouts_to, "dataset", args.private)


def upload(folder: Path, flag: str, repository: str, kind: str, private: bool) -> None:
    """Send a folder in one commit, to a repository that is made if there is none."""
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repository, repo_type=kind, private=private or None, exist_ok=True)
        sent = api.upload_folder(
            repo_id=repository,
            repo_type=kind,
            folder_path=folder,
            commit_message="Upload from ReasonMaxxer",
        )
    except Exception as error:
        raise UserError(f"{flag} {repository}: {hub_error(error)}") from error
    print(f"uploaded {sent.repo_url}")


def pack_rollouts(run: Config, args: argparse.Namespace, out: Path) -> None:
    """The arm's rollouts as Parquet, a file a shard, with a card that says what they are."""
    from huggingface_hub import DatasetCardData

    folder = args.results / run.run
    origin = rollouts_origin(run, args.arm)
    out.joinpath("data").mkdir(parents=True)
    problems = {
        row["problem_id"]: row for row in tables.rows(folder / "problems/train.parquet", "problems")
    }
    for shard in rollout_shards(run, args.arm):
        found = list(_rows(folder, f"{origin}/{shard}.parquet", problems))
        pq.write_table(pa.Table.from_pylist(found, ROLLOUTS), out / "data" / f"{shard}.parquet")
    files = [{"split": "train", "path": "data/*.parquet"}]
    data = DatasetCardData(
        language=export.base_card(run.model).get("language"),
        task_categories=["text-generation"],
        tags=["reasonmaxxer"],
        configs=[{"config_name": "default", "data_files": files}],
    )
    tables.write_text(out / "README.md", f"---\n{data.to_yaml()}\n---\n{_card(run, args)}")


def _rows(folder: Path, shard: str, problems: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A shard's rollouts, each with its problem, verdict and entropies."""
    verdicts = {
        tuple(row[name] for name in KEY): row
        for row in tables.rows(folder / "verdicts" / shard, "verdicts")
    }
    entropies: dict[tuple[Any, ...], list[float]] = {}
    columns = [*KEY, "entropy"]
    for row in tables.rows(folder / "entropies" / shard, "entropies", columns):
        entropies.setdefault((row["problem_id"], row["sample"]), []).append(row["entropy"])
    for row in tables.rows(folder / "rollouts" / shard, "rollouts"):
        key = row["problem_id"], row["sample"]
        problem = problems[row["problem_id"]]
        own = {"reference": problem["answer"], "completion": row["text"]}
        yield {**problem, **row, **verdicts[key], **own, "entropies": entropies.get(key, [])}


def _card(run: Config, args: argparse.Namespace) -> str:
    rollouts = run.section_of(args.arm, "rollouts")
    base = run.model.path + (f" at {run.model.revision}" if run.model.revision else "")
    return f"""
# {args.rollouts_to}

Completions of {base}, from which the arm `{args.arm}` of the run `{run.run}` was trained by
[ReasonMaxxer]({export.PAPER}): [{args.to}](https://huggingface.co/{args.to}).
{rollouts.samples} of each problem, at temperature {rollouts.temperature:g} and top-p
{rollouts.top_p:g}, of at most {rollouts.max_tokens} tokens. The problems keep the licence that
they have where they come from:

{export.data(run)}

| column | is |
|---|---|
| problem_id, problem, reference, level | the problem, with its answer |
| sample, completion, finish_reason | its number and text; `length` where it was cut off |
| verdict, answer, reason | correct, incorrect, unparseable or timeout; what was read; why |
| token_ids, logprobs | as sampled; log-probabilities at temperature 1, in nats |
| entropies | of the base's distribution before each token, in nats |

The prompt, in which the problem stands:

{export.quoted(export.prompt_text(run, "{problem}"))}
"""
