"""Commands around a run: init writes a config, check finds what is wrong, export leaves with it."""

import argparse
import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import huggingface_hub
import pytest
import torch
import transformers
import yaml
from peft import PeftModel, get_peft_model
from test_convert import write_gguf
from test_prompts import CHAT, byte_tokenizer
from transformers import (
    AutoModelForCausalLM,
    GenerationConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
    Qwen3Config,
)

from reasonmaxxer import config, tables
from reasonmaxxer.__main__ import COMMANDS
from reasonmaxxer.config import ModelConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.generation.prompts import encode
from reasonmaxxer.graph import checks
from reasonmaxxer.modeling.base_model import lora_config
from reasonmaxxer.stages import merge
from reasonmaxxer.stages.preflight import check_model, check_vllm
from reasonmaxxer.stages.problems import load_problems
from reasonmaxxer.tools import check, export, init, push
from reasonmaxxer.tools import show_prompts as preview

PROMPTS = Path(__file__).parents[2] / "config/prompts"
PROBLEMS = [{"id": i, "problem": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(40)]
TESTS = [{"question": f"And {i} + 1?", "answer": f"so\n#### {i + 1}"} for i in range(6)]


def command(module, *flags):
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    module.main(parser.parse_args([str(flag) for flag in flags]))


def tiny_model(folder, kind=LlamaConfig):
    """A tiny model of an architecture with a byte tokenizer, in a folder."""
    torch.manual_seed(0)
    tokenizer = byte_tokenizer(chat=None)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "head_dim": 8}
    settings = kind(
        **sizes,
        num_attention_heads=2,
        num_key_value_heads=1,
        vocab_size=len(tokenizer),
        max_position_embeddings=1024,
        eos_token_id=1,
    )
    AutoModelForCausalLM.from_config(settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def files(tmp_path):
    for name, rows in (("mine", PROBLEMS), ("exam", TESTS)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    return tmp_path


def write(model, files, name, *flags, benchmarks=("exam.jsonl",)):
    """The config of this name that init writes for a model and the files."""
    given = ["--problems", files / "mine.jsonl", "--benchmarks", *map(files.joinpath, benchmarks)]
    command(init, "--model", model, *given, *flags, "--out", files / name)
    return files / name


SIZES = ("--train", 9, "--validation", 8)


@pytest.fixture
def written(model, files):
    """The config that init writes for the tiny model."""
    return write(model, files, "My Run.yaml", "--train", 20, "--validation", 8)


def changed(path, **changes):
    run = config.overlay(yaml.safe_load(path.read_text()), changes)
    other = path.with_name("changed.yaml")
    other.write_text(yaml.safe_dump(run))
    return other


def test_init_writes_a_config_that_passes_its_own_check(written, capsys):
    run = config.load([written])
    assert (run.run, run.model.max_length) == ("my-run", 1024)
    assert run.prompt.template == "config/prompts/qwen_boxed.txt"
    assert run.benchmarks["exam"].source.problem == "question"
    assert run.benchmarks["exam"].source.extract == "hashes"
    command(check, "--configfile", written)
    assert "nothing wrong found" in capsys.readouterr().out


def test_a_config_for_a_clusters_gpus_is_written_and_checked_on_a_node_without(
    model, files, monkeypatch, capsys
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    out = write(model, files, "cluster.yaml", *SIZES, "--gpus", 4)
    said = capsys.readouterr().out
    assert "nothing wrong found" in said and "machine" not in said
    run = config.load([out])
    assert run.model.dtype == "bfloat16"
    for stage in ("generation", "entropies", "training"):
        asked = getattr(run.resources, stage)
        # What a job on a GPU needs beside it, not what one of the lab's on a CPU does.
        assert (asked.gpu, asked.threads, asked.mem_mb, asked.runtime) == (1, 4, 15000, 480)
    command(check, "--configfile", out, "--elsewhere")
    assert "nothing wrong found" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"resources\.generation\.gpu: 1 GPUs are asked for"):
        command(check, "--configfile", out)


def chat_model(model, folder, closing, ends):
    """The tiny model with a chat template whose turns end in `closing`, and its end tokens' ids."""
    shutil.copytree(model, folder)
    turn = "{{ m.content }}{% if m.role == 'assistant' %}" + closing + "\n{% endif %}"
    byte_tokenizer(chat=CHAT.replace("{{ m.content }}", turn)).save_pretrained(folder)
    GenerationConfig(eos_token_id=ends).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("closing", "ends"), [("<eos>", 1), ("<|im_end|>", [1, 2])])
def test_init_takes_a_models_own_chat_template(model, files, tmp_path, closing, ends, capsys):
    chatty = chat_model(model, tmp_path / "chatty", closing, ends)
    out = write(chatty, files, "chat.yaml", *SIZES)
    assert config.load([out]).prompt.template == "chat"
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("closing", "why"),
    [
        ("<|im_end|>", "<|im_end|> closes the assistant's turn in it, and a text ends at <eos>"),
        ("", "no token closes the assistant's turn in it"),
    ],
)
def test_a_base_model_with_a_chat_template_is_not_asked_in_turns(
    model, files, tmp_path, closing, why, capsys
):
    base = chat_model(model, tmp_path / "base", closing, 1)
    out = write(base, files, "base.yaml", *SIZES)
    assert config.load([out]).prompt.template == "config/prompts/qwen_boxed.txt"
    assert why in out.read_text()
    assert "warning" not in capsys.readouterr().out
    command(check, "--configfile", changed(out, prompt={"template": "chat"}))
    said = capsys.readouterr().out
    assert f"warning: prompt.template: chat: {why}" in said
    assert "nothing wrong found" in said
    if closing:
        ended = {"template": "chat", "stop": [closing]}
        command(check, "--configfile", changed(out, prompt=ended))
        assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize("kind", [Qwen2Config, Qwen3Config, MistralConfig])
