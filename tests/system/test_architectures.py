"""Every family that a preset names goes through the whole workflow, from rollouts to the page.

Tiny models (families.py), the real Snakemake, vLLM, trainer and PEFT; two minutes of the processor
each. One of them comes from a hub, ours on the loopback, as the presets' models do.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
import yaml
from hub_server import COMMIT, Hub, Repository

from reasonmaxxer import tables
from reasonmaxxer.config import PromptConfig

ROOT = Path(__file__).parents[2]

ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_DISABLE_XET": "1",
}
FROM_HUB = "llama"
GPU_FREE = {"threads": 1, "mem_mb": 2500}


@dataclass
class Run:
    family: families.Family
    model: Path
    folder: Path  # of the run's results

    def rows(self, path: str, name: str) -> list[dict[str, Any]]:
        return [row for p in sorted(self.folder.glob(path)) for row in tables.rows(p, name)]

    @cached_property
    def rollouts(self) -> list[dict[str, Any]]:
        return self.rows("rollouts/main/*.parquet", "rollouts")

    @cached_property
    def tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.model)


def config(model: dict[str, str], prompt: PromptConfig, problems: Path) -> dict[str, Any]:
    """A run in the small; the first problems train, the next choose, the last are the benchmark."""

    def source(split: str, limit: int) -> dict[str, Any]:
        return {"path": str(problems), "filter": {"split": split}, "limit": limit}

    sampling = {"max_tokens": 28}
    return {
        "run": "family",
        "model": {**model, "dtype": "float32", "max_length": 64},
        "prompt": prompt.model_dump(),
        "problems": {"train": [source("train", 30)], "validation": [source("validation", 10)]},
        "benchmarks": {"sums": {"source": source("test", 23), "samples": 8}},
        "rollouts": {"samples": 8, "samples_per_shard": 8, **sampling},
        "selection": {"problems": 24, "tau": 0.3},
        "training": {
            **{"rank": 8, "alpha": 16, "sequences": 160, "checkpoints": 1},
            **{"learning_rate": 2.0e-3, "warmup_steps": 4, "probability_floor": 0.05},
        },
        "checkpoint": {"samples": 2, **sampling},
        "evaluation": sampling,
        "arms": {"base": {"kind": "base"}, "reasonmaxxer": {}},
        "resources": {
            "generation": {**GPU_FREE, "kv_cache_mb": 64},
            "verdicts": GPU_FREE,
            "entropies": GPU_FREE,
            "training": GPU_FREE,
        },
    }


@pytest.fixture(scope="module", params=families.FAMILIES)
def run(request, tmp_path_factory) -> Run:
    """A finished run of a family, in a folder of its own."""
    name, folder = request.param, tmp_path_factory.mktemp(request.param)
    family = families.FAMILIES[name]
    template = folder / "prompt.txt"
    template.write_text("Problem: {problem}\nSolution:\n")
    chat = PromptConfig(instruction="Box it.")
    prompt = chat if family.chat else PromptConfig(template=str(template))
    model = families.make(name, prompt, folder / "model")
    rows = families.problems()
    for number, row in enumerate(rows):
        row["split"] = "train" if number < 30 else "validation" if number < 40 else "test"
    problems = folder / "problems.jsonl"
    problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with hub_of(name, model) as hub:
        where = {"path": f"team/{name}", "revision": COMMIT}
        given = where if name == FROM_HUB else {"path": str(model)}
        (folder / "config.yaml").write_text(yaml.safe_dump(config(given, prompt, problems)))
        snakemake(folder, {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "home")})
        asked = {path for _, path, _ in hub.repositories[f"team/{name}"].requests}
    assert (f"resolve/{COMMIT}/model.safetensors" in asked) == (name == FROM_HUB)
    return Run(family, model, folder / "results" / "family")


def hub_of(name: str, model: Path) -> Hub:
    """A hub that has this model as team/<name>."""
    files = {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()}
    return Hub({f"team/{name}": Repository(files, kind="models")})


def snakemake(folder: Path, variables: dict[str, str]) -> None:
    """The run of config.yaml in `folder`, from the checkout's Snakefile."""
    where = ["--cores", "2", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    where += ["--workflow-profile", ROOT / "profiles" / "default"]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *where, "--configfile", folder / "config.yaml"],
        env=ENVIRONMENT | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "results" / "report.html").is_file()


