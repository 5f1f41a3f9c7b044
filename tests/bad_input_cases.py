"""Configs and inputs that cannot work, each laid over config/test.yaml, and what a user is told.

A case makes an overlay (a mapping, or the text of a file) and what it names, in a folder of its
own; the parts of the error are the key or file, the value, and what is allowed or meant.
"""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import transformers
import yaml
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).parents[1]
WEIGHTS = "model.safetensors"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
GOOD = {"id": "p1", "problem": "Ann has 2. How many has Ann?", "answer": "2"}


def jsonl(*rows):
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n"


def train(source):
    return {"problems": {"train": [source]}}


def pool(*rows, limit=2, **columns):
    """A training pool of these rows; a text is a line as it stands."""

    def make(folder):
        (folder / "pool.jsonl").write_text(jsonl(*rows) if rows else "")
        return train({"path": str(folder / "pool.jsonl"), "limit": limit, **columns})

    return make


def file(name, content):
    def make(folder):
        (folder / name).write_bytes(content)
        return train({"path": str(folder / name), "limit": 1})

    return make


def template(text):
    def make(folder):
        content = text if isinstance(text, bytes) else text.encode()
        (folder / "template.txt").write_bytes(content)
        return {"prompt": {"template": str(folder / "template.txt")}}

    return make


def table(columns, names):
    def make(folder):
        pq.write_table(pa.table(columns, names=names), folder / "pool.parquet")
        return train({"path": str(folder / "pool.parquet"), "limit": 1})

    return make


def lab_model(folder):
    shutil.copytree(ROOT / "data/lab/model", folder / "model")
    return folder / "model"


def model(damage=None, **overlay):
    """The lab's model in a folder of its own, damaged."""

    def make(folder):
        path = lab_model(folder)
        if damage is not None:
            damage(path)
        return {"model": {"path": str(path)}, **overlay}

    return make


def content(name, text):
    return lambda path: (path / name).write_text(text)


def another(kind, **sizes):
    """The lab's folder with the config.json of a model of another kind, without its weights."""

    def damage(path):
        (path / "config.json").unlink()
        getattr(transformers, kind)(**sizes).save_pretrained(path)

    return model(damage)


def tensors(change):
    """Each of the model's tensors changed, or taken out."""

    def damage(path):
        kept = {name: change(name, one) for name, one in load_file(path / WEIGHTS).items()}
        save_file({name: one for name, one in kept.items() if one is not None}, path / WEIGHTS)

    return damage


def without(*names):
    return lambda path: [(path / name).unlink() for name in names]


def settings(name, **changes):
    """Keys of one of the model's JSON files changed; None takes a key out."""

    def damage(path):
        content = json.loads((path / name).read_text()) | changes
        kept = {key: value for key, value in content.items() if value is not None}
        (path / name).write_text(json.dumps(kept))

    return damage


def chat(text):
    """The lab's model with this chat template."""
    change = settings("tokenizer_config.json", chat_template=text)
    return model(change, prompt={"template": "chat"})


def more_words(path):
    """A word of every prompt gets an id that the model has no embedding for."""
    content = json.loads((path / "tokenizer.json").read_text())
    words = content["model"]["vocab"]
    words[next(word for word in words if word.isalpha())] = 10_000
    words["?"] = 10_001
    (path / "tokenizer.json").write_text(json.dumps(content))


def no_end(path):
    settings("tokenizer_config.json", eos_token=None)(path)
    settings("generation_config.json", eos_token_id=None)(path)


def remote_code(path):
    settings("config.json", model_type="mine", auto_map={"AutoConfig": "configuration.Mine"})(path)
    (path / "configuration.py").write_text("raise SystemExit('the code of a model has run')")


def checkpoint_of_another_architecture(folder):
    path = lab_model(folder)
    settings("config.json", model_type="rwkv")(path)
    model = {"path": str(path), "max_length": 256}
    return {"arms": {"rl": {"kind": "checkpoint", "model": model}}}