def test_the_architectures_of_the_presets_pass_the_check(files, tmp_path, kind, capsys):
    folder = tiny_model(tmp_path / "model", kind)
    write(folder, files, "other.yaml", *SIZES)
    assert f"{folder}, {kind.model_type}" in capsys.readouterr().out


def test_init_names_the_modules_of_other_architectures(files, tmp_path):
    folder = tiny_model(tmp_path / "model", GPTNeoXConfig)
    out = write(folder, files, "mine.yaml", *SIZES)
    assert config.load([out]).training.target_modules == ["dense", "query_key_value"]


def test_init_never_overwrites_a_config(written, model, files):
    before = written.read_text()
    with pytest.raises(UserError, match="already exists"):
        write(model, files, written.name)
    assert written.read_text() == before


def test_benchmarks_of_one_name_are_numbered(model, files):
    given = ["a/exam.jsonl", "b/Exam.jsonl", "train.jsonl", "2024.jsonl", "_old.jsonl"]
    for number, name in enumerate(given):
        (files / name).parent.mkdir(exist_ok=True)
        row = {"question": f"And {number} + 100?", "answer": str(100 + number)}
        (files / name).write_text(json.dumps(row))
    run = config.load([write(model, files, "2025.yaml", *SIZES, benchmarks=given)])
    assert run.run == "2025"
    found = {name: benchmark.source.path for name, benchmark in run.benchmarks.items()}
    names = ["exam", "exam-2", "train-2", "2024", "old"]
    assert found == dict(zip(names, (str(files / name) for name in given), strict=True))


@pytest.mark.parametrize(
    ("answers", "extract"),
    [
        (["7", "so \\boxed{8}", "\\boxed{9}"], "boxed"),
        (["7\n#### 7", "8\n#### 8", "#### Case 1: \\boxed{9}"], "hashes"),
        (["7", "8", "#### Case 1: 9"], "plain"),
        ([["7"], ["8"]], "first"),
    ],
)
def test_how_the_reference_is_marked_is_what_most_rows_say(tmp_path, answers, extract):
    rows = [{"problem": f"What is {i}?", "answer": answer} for i, answer in enumerate(answers)]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source, count = init.source_of(str(path), "train")
    assert (source["extract"], count) == (extract, len(answers))


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("ID,Problem,Solution,Answer", ("Problem", "Answer")),
        ("problem,ground_truth", ("problem", "ground_truth")),
        ("question,generated,expected_answer", ("question", "expected_answer")),
        ("Problem Statement,Final Answer", ("Problem Statement", "Final Answer")),
        (" question ,answer_type,numerical-answer", (" question ", "numerical-answer")),
        ("the_question,answers", ("the_question", "answers")),
    ],
)
def test_columns_are_known_by_their_usual_names(tmp_path, header, columns):
    path = tmp_path / "mine.csv"
    path.write_text(f"{header}\n{','.join('why?' for _ in header.split(','))}\n")
    source, _ = init.source_of(str(path), "train")
    assert (source["problem"], source["answer"]) == columns


