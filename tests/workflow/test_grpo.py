"""GRPO's wiring: the verifier's rewards reach the weights, and a killed run goes on.

The model is a bigram made by hand, so that what reinforcement must do is known: behind the box it
writes 3 and 7 equally often, and 7 is right.
"""

import math
from pathlib import Path

import pytest
import synthetic
import torch
from safetensors.torch import load_file

from reasonmaxxer import tables
from reasonmaxxer.config import GrpoConfig, ModelConfig, PromptConfig, VerdictsConfig
from reasonmaxxer.errors import UserError
from reasonmaxxer.generation.prompts import load_tokenizer
from reasonmaxxer.modeling.base_model import pack_adapter
from reasonmaxxer.stages import grpo
from reasonmaxxer.stages.checkpoint import pack_model
from reasonmaxxer.training.lr_schedule import of_grpo

QUICK = {"steps": 6, "prompts_per_step": 2, "num_generations": 8, "max_tokens": 6}


def bigram_of(folder: Path, wrong: str, right: str) -> ModelConfig:
    """A Llama whose attention and MLP write nothing: the head sees the last token alone."""
    from transformers import LlamaConfig, LlamaForCausalLM

    follows = {"gives": ["\\boxed{"], "\\boxed{": [wrong, right], "}": ["<eos>"]}
    follows |= {wrong: ["}"], right: ["}"]}
    folder.mkdir(exist_ok=True)
    synthetic.save_tokenizer(folder)
    width = 4 * math.ceil(len(synthetic.WORDS) / 4)
    settings = LlamaConfig(
        vocab_size=len(synthetic.WORDS),
        hidden_size=width,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
        tie_word_embeddings=False,
        eos_token_id=synthetic.EOS,
    )
    bigram = LlamaForCausalLM(settings)
    layer = bigram.model.layers[0]
    with torch.no_grad():
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        bigram.model.embed_tokens.weight.copy_(torch.eye(len(synthetic.WORDS), width))
        bigram.lm_head.weight.zero_()
        for word, following in follows.items():
            for other in following:
                # The norm makes the one-hot vector as long as the square root of its width.
                score = 20 / math.sqrt(width)
                bigram.lm_head.weight[synthetic.IDS[other], synthetic.IDS[word]] = score
        # A direction that tells right from wrong and that nothing writes to: an adapter can.
        bigram.lm_head.weight[synthetic.IDS[right], synthetic.IDS["twice"]] = score
    bigram.save_pretrained(folder)
    return ModelConfig(path=str(folder), dtype="float32", max_length=32)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> ModelConfig:
    return bigram_of(tmp_path_factory.mktemp("model"), "3", "7")


@pytest.fixture(scope="module")
def problems(tmp_path_factory) -> Path:
    return problems_with(tmp_path_factory.mktemp("problems"), "7")


def problems_with(folder: Path, answer: str) -> Path:
    path = folder / "train.parquet"
    common = {"answer": answer, "source": "test", "level": None}
    rows = [
        {"problem_id": word, "problem": f"{word} has 3 then", **common}
        for word in ("Ada", "Bo", "so", "or")
    ]
    tables.write(path, "problems", rows)
    return path


@pytest.fixture(scope="module")
def prompt(tmp_path_factory) -> PromptConfig:
    template = tmp_path_factory.mktemp("prompt") / "template.txt"
    template.write_text("{problem} gives\n")
    return PromptConfig(template=str(template))


def _run(folder: Path, model, problems, prompt, verdicts=None, **changes):
    config = GrpoConfig(**({"learning_rate": 0.006, "checkpoints": 2} | QUICK | changes))
    names = [folder / f"checkpoint-{i}.safetensors" for i in (1, 2)]
    grpo.run(
        problems=problems,
        model=model,
        prompt=prompt,
        verdicts=verdicts or VerdictsConfig(),
        config=config,
        out_log=folder / "grpo.parquet",
        checkpoints=names,
        scratch=folder / "scratch",
        batch_tokens=100,
    )
    return names, tables.read(folder / "grpo.parquet", "grpo").to_pylist(), config


def _chance_of(answer: str, network) -> float:
    ids = torch.tensor([[synthetic.IDS["\\boxed{"]]])
    with torch.no_grad():
        return network(input_ids=ids).logits[0, -1].softmax(-1)[synthetic.IDS[answer]].item()


@pytest.mark.parametrize("rank", [None, 4], ids=["all-parameters", "lora"])
def test_what_the_verifier_accepts_becomes_likelier(tmp_path, model, problems, prompt, rank):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    rate = 0.006 if rank is None else 0.003
    names, log, config = _run(
        tmp_path, model, problems, prompt, rank=rank, alpha=32, learning_rate=rate
    )
    base = AutoModelForCausalLM.from_pretrained(model.path)
    assert _chance_of("7", base) == pytest.approx(0.5, abs=0.01)
    packed = tmp_path / "packed"
    if rank is None:
        pack_model(packed, names[-1], model)
        trained = AutoModelForCausalLM.from_pretrained(packed)
    else:
        pack_adapter(packed, names[-1], model, of_grpo(config))
        trained = PeftModel.from_pretrained(base, packed)
    assert _chance_of("7", trained) > 0.6
    assert [row["step"] for row in log] == [1, 2, 3, 4, 5, 6]
    assert not list((tmp_path / "scratch").iterdir())