def test_training_at_the_fork_solves_what_the_base_solves_sometimes(run):
    shares = {
        row["arm"]: row["value"]
        for row in run.rows("metrics.parquet", "metrics")
        if row["metric"] == "accuracy" and row["benchmark"] == "sums"
    }
    assert 0.5 < shares["base"] < 0.85  # 0.6 of the corpus, sharpened by the temperature
    assert shares["reasonmaxxer"] > shares["base"] + 0.1


def test_every_text_begins_and_ends_as_the_family_has_it(run):
    words, family = run.tokenizer, run.family
    eos = words.convert_tokens_to_ids(family.eos)
    others = {words.convert_tokens_to_ids(t) for t in family.specials} - {eos}
    turns = words.convert_tokens_to_ids("<|im_start|>") if family.chat else None
    bos = [words.bos_token_id] if family.bos else []
    assert len(run.rollouts) == 240
    for row in run.rollouts:
        prompt, ids = row["prompt_token_ids"], row["token_ids"]
        assert prompt[: len(bos)] == bos
        assert [i for i in prompt if i == words.bos_token_id] == bos
        assert prompt.count(turns) == (2 if family.chat else 0)
        assert (row["finish_reason"], ids[-1], ids.count(eos)) == ("stop", eos, 1)
        assert not others & set(ids)


def test_decisions_are_taken_at_the_fork_alone(run):
    words = run.tokenizer
    forks = set(words(" + *", add_special_tokens=False)["input_ids"])
    rows = run.rows("selection/main.parquet", "selection")
    chosen = [row["token_ids"][position] for row in rows for position in row["positions"]]
    assert len(chosen) >= len(rows) > 100
    assert sum(token in forks for token in chosen) > 0.95 * len(chosen)


def test_engine_and_scorer_agree_on_every_sampled_token(run):
    scored = run.rows("entropies/main/*.parquet", "entropies")
    sampled = np.concatenate([row["logprobs"] for row in run.rollouts])
    np.testing.assert_allclose([row["logprob"] for row in scored], sampled, atol=2e-3)


@torch.no_grad()
def test_peft_and_vllm_load_the_adapter_and_agree(run):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = run.folder / "adapters" / "reasonmaxxer"
    prompts = [row["prompt_token_ids"] for row in run.rollouts[:40:8]]
    served = subprocess.run(
        [sys.executable, Path(__file__).with_name("serve_lora.py"), run.model, folder],
        input=json.dumps(prompts),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert served.returncode == 0, served.stderr
    base = AutoModelForCausalLM.from_pretrained(run.model, dtype=torch.float32)
    model = PeftModel.from_pretrained(base, folder).eval()
    adapted = [name for name, _ in model.named_modules() if name.endswith("lora_A.default")]
    assert len(adapted) == 4 * families.SIZES["num_hidden_layers"]
    answers = json.loads(served.stdout.splitlines()[-1])
    for prompt, (ids, logprobs) in zip(prompts, answers, strict=True):
        rows = model(input_ids=torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        own = rows.log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0].tolist()
        assert logprobs == pytest.approx(own, abs=2e-3)
        with model.disable_adapter():
            rows = model(input_ids=torch.tensor([prompt + ids])).logits[0, len(prompt) - 1 : -1]
        unadapted = rows.log_softmax(-1).gather(1, torch.tensor(ids)[:, None])[:, 0].tolist()
        assert logprobs != pytest.approx(unadapted, abs=2e-3)