def test_one_file_is_split_into_parts_that_share_no_problem(written):
    run = config.load([written])
    parts = [
        {row["problem_id"] for row in load_problems(getattr(run.problems, split), split)}
        for split in ("train", "validation")
    ]
    assert [len(part) for part in parts] == [20, 8]
    assert not parts[0] & parts[1]


def test_limits_are_fitted_to_the_file(model, files, capsys):
    write(model, files, "all.yaml")
    said = capsys.readouterr().out
    assert "--problems has 40: 30 to train on and 10 to validate on, instead of 150 and 50" in said
    assert "nothing wrong found" in said


def test_the_line_that_init_prints_names_the_target_first_and_quotes(written, capsys, model, files):
    out = write(model, files, "It's mine.yaml", *SIZES)
    line = re.search(r"^run it: (.*)$", capsys.readouterr().out, re.M)[1]
    wanted = ["snakemake", "--cores", "all", "results/report.html", "--configfile"]
    assert shlex.split(line) == [*wanted, str(out)]


def test_a_gguf_file_is_converted_and_named_in_the_config(files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    write_gguf(files / "tiny.gguf")
    names = ["--problems", "mine.jsonl", "--benchmarks", "exam.jsonl", "--out", "mine.yaml"]
    with pytest.raises(UserError, match="leaves its completion"):  # 128 positions are too few
        command(init, "--model", "tiny.gguf", *names)
    run = config.load(["mine.yaml"])
    assert (run.model.path, run.model.gguf) == ("results/models/tiny", "tiny.gguf")
    assert Path(run.model.path, "config.json").is_file()


def test_what_is_no_config_is_not_written(model, files):
    with pytest.raises(UserError, match="run: String should match"):
        write(model, files, "other.yaml", "--run", "../other")
    assert not [path for path in files.iterdir() if "other" in path.name]


@pytest.mark.parametrize(
    "overlays",
    [
        *(["lab-seeds"], ["lab-seeds", "lab-full"], ["lab-population"]),
        *(["lab-sweep"], ["lab-objectives"], ["lab-grpo"]),
    ],
)
def test_the_labs_analyses_pass_the_check(overlays):
    command(check, "--configfile", *[f"config/{name}.yaml" for name in ("config", *overlays)])


def test_what_no_commit_pins_is_said(written):
    commit = "1" * 40
    hub = {"problem": "q", "answer": "a"}
    pinned = {"dataset": "team/exam", "revision": commit}
    path = changed(
        written,
        model={"path": "team/base", "revision": commit},
        arms={"rl": {"kind": "checkpoint", "model": {"path": "team/rl"}}},
        benchmarks={
            "one": {"source": hub | {"hub": pinned}},
            "two": {"source": hub | {"hub": pinned | {"revision": "main"}}},
        },
    )
    said = checks.unpinned(config.load([path]))
    assert [line.split(",")[0] for line in said] == [
        "arms.rl.model.revision: team/rl is at no revision",
        "benchmarks.two.source.hub.revision: team/exam is at main",
    ]


def test_check_tells_all_that_is_wrong_at_once(written):
    wrong = changed(
        written,
        model={"max_length": 2048},
        benchmarks={"exam": {"source": {"limit": 7}}},
        resources={"training": {"gpu": 64, "processes": 64}},
    )
    with pytest.raises(UserError, match="3 found") as error:
        command(check, "--configfile", wrong)
    assert len(str(error.value).splitlines()) == 4


def test_prompt_shows_text_ids_and_where_the_completion_starts(written, capsys):
    command(preview, "--configfile", written, "--n", 2)
    shown = capsys.readouterr().out
    assert shown.count("Solution:◀ the completion starts here") == 2
    assert "{1: '<eos>'}" in shown
    assert "ids: 0 " in shown


def test_prompt_shows_the_prompt_that_a_benchmark_has_of_its_own(written, capsys):
    own = {"template": "config/prompts/qwen_boxed_gsm8k.txt", "stop": ["Human:"]}
    run = changed(written, benchmarks={"exam": {"prompt": own}})
    command(preview, "--configfile", run, "--split", "exam", "--n", 1)
    shown = capsys.readouterr().out
    assert "at the strings ['Human:']" in shown
    assert "\n\nAnd 0 + 1?\n\nSolution:◀ the completion starts here" in shown
    with pytest.raises(UserError, match="the run has train, validation, exam"):
        command(preview, "--configfile", run, "--split", "exams")


@pytest.fixture
def trained(written, model, tmp_path):
    """A run whose adapter and metrics are there."""
    run = config.load([written])
    folder = tmp_path / "results" / run.run
    adapter = folder / "adapters" / "reasonmaxxer"
    base = AutoModelForCausalLM.from_pretrained(model)
    torch.manual_seed(1)
    tuned = get_peft_model(base, lora_config(run.training, str(model)))
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    tuned.save_pretrained(adapter)
    row = {"metric": "accuracy", "problems": 6, "samples": 1, "seed": 42, "benchmark": "exam"}
    rows = [
        {**row, "arm": "base", "value": 0.25, "low": 0.1, "high": 0.4},
        {**row, "arm": "reasonmaxxer", "value": 0.5, "low": 0.3, "high": 0.7},
    ]
    tables.write(folder / "metrics.parquet", "metrics", rows)
    return written, tmp_path / "results", adapter


def test_an_exported_adapter_stands_alone(trained, model, tmp_path, monkeypatch):
    """Its base is found from anywhere, and the example on its card runs in an empty folder."""
    written, results, _ = trained
    monkeypatch.chdir(model.parent)
    run = changed(written, model={"path": model.name}, evaluation={"max_tokens": 8})
    command(export, "--configfile", run, "--results", results, "--out", tmp_path / "some" / "mine")
    monkeypatch.chdir(tmp_path / "some")
    card = Path("mine/README.md").read_text()
    example = textwrap.dedent("".join(re.findall(r"^    .*\n", card.split("## Use")[1], re.M)[:3]))
    done = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    prompt = Path(PROMPTS, "qwen_boxed.txt").read_text().removesuffix("\n")
    assert done.stdout.startswith(prompt.replace("{problem}", "What is 2 + 3?"))
    assert textwrap.indent(prompt, "    ", lambda _: True) in card


def test_the_card_of_an_exported_adapter_says_what_it_is(trained, model, tmp_path):
    written, results, _ = trained
    out = tmp_path / "mine"
    (model / "README.md").write_text("---\nlicense: mit\nlanguage: [en]\n---\n")
    command(export, "--configfile", written, "--results", results, "--out", out)
    card = (out / "README.md").read_text()
    head = yaml.safe_load(card.split("---\n")[1])
    assert (head["license"], head["language"], head["library_name"]) == ("mit", ["en"], "peft")
    assert "base_model" not in head  # a folder is no model of the hub
    assert "| exam | 0.250 (0.100 to 0.400) | 0.500 (0.300 to 0.700) | temperature 0.6, " in card
    assert "samples of a problem: 1, problems: 6 |" in card
    assert "--max-lora-rank 32" in card
    assert "at its high-entropy decision points, the others anchored to the base" in card
    assert '"entropy_share": 0.95' in card
    assert "https://arxiv.org/abs/2605.06241" in card
    assert not (out / ".eval_results").exists()


def test_results_on_whole_datasets_of_the_hub_are_written_as_the_hub_reads_them(trained, tmp_path):
    written, results, _ = trained
    train = {"register": "gsm8k-train", "limit": 20}
    benchmarks = {
        "exam": {"source": {"register": "gsm8k", "path": None}},
        "part": {"source": {"register": "math500", "limit": 3}},
    }
    run = yaml.safe_load(written.read_text())
    run["problems"]["train"], run["benchmarks"] = [train], benchmarks
    written.with_name("hub.yaml").write_text(yaml.safe_dump(run))
    rows = list(tables.rows(results / "my-run/metrics.parquet", "metrics"))
    rows += [{**row, "benchmark": "part"} for row in rows]
    tables.write(results / "my-run/metrics.parquet", "metrics", rows)
    flags = ["--configfile", written.with_name("hub.yaml"), "--results", results]
    command(export, *flags, "--out", tmp_path / "mine")
    (path,) = (tmp_path / "mine/.eval_results").iterdir()
    (entry,) = huggingface_hub.parse_eval_result_entries(yaml.safe_load(path.read_text()))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("openai/gsm8k", "main", 50.0)
    assert entry.dataset_revision == "740312add88f781978c0658806c59bc2815b9866"
    assert "problems: 6" in entry.notes
    assert entry.notes.endswith("95% interval over problems 30.0 to 70.0")
    card = huggingface_hub.ModelCard.load(tmp_path / "mine/README.md")
    assert card.data.datasets == ["openai/gsm8k"]


@pytest.mark.parametrize(
    ("text", "licence"),
    [("---\nlicense: mit\n---\n# M", "mit"), ("no front matter", None), (None, None)],
)
def test_the_licence_of_a_base_is_what_its_card_says(tmp_path, text, licence):
    if text is not None:
        (tmp_path / "README.md").write_text(text)
    assert export.base_card(config.ModelConfig(path=str(tmp_path))).get("license") == licence


def test_adapters_of_every_kind_are_exported_with_the_recipe_that_made_them(trained, tmp_path):
    written, results, adapter = trained
    arms = {
        "rl": {"kind": "grpo"},
        "rl-lora": {"kind": "grpo", "grpo": {"rank": 8}},
        "kl": {"kind": "distilled", "teacher": "rl", "distillation": {"rank": 8}},
    }
    run = changed(written, arms=arms, grpo={"max_tokens": 64})
    flags = ["--configfile", run, "--results", results, "--licence", "apache-2.0"]
    recipes = {"rl-lora": ["grpo"], "kl": ["distillation"]}
    for arm, sections in recipes.items():
        shutil.copytree(adapter, adapter.parent / arm)
        command(export, *flags, "--arm", arm, "--out", tmp_path / arm)
        card = (tmp_path / arm / "README.md").read_text()
        _, front, text = card.split("---\n", 2)
        head = yaml.safe_load(front)
        assert (head["license"], head["pipeline_tag"]) == ("apache-2.0", "text-generation")
        assert re.findall(r"^- (\w+): `{\"(?!path|register)", text, re.M) == sections
        assert "--max-lora-rank 8 " in text
        assert ("trained by GRPO" in text, "distilled from the arm rl" in text) == (
            arm == "rl-lora",
            arm == "kl",
        )
    with pytest.raises(UserError, match=r"a whole model, not an adapter; .*adapters/rl"):
        command(export, *flags, "--arm", "rl", "--out", tmp_path / "rl")


@pytest.mark.parametrize("by", ["export", "merge"])
def test_a_merged_model_computes_what_base_and_adapter_do(trained, model, tmp_path, by):
    written, results, adapter = trained
    out = tmp_path / "merged"
    if by == "export":
        command(export, "--configfile", written, "--results", results, "--out", out, "--merge")
    else:
        section = config.load([written]).model.as_json()
        command(merge, "--model-config", section, "--adapter", adapter, "--out", out)
    ids = torch.tensor([[0, 50, 60, 70]])
    both = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model), adapter)
    merged = AutoModelForCausalLM.from_pretrained(out)
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, both(ids).logits, atol=1e-5, rtol=1e-4)
    assert (out / "tokenizer.json").exists()
    assert [path.name for path in tmp_path.glob(".m*")] == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--arm", "base"], "the run trains reasonmaxxer, positive-only, random-gate"),
        (["--arm", "random-gate"], "no adapter there yet; make it"),
    ],
)
def test_export_says_what_is_missing(trained, tmp_path, flags, message):
    written, results, _ = trained
    with pytest.raises(UserError, match=message):
        command(
            export, "--configfile", written, "--results", results, "--out", tmp_path / "x", *flags
        )