REWARD = """
def reward(completions, answer, **columns):
    return [float(a in c) for c, a in zip(completions, answer)]
"""


@pytest.mark.parametrize("verifier", ["exact", "python:{file}:reward"])
def test_another_verifier_is_the_reward(tmp_path, model, problems, prompt, verifier):
    from transformers import AutoModelForCausalLM

    (tmp_path / "mine.py").write_text(REWARD)
    verdicts = VerdictsConfig(verifier=verifier.format(file=tmp_path / "mine.py"))
    names, _, _ = _run(tmp_path, model, problems, prompt, verdicts, rank=None)
    pack_model(tmp_path / "packed", names[-1], model)
    trained = AutoModelForCausalLM.from_pretrained(tmp_path / "packed")
    assert _chance_of("7", trained) > 0.6


def test_a_letter_of_choice_is_learnt(tmp_path, prompt):
    from transformers import AutoModelForCausalLM

    model = bigram_of(tmp_path / "model", "B", "C")
    problems = problems_with(tmp_path, "C")
    verdicts = VerdictsConfig(verifier="choice")
    names, _, _ = _run(tmp_path, model, problems, prompt, verdicts, rank=None)
    pack_model(tmp_path / "packed", names[-1], model)
    trained = AutoModelForCausalLM.from_pretrained(tmp_path / "packed")
    assert _chance_of("C", trained) > 0.6


def test_a_step_says_what_it_cost(tmp_path, model, problems, prompt):
    _, log, _ = _run(tmp_path, model, problems, prompt, learning_rate=1e-6)
    # Every completion is a box: four tokens behind a prompt of five.
    for row in log:
        assert (row["generated_tokens"], row["trained_tokens"]) == (16 * 4, 16 * 9)
        assert row["seconds"] > 0
        assert row["length"] == 4 and row["truncated"] == 0
    words, width = len(synthetic.WORDS), 4 * math.ceil(len(synthetic.WORDS) / 4)
    weights = words * width + 4 * width**2 + 3 * 8 * width + 3 * width
    assert log[0]["flops"] == pytest.approx(8 * weights * 16 * 9)


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path, model, problems, prompt, monkeypatch):
    whole, log, _ = _run(tmp_path / "whole", model, problems, prompt)
    monkeypatch.setattr(grpo, "SAVE_SECONDS", 0.0)
    calls = []
    reward = grpo.Reward.__call__

    def stopped_at_the_fifth(*args, **kwargs):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return reward(*args, **kwargs)

    monkeypatch.setattr(grpo.Reward, "__call__", stopped_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "killed", model, problems, prompt)
    resumed, again, _ = _run(tmp_path / "killed", model, problems, prompt)
    assert len(calls) == 4 + 1 + 2  # steps 5 and 6 alone were sampled again
    first, second = load_file(whole[-1]), load_file(resumed[-1])
    assert all(torch.equal(first[name], second[name]) for name in first)
    for row, other in zip(log, again, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


def _stopped(monkeypatch, index: int) -> None:
    """Stop the next run where it copies its checkpoint `index`, TRL's own being saved."""
    copy = grpo.shutil.copyfile

    def stopped_once(source, target, **options):
        if f"checkpoint-{index}.safetensors" in str(target):
            monkeypatch.setattr(grpo.shutil, "copyfile", copy)
            raise KeyboardInterrupt
        return copy(source, target, **options)

    monkeypatch.setattr(grpo.shutil, "copyfile", stopped_once)


def test_a_run_killed_before_a_checkpoint_was_copied_still_has_it(
    tmp_path, model, problems, prompt, monkeypatch
):
    whole, _, _ = _run(tmp_path / "whole", model, problems, prompt)
    for index in (1, 2):
        _stopped(monkeypatch, index)
        with pytest.raises(KeyboardInterrupt):
            _run(tmp_path / "killed", model, problems, prompt)
    resumed, _, _ = _run(tmp_path / "killed", model, problems, prompt)
    for first, second in zip(map(load_file, whole), map(load_file, resumed), strict=True):
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_checkpoint_that_was_not_written_to_its_end_is_passed_over(tmp_path):
    states = {2: '{"global_step": 2}', 10: '{"global_step": 10}', 12: '{"global_st', 14: ""}
    for step, text in states.items():
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}/trainer_state.json").write_text(text)
    (tmp_path / "checkpoint-16").mkdir()
    assert grpo.last_saved(tmp_path) == tmp_path / "checkpoint-10"


def test_a_tokenizer_that_changes_the_prompt_is_refused(tmp_path, model, problems, prompt):
    from tokenizers.processors import TemplateProcessing

    folder = tmp_path / "model"
    tokenizer = load_tokenizer(model)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", synthetic.EOS)]
    )
    tokenizer.save_pretrained(folder)
    other = model.model_copy(update={"path": str(folder)})
    with pytest.raises(UserError, match="adds special tokens to a prompt"):
        grpo.training_rows(problems, other, prompt, load_tokenizer(other))
