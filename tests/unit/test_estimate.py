"""The estimate of a run on GPUs, and that each preset's header shows its own."""

from pathlib import Path

import pytest
import yaml

from reasonmaxxer import config
from reasonmaxxer.graph.estimate import estimate
from reasonmaxxer.modeling.dimensions import Dimensions

ROOT = Path(__file__).parents[2]

# Sizes as in the models' published configs, and the parameters that their cards or the sums of
# their checkpoints' tensors state.
SHAPES = {
    "qwen2.5-0.5b": (Dimensions(896, 24, 14, 2, 64, 4864, 151936, True, biased=True), 494032768),
    "qwen2.5-1.5b": (Dimensions(1536, 28, 12, 2, 128, 8960, 151936, True, biased=True), 1543714304),
    "qwen2.5-7b": (Dimensions(3584, 28, 28, 4, 128, 18944, 152064, False, biased=True), 7615616512),
    "qwen2.5-math-7b": (
        Dimensions(3584, 28, 28, 4, 128, 18944, 152064, False, biased=True),
        7615616512,
    ),
    "qwen2.5-32b": (
        Dimensions(5120, 64, 40, 8, 128, 27648, 152064, False, biased=True),
        32763876352,
    ),
    "qwen3-0.6b": (Dimensions(1024, 28, 16, 8, 128, 3072, 151936, True, normed=True), 596049920),
    "qwen3-4b": (Dimensions(2560, 36, 32, 8, 128, 9728, 151936, True, normed=True), 4022468096),
    "deepseek-r1-distill-1.5b": (
        Dimensions(1536, 28, 12, 2, 128, 8960, 151936, False, biased=True),
        1777088000,
    ),
    "mistral-7b": (Dimensions(4096, 32, 32, 8, 128, 14336, 32000, False), 7241732096),
}


@pytest.mark.parametrize("preset", SHAPES)
def test_parameters_are_those_of_the_published_checkpoint(preset):
    shape, parameters = SHAPES[preset]
    assert shape.parameters == parameters


@pytest.mark.parametrize("preset", SHAPES)
def test_a_presets_header_shows_its_estimate(preset):
    path = ROOT / "config" / f"{preset}.yaml"
    header = path.read_text(encoding="utf-8").split("\nrun:")[0]
    lines = estimate(config.load([path]), SHAPES[preset][0]).lines()
    assert "\n".join(f"# {line}" for line in lines) in header


def test_the_shape_of_a_model_is_read_from_its_config():
    from transformers import LlamaConfig, Qwen2Config, Qwen3Config

    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 96, "vocab_size": 50}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    for kind, dim in ((LlamaConfig, 16), (Qwen2Config, 16), (Qwen3Config, 32)):
        for tied in (True, False):
            settings = kind(**sizes, **heads, head_dim=dim, tie_word_embeddings=tied)
            shape, model = Dimensions.of(settings), _empty(settings)
            assert shape.parameters == model.num_parameters()
            # An untied table of embeddings is looked up; a tied one is the head as well.
            looked_up = 0 if tied else model.get_input_embeddings().weight.numel()
            assert shape.computing_parameters == model.num_parameters() - looked_up


def _empty(settings):
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(settings)


def test_the_estimate_grows_with_samples_and_completions():
    run = config.load([ROOT / "config" / "qwen2.5-1.5b.yaml"])
    shape = SHAPES["qwen2.5-1.5b"][0]
    more = run.model_copy(update={"rollouts": run.rollouts.model_copy(update={"samples": 40})})
    assert estimate(more, shape).tokens - estimate(run, shape).tokens == 150 * 20 * 1000
    assert estimate(more, shape).dollars > estimate(run, shape).dollars


def with_grpo(**section):
    arm = {"kind": "grpo", "grpo": {"steps": 10, "prompts_per_step": 4, **section}}
    run = yaml.safe_load((ROOT / "config" / "qwen2.5-1.5b.yaml").read_text())
    return config.validate(config.overlay(run, {"arms": {"rl": arm}}))


def test_an_arm_of_rl_costs_its_own_rollouts_and_checkpoint_choice():
    run, shape = config.load([ROOT / "config" / "qwen2.5-1.5b.yaml"]), SHAPES["qwen2.5-1.5b"][0]
    few, many = (estimate(with_grpo(num_generations=n), shape) for n in (2, 8))
    assert many.tokens - few.tokens == 10 * 4 * (8 - 2) * 1000
    assert few.tokens > estimate(run, shape).tokens
    assert many.hours > few.hours > estimate(run, shape).hours


def test_rl_of_all_parameters_holds_them_in_float32_with_their_optimiser():
    shape, parameters = SHAPES["qwen2.5-1.5b"]
    whole, lora = (estimate(with_grpo(rank=rank), shape).training_gb for rank in (None, 32))
    assert whole > 16 * parameters / 1e9 > lora