def test_the_prompt_on_a_card_gives_the_ids_of_training(written, model, tmp_path):
    """A chat template that spells the leading id, which the tokenizer puts there too."""
    shutil.copytree(model, tmp_path / "chat")
    tokenizer = byte_tokenizer(chat=CHAT)
    tokenizer.save_pretrained(tmp_path / "chat")
    prompt = {"template": "chat", "stop": []}
    run = config.load([changed(written, model={"path": str(tmp_path / "chat")}, prompt=prompt)])
    text = export.prompt_text(run, "Why?")
    assert text == "<user>Why?<assistant>"
    assert [tokenizer(text)["input_ids"]] == encode(run.prompt, ["Why?"], tokenizer)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--to", "mine"], "--to mine: a repository of the hub is OWNER/NAME"),
        (["--to", "me/mine", "--rollouts-to", "/tmp/x"], "--rollouts-to /tmp/x: a repository"),
        (
            ["--to", "me/mine", "--rollouts-to", "me/data", "--arm", "kl"],
            "--rollouts-to: the arm kl is not trained on the base's rollouts",
        ),
    ],
)
def test_push_says_what_is_wrong_before_anything_is_sent(trained, flags, message, monkeypatch):
    monkeypatch.setattr(push, "upload", None)
    written, results, adapter = trained
    kl = {"kind": "distilled", "teacher": "reasonmaxxer"}
    shutil.copytree(adapter, adapter.parent / "kl")
    run = changed(written, arms={"kl": kl})
    with pytest.raises(UserError, match=message):
        command(push, "--configfile", run, "--results", results, *flags)


