"""The estimate of a run on GPUs, and that each preset's header shows its own."""

from pathlib import Path

import pytest
import yaml

from reasonmaxxer import config
from reasonmaxxer.graph.estimate import Work, estimate, stages
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


def test_rl_takes_as_long_as_its_longest_completions_however_many_there_are():
    """`generate` makes one token of all of a step's rollouts at a time."""
    shape = SHAPES["qwen2.5-1.5b"][0]
    short, long = (stages(with_grpo(max_tokens=n))["grpo"].steps for n in (512, 2048))
    assert (short, long) == (10 * 512, 10 * 2048)
    few, many = (stages(with_grpo(num_generations=n))["grpo"] for n in (2, 8))
    assert few.steps == many.steps
    assert many.decoded == 4 * few.decoded
    alone = Work(steps=1000).seconds(shape, with_grpo())
    assert alone == pytest.approx(1000 * 28 * 0.9e-3)


@pytest.mark.parametrize("stage", ["footprint", "interventions", "pivotality", "capability"])
def test_every_part_of_the_footprint_analysis_costs(stage):
    run = yaml.safe_load((ROOT / "config" / "qwen2.5-1.5b.yaml").read_text())
    footprint = {"footprint": {"teacher": "simplerl", "benchmark": "math500"}}
    with_analysis = config.validate(config.overlay(run, footprint))
    shape = SHAPES["qwen2.5-1.5b"][0]
    assert stages(with_analysis)[stage].seconds(shape, with_analysis) > 30
    # Without one the run is as before.
    assert stage not in stages(config.validate(run))


def test_interventions_decode_the_papers_50_problems_together():
    run = yaml.safe_load((ROOT / "config" / "qwen2.5-1.5b.yaml").read_text())
    section = {"teacher": "simplerl", "benchmark": "math500"}
    hours = {}
    for count in (50, None):
        footprint = {"footprint": {**section, "interventions": count}}
        given = config.validate(config.overlay(run, footprint))
        work = stages(given)["interventions"]
        hours[count] = work.seconds(SHAPES["qwen2.5-1.5b"][0], given) / 3600
    assert hours[50] < 1
    assert hours[None] == pytest.approx(8 * hours[50], rel=0.02)  # 500 problems, 64 at once


def test_arms_with_rollouts_of_their_own_sample_and_score_them():
    run = yaml.safe_load((ROOT / "config" / "qwen2.5-1.5b.yaml").read_text())
    one = stages(config.validate(run))
    arm = {"arms": {"warm": {"rollouts": {"temperature": 0.9}}}}
    two = stages(config.validate(config.overlay(run, arm)))
    for stage in ("rollouts", "entropies"):
        assert two[stage].generated + two[stage].passed == 2 * (
            one[stage].generated + one[stage].passed
        )


def test_every_start_of_the_engine_is_counted():
    run, shape = config.load([ROOT / "config" / "qwen2.5-1.5b.yaml"]), SHAPES["qwen2.5-1.5b"][0]
    found = estimate(run, shape)
    # The rollouts, the choice of three checkpoints, the base with its adapters, two public models.
    assert found.engines == 1 + 3 + 1 + 2
    assert f"{found.engines} starts of the engine" in " ".join(found.lines())


def test_a_file_counts_with_its_own_rows(tmp_path):
    rows = "".join(f'{{"problem": "{n}", "answer": "{n}"}}\n' for n in range(30))
    (tmp_path / "aime.jsonl").write_text(rows)
    run = yaml.safe_load((ROOT / "config" / "qwen2.5-1.5b.yaml").read_text())
    local = {"benchmarks": {"aime24": {"source": {"path": str(tmp_path / "aime.jsonl")}}}}
    run["benchmarks"].pop("aime24")
    shape = SHAPES["qwen2.5-1.5b"][0]
    without = estimate(config.validate(run), shape).tokens
    found = estimate(config.validate(config.overlay(run, local)), shape).tokens
    assert found - without == 30 * 6 * 8 * 1000  # of six arms, eight samples each
    some = {"benchmarks": {"aime24": {"source": {"skip": 10, "limit": 25}}}}
    found = estimate(config.validate(config.overlay(config.overlay(run, local), some)), shape)
    assert found.tokens - without == 20 * 6 * 8 * 1000


def test_a_slower_card_takes_longer_and_one_too_small_is_not_named():
    run = config.load([ROOT / "config" / "qwen2.5-1.5b.yaml"])
    small, large = (estimate(run, SHAPES[name][0]) for name in ("qwen2.5-1.5b", "qwen2.5-7b"))
    assert small.hours < small.elsewhere["A100"] < small.elsewhere["RTX 4090"]
    assert small.elsewhere["RTX 4090"] < small.elsewhere["L4"]
    assert set(large.elsewhere) == {"A100"}  # 27 GB to generate


def test_rl_of_all_parameters_holds_them_in_float32_with_their_optimiser():
    shape, parameters = SHAPES["qwen2.5-1.5b"]
    whole, lora = (estimate(with_grpo(rank=rank), shape).training_gb for rank in (None, 32))
    assert whole > 16 * parameters / 1e9 > lora