def teacher_of_another_vocabulary(folder):
    path = lab_model(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    other = transformers.LlamaConfig(vocab_size=999, eos_token_id=1, **sizes)
    transformers.LlamaForCausalLM(other).save_pretrained(path)
    arm = {"kind": "checkpoint", "model": {"path": str(path), "max_length": 256}}
    return {"arms": {"rl": arm}, "footprint": {"teacher": "rl", "benchmark": "short"}}


def same_problems(folder):
    same = {"lab": {"suite": "short"}, "limit": 10}
    return {"problems": {"train": [same]}, "benchmarks": {"short": {"source": same}}}


BAD_REFERENCES = [{"id": i, "problem": f"What is {i}?", "answer": r"\frac{"} for i in range(2)]
TWO_POOLS = [GOOD, {"id": "p2", "problem": "Bob has 3. How many has Bob?", "answer": r"\frac{"}]

CASES = {
    # --- the config file
    "no such config file": ("gone", ["gone.yaml: no such config file"]),
    "not YAML": ("run: [", ["change.yaml", "not valid YAML", "line 1"]),
    "tabs": ("model:\n\tpath: x\n", ["change.yaml", "'\\t'", "line 2"]),
    "a key twice": ("report: {}\nreport: {}\n", ["change.yaml", "'report' occurs twice", "line 2"]),
    "not a mapping": ("- 1\n", ["change.yaml", "a mapping of keys, found list"]),
    "a number beyond measure": ("run: " + "9" * 5000, ["change.yaml: not valid YAML"]),
    "brackets beyond measure": ("run: " + "[" * 3000, ["change.yaml: not valid YAML"]),
    # --- keys and values
    "a date in place of a text": ("run: 2024-05-01\n", ["run: ", "put it in quotes"]),
    "a text that YAML takes for a mapping": (
        "prompt: {stop: [Problem: ]}\n",
        ["prompt.stop.0: ", "put it in quotes"],
    ),
    "half a character": ('report: {title: "\\ud83d"}\n', ["report.title: ", "unicode"]),
    "a path beyond measure": ({"model": {"path": "a" * 5000}}, ["model.path: File name too long"]),
    "unknown section": ({"rolouts": {}}, ["rolouts: unknown key; did you mean 'rollouts'?"]),
    "unknown key": ({"selection": {"taus": 1}}, ["selection.taus: unknown key", "'tau'?"]),
    "wrong type": (
        {"rollouts": {"temperature": "hot"}},
        ["rollouts.temperature", "a valid number", "'hot'"],
    ),
    "out of range": ({"rollouts": {"samples": 1}}, ["rollouts.samples", "equal to 2", "given: 1"]),
    "unknown gate": (
        {"selection": {"gate": "entrpy"}},
        ["selection.gate", "'entropy'", "'entrpy'"],
    ),
    "tau and share": ({"selection": {"top_fraction": 0.1}}, ["selection", "exactly one of tau"]),
    "a rank beyond what the engine serves": (
        {"training": {"rank": 1024}},
        ["training.rank", "equal to 512", "1024"],
    ),
    "no room for a prompt": (
        {"evaluation": {"max_tokens": 256}},
        ["evaluation.max_tokens: 256", "model.max_length = 256"],
    ),
    "a run's name with a slash": ({"run": "a/b"}, ["run: ", "pattern", "'a/b'"]),
    "a benchmark that collides": (
        {"benchmarks": {"train": {"source": {"lab": {}, "limit": 5}}}},
        ["benchmarks.train: the name is taken", "choose another"],
    ),
    "an arm that collides": (
        {"arms": {"main": {"selection": {"gate": "first"}}}},
        ["arms.main: the name is taken"],
    ),
    "more problems than can be": (
        {"problems": {"train": [{"lab": {}, "limit": 10**9}]}},
        ["rollouts: makes 2,000,000 jobs, more than 50,000", "lower problems.train's limit"],
    ),
    "more samples than can be": (
        {"rollouts": {"samples": 10**23}},
        ["rollouts: makes 25,000,000,000,000,000,000,000 jobs", "raise problems_per_shard"],
    ),
    "more samples of a benchmark than can be": (
        {"benchmarks": {"far": {"samples": 10**12}}},
        ["benchmarks.far: makes 750,000,000,000 jobs", "evaluation.samples_per_shard"],
    ),
    "more arms than can be": (
        {
            "sweeps": [
                {
                    "arm": "reasonmaxxer",
                    "grid": {f"training.{k}": [*range(1, 200)] for k in ("sequences", "rank")},
                }
            ]
        },
        ["grid: makes 39,601 arms, more than 1,000"],
    ),
    "no arm of kind base": (
        {"arms": {"base": {"kind": "trained"}}},
        ["exactly one arm of kind base is needed, found 0"],
    ),
    "an arm on an unknown benchmark": (
        {"arms": {"reasonmaxxer": {"evaluate": ["shrt"]}}},
        ["arms.reasonmaxxer.evaluate: no benchmark 'shrt'"],
    ),
    "a sweep of a missing key": (
        {"sweeps": [{"arm": "reasonmaxxer", "grid": {"selection.tua": [0.1]}}]},
        ["reasonmaxxer+tua=0.1", "tua: unknown key; did you mean 'tau'?"],
    ),
    "a sweep of a missing arm": (
        {"sweeps": [{"arm": "mine", "grid": {"selection.tau": [0.1]}}]},
        ["sweeps", "no arm 'mine'"],
    ),
    "an unknown stage kept": (
        {"freeze": ["rolouts"]},
        ["freeze: rolouts", "did you mean 'rollouts'"],
    ),
    "more mixed problems wanted than there are": (
        {"selection": {"min_problems": 21}},
        ["selection.min_problems: 21", "only 20 problems"],
    ),
    # --- prompts
    "no such template": (
        {"prompt": {"template": "gone.txt"}},
        ["prompt.template: gone.txt: no such file", "config/prompts/"],
    ),
    "a template without its place": (
        template("Solve this:\n"),
        ["template.txt", "{problem} exactly once, found 0 times"],
    ),
    "chat without a chat template": (
        {"prompt": {"template": "chat"}},
        ["prompt.template: chat", "no chat template", "config/prompts/"],
    ),
    "a template that is not UTF-8": (
        template("Problème: {problem}".encode("latin-1")),
        ["template.txt", "byte 5: not UTF-8", "save the file as UTF-8"],
    ),
    "a template with Jinja's braces": (
        template("Q: {{problem}}\nA:"),
        ["template.txt", "{{problem}} has two pairs of braces", "write {problem}"],
    ),
    "a chat template that needs a system's turn": (
        chat("{{ raise_exception('a system message is needed') }}"),
        ["prompt.template: chat", "a system message is needed", "config/prompts/"],
    ),
    "a chat template with an error": (
        chat("{{ messages[7].content.there }}"),
        ["prompt.template: chat", "template fails: ", "config/prompts/"],
    ),
    "a chat template that never ends": (
        chat("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"),
        ["prompt.template: chat", "takes longer than 5 seconds", "config/prompts/"],
    ),
    "a chat template without measure": (
        chat("{% for i in range(9999) %}{{ messages[0].content }}{% endfor %}"),
        ["prompt.template: chat", "characters of one problem", "config/prompts/"],
    ),
    "several chat templates without a default": (
        chat([{"name": "rag", "template": "x"}, {"name": "tool_use", "template": "x"}]),
        ["prompt.template: chat", "multiple chat templates with no default"],
    ),
    "a chat template without the problem": (
        chat("{% for m in messages %}{{ m.text }}{% endfor %}"),
        ["prompt.template: chat", "leaves the problem's text out"],
    ),
    "several greedy samples": (
        {"evaluation": {"temperature": 0}},
        ["benchmarks.far: temperature: 0 with 4 samples", "set samples: 1"],
    ),
    "several greedy samples of a benchmark": (
        {"benchmarks": {"short": {"temperature": 0}}},
        ["benchmarks.short: temperature: 0 with 2 samples", "set samples: 1"],
    ),
    "several greedy rollouts of an arm": (
        {"arms": {"reasonmaxxer": {"rollouts": {"temperature": 0}}}},
        ["arms.reasonmaxxer.rollouts: temperature: 0 with 4 samples"],
    ),
    # --- problems
    "no such dataset file": (
        train({"path": "no.jsonl", "limit": 2}),
        ["problems.train[0].path: no.jsonl: no such file"],
    ),
    "a path with braces": (
        file("{pool}.jsonl", json.dumps(GOOD).encode()),
        ["problems.train[0].path: ", "{pool}.jsonl: a path with braces", "rename it"],
    ),
    "a template's path with braces": (
        {"prompt": {"template": "config/{mine}.txt"}},
        ["prompt.template: config/{mine}.txt: a path with braces"],
    ),
    "a file of another kind": (file("pool.txt", b"1+1"), ["pool.txt", "not a .jsonl, .csv or"]),
    "an empty file": (pool(), ["pool: contains no problem"]),
    "not JSON": (pool(GOOD, "{oops"), ["pool.jsonl: line 2", "not valid JSON"]),
    "no object": (pool(GOOD, "[1]"), ["pool.jsonl: line 2", "must be a JSON object"]),
    "a file of Git LFS": (
        file("pool.parquet", LFS.encode()),
        ["pool.parquet: a pointer of Git LFS", "git lfs pull"],
    ),
    "an object over several lines": (
        pool(json.dumps(GOOD, indent=1)),
        ["pool.jsonl: line 1", "each line must be one whole object"],
    ),
    "a column twice in Parquet": (
        table([["1+1"], ["2"], ["3"]], ["problem", "answer", "answer"]),
        ["pool.parquet: column 'answer' occurs twice"],
    ),
    "a choice without its text": (
        pool(GOOD | {"answer": 0, "choices": ["\ud83d", "2"]}, choices="choices"),
        ["pool.jsonl: line 1: column 'choices'", "lone surrogate"],
    ),
    "a list of one number": (
        pool(GOOD | {"answer": "[2]"}),
        ["pool.jsonl: line 1: column 'answer': contains a list, [2]", "extract: first"],
    ),
    "no such column": (
        pool(GOOD, problem="question"),
        ["pool.jsonl: line 1: no column 'question'", "'problem'"],
    ),
    "an empty answer": (
        pool(GOOD, GOOD | {"id": "p2", "answer": ""}),
        ["pool.jsonl: line 2: column 'answer' is empty"],
    ),
    "the same id twice": (
        pool(GOOD, GOOD | {"problem": "Ann has 3."}),
        ["line 2: duplicate id 'p1' (first seen at", "line 1"],
    ),
    "a limit beyond the file": (pool(GOOD, limit=7), ["pool: limit 7", "only 1 problems"]),
    "not UTF-8": (file("pool.csv", b"problem,answer\n\xff,1\n"), ["pool.csv", "save the file as"]),
    "a row too short": (file("pool.csv", b"problem,answer\n1\n"), ["pool.csv: line 2", "fields"]),
    "no Parquet": (file("pool.parquet", b"PAR1"), ["pool.parquet", "not a readable Parquet file"]),
    "an unknown dataset": (
        train({"register": "maths500", "limit": 2}),
        ["problems.train[0].register: maths500", "did you mean 'math500'"],
    ),
    "a benchmark's problem in the pool": (
        same_problems,
        ["are also in another split", "problems.overlap: drop"],
    ),
    "a reference that does not verify": (
        lambda folder: pool(*TWO_POOLS)(folder) | {"verdicts": {"bad_references": "fail"}},
        ["pool/p2", "do not verify", "verdicts.bad_references: drop"],
    ),
    "no reference that verifies": (pool(*BAD_REFERENCES), ["no reference verifies", "extract"]),
    # --- the model
    "no such model": (
        {"model": {"path": "./no/such/model"}},
        ["model.path: ./no/such/model", "neither an existing folder"],
    ),
    "no config.json": (model(without("config.json")), ["model.path: ", "no readable model"]),
    "no tokenizer": (
        model(without("tokenizer.json", "tokenizer_config.json")),
        ["model.path: ", "no tokenizer can be read"],
    ),
    "no weights": (model(without("model.safetensors")), ["model.path: ", "no *.safetensors file"]),
    "broken weights": (
        model(lambda path: (path / "model.safetensors").write_bytes(b"not weights")),
        ["model/model.safetensors: not a readable safetensors file"],
    ),
    "an adapter's folder": (
        model(lambda path: (path / WEIGHTS).rename(path / "adapter_model.safetensors")),
        ["model.path: ", "holds an adapter", "name the model that it belongs to"],
    ),
    "weights in another format": (
        model(lambda path: (path / WEIGHTS).rename(path / "consolidated.safetensors")),
        ["model.path: ", "no model.safetensors", "but consolidated.safetensors", "transformers"],
    ),
    "a damaged index of the weights": (
        model(content("model.safetensors.index.json", '{"weight_map": null}')),
        ["model.safetensors.index.json: not a readable index", "copy or download it again"],
    ),
    "weights of another size": (
        model(settings("config.json", hidden_size=64)),
        [
            "model.embed_tokens.weight has the shape [342, 128] instead of [342, 64]",
            "copy or download",
        ],
    ),
    "layers of another size": (
        model(settings("config.json", intermediate_size=96)),
        ["model.layers.0.mlp.down_proj.weight has the shape [128, 384] instead of [128, 96]"],
    ),
    "weights without a layer": (
        model(tensors(lambda name, one: None if "layers.1.mlp.up" in name else one)),
        ["model.layers.1.mlp.up_proj.weight is missing (the first of 1)", "copy or download both"],
    ),
    "weights with more layers": (
        model(settings("config.json", num_hidden_layers=1)),
        ["model.layers.1.input_layernorm.weight has no place (the first of 27)"],
    ),
    "quantised weights": (
        model(tensors(lambda _, one: one.to(torch.int8))),
        ["model.safetensors: model.embed_tokens.weight is of type I8", "made from"],
    ),
    "weights of Git LFS": (
        model(content(WEIGHTS, LFS)),
        ["model/model.safetensors: a pointer of Git LFS", "git lfs pull"],
    ),
    "a link to no weights": (
        model(lambda path: (path / WEIGHTS).unlink() or (path / WEIGHTS).symlink_to("gone")),
        ["model/model.safetensors: a link to nothing", "cp -L"],
    ),
    "weights of another folder": (
        model(content("model.safetensors.index.json", '{"weight_map": {"a": "../a.safetensors"}}')),
        ["model.safetensors.index.json: not a readable index"],
    ),
    "a file in a model's place": (
        {"model": {"path": "data/lab/model/model.safetensors"}},
        ["model.safetensors: a file; name the folder that it lies in"],
    ),
    "impossible sizes": (
        model(settings("config.json", intermediate_size=10**18)),
        ["model.path: a model of type llama cannot be laid out", "are the sizes"],
    ),
    "more layers than can be": (
        model(settings("config.json", num_hidden_layers=10**7)),
        ["model.path: a model of type llama cannot be laid out", "longer than 10 seconds"],
    ),
    "no attention heads": (
        model(settings("config.json", num_attention_heads=0, head_dim=None)),
        ["model.path: ", "no readable model"],
    ),
    "a model of several parts": (
        another("Gemma3Config"),
        ["a model of type gemma3 is not a causal language model", "its text model alone"],
    ),
    "an architecture without SDPA": (
        another("BloomConfig", n_layer=1, hidden_size=32, n_head=2),
        ["model.path: ", "BloomForCausalLM has no SDPA attention", "another architecture"],
    ),
    "modules that are Conv1D": (
        another("GPT2Config", n_layer=1, n_embd=32, n_head=2),
        ["_proj: models of type gpt2 have Conv1D", "another model"],
    ),
    "an end of another type": (
        model(content("generation_config.json", '{"eos_token_id": "<eos>"}')),
        ["generation_config.json: eos_token_id: '<eos>' is not a token id"],
    ),
    "an empty generation config": (
        model(content("generation_config.json", "")),
        ["generation_config.json: cannot be read"],
    ),
    "a generation config of another kind": (
        model(content("generation_config.json", "[1, 2]")),
        ["generation_config.json: cannot be read"],
    ),
    "a tokenizer that fails at its first text": (
        model(settings("tokenizer_config.json", model_max_length="long")),
        ["model.path: ", "no tokenizer can be read", "copy them again"],
    ),
    "a tokenizer of another kind": (
        model(content("tokenizer.json", '{"model": []}')),
        ["model.path: ", "no tokenizer can be read"],
    ),
    "a config.json of another kind": (
        model(content("config.json", "[]")),
        ["model.path: ", "no readable model"],
    ),
    "an unknown architecture": (
        model(settings("config.json", model_type="mine")),
        ["model.path: ", "no readable model", "mine"],
    ),
    "remote code": (model(remote_code), ["model.path: ", "remote code", "never run"]),
    "no causal language model": (
        model(settings("config.json", model_type="t5")),
        ["model.path: ", "t5 is not a causal language model"],
    ),
    "an encoder and a decoder": (
        another("WhisperConfig", encoder_layers=1, decoder_layers=1),
        ["a model of type whisper is not a causal language model"],
    ),
    "an architecture that the engine cannot run": (
        checkpoint_of_another_architecture,
        ["arms.rl.model: ", "vLLM cannot run RwkvForCausalLM", "engine: transformers"],
    ),
    "capped logits": (
        model(settings("config.json", final_logit_softcapping=30.0)),
        ["model.path: ", "final_logit_softcapping: 30.0", "not supported"],
    ),
    "nothing that ends a completion": (model(no_end), ["model.path: ", "end-of-sequence token"]),
    "token ids beyond the vocabulary": (
        model(more_words),
        ["model.path: ", "token id 1000", "outside the model's vocabulary of"],
    ),
    "a module the model does not have": (
        {"training": {"target_modules": ["qkv_proj"]}},
        ["training.target_modules: qkv_proj", "no such linear module", "q_proj"],
    ),
    "max_length beyond the positions": (
        {"model": {"max_length": 10**6}},
        ["model.max_length: 1000000 is more than the", "positions"],
    ),
    "a prompt that leaves no room": (
        {"model": {"max_length": 100}}
        | {key: {"max_tokens": 99} for key in ("rollouts", "checkpoint", "evaluation")},
        ["its prompt has", "of model.max_length = 100, less than half", "lower max_tokens"],
    ),
    "a checkpoint that is not there": (
        {"arms": {"rl": {"kind": "checkpoint", "model": {"path": "./gone", "max_length": 256}}}},
        ["arms.rl.model", "./gone: neither an existing folder"],
    ),
    "a teacher of another vocabulary": (
        teacher_of_another_vocabulary,
        ["arms.rl.model", "has 999 tokens", "must share a vocabulary"],
    ),
    # --- the machine
    "GPUs that are not there": (
        {"resources": {"training": {"gpu": 64, "processes": 64}}},
        [
            "resources.training.gpu: 64 GPUs are asked for, but this machine has",
            "0 to run on the CPU",
        ],
    ),
    "parallel sizes that do not fit": (
        {"resources": {"generation": {"gpu": 2, "tensor_parallel": 4}}},
        ["resources.generation", "gpu: 2, but tensor_parallel x pipeline_parallel = 4"],
    ),
    "more memory than there is": (
        {"resources": {"cpu": {"mem_mb": 10**9}}},
        ["resources.cpu.mem_mb: 1000000000 MB, but this machine has", "lower it"],
    ),
    "less memory than the weights take": (
        {"resources": {"training": {"mem_mb": 1}}},
        ["resources.training.mem_mb: 1 MB", "the weights of data/lab/model alone take", "raise it"],
    ),
    "less disk than the states take": (
        {"rollouts": {"samples": 10**9, "samples_per_shard": 10**9}},
        ["disk: ", "GB are needed", "entropies.cache_hidden_states: false"],
    ),
}


def config_files(name, folder):
    """The config files of a case, written into `folder`."""
    change = CASES[name][0]
    path = folder / "change.yaml"
    if change == "gone":
        path = folder / "gone.yaml"
    elif isinstance(change, str):
        path.write_text(change)
    else:
        path.write_text(yaml.safe_dump(change(folder) if callable(change) else change))
    return ["config/test.yaml", str(path)]