class Described(argparse.ArgumentParser):
    """Takes no argument that does not say what it is."""

    def add_argument(self, *names, **options):
        assert options.get("help"), names
        return super().add_argument(*names, **options)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_flag_has_a_help_text(name):
    module = importlib.import_module(f"reasonmaxxer.{COMMANDS[name]}")
    assert len(module.HELP) > 20
    module.add_arguments(Described(add_help=False))


def without_a_tokenizer(folder):
    for path in folder.glob("tokenizer*"):
        path.unlink()


def quantised(folder):
    settings = json.loads((folder / "config.json").read_text())
    settings["quantization_config"] = {"quant_method": "awq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(settings))


def without_a_shard(folder):
    parts = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(parts))


def without_positions(folder):
    settings = json.loads((folder / "config.json").read_text())
    settings["max_position_embeddings"] = None
    (folder / "config.json").write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_a_tokenizer, "no tokenizer"),
        (quantised, "a quantised checkpoint; take the one it was made from"),
        (without_a_shard, "names model-00002-of-00002.safetensors, which is not there"),
        (without_positions, "no readable model"),
    ],
)
def test_a_model_that_would_fail_after_its_rollouts_is_refused_before(
    model, tmp_path, spoil, message
):
    folder = shutil.copytree(model, tmp_path / "spoilt")
    spoil(folder)
    with pytest.raises(UserError, match=message):
        check_model(ModelConfig(path=str(folder), max_length=512), ["q_proj"], "transformers")


@pytest.mark.parametrize(
    ("architecture", "served"),
    # Mistral derives from Llama, and Olmo2 runs as the class of transformers that it is.
    [("Qwen2", True), ("Mistral", True), ("Olmo2", True), ("Falcon", False), ("Bloom", False)],
)
def test_a_model_that_vllm_serves_without_adapters_is_refused_before_one_is_trained(
    architecture, served
):
    model = getattr(transformers, f"{architecture}ForCausalLM")
    check_vllm(model, "mine")
    if served:
        check_vllm(model, "mine", lora=True)
    else:
        message = "mine: vLLM runs .* without adapters; .*resources.generation.gpu: 0"
        with pytest.raises(UserError, match=message):
            check_vllm(model, "mine", lora=True)


def test_a_template_of_the_project_is_found_from_any_folder(written, monkeypatch, capsys):
    monkeypatch.chdir(written.parent)
    command(check, "--configfile", written)
    assert "nothing wrong found" in capsys.readouterr().out
