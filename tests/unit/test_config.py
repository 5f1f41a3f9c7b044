"""The config: what a user may write, and what a mistake is told."""

import json
from pathlib import Path

import pytest
import yaml
from project_copy import CONFIGS

from reasonmaxxer.config import TrainingConfig, load, overlay, validate
from reasonmaxxer.errors import UserError
from reasonmaxxer.graph.checks import check
from reasonmaxxer.registry import STAGES
from reasonmaxxer.tools import schema

ROOT = Path(__file__).parents[2]


def minimal(**changes):
    source = {"lab": {}, "limit": 10}
    config = {
        "run": "t",
        "model": {"path": "m", "max_length": 512},
        "problems": {"train": [source], "validation": [source]},
        "benchmarks": {"short": {"source": source}},
        "rollouts": {"max_tokens": 64},
        "checkpoint": {"max_tokens": 64},
        "evaluation": {"max_tokens": 64},
        "arms": {"base": {"kind": "base"}, "ours": {}},
    }
    return overlay(config, changes)


def test_the_minimal_config_is_valid():
    config = validate(minimal())
    assert config.base_arm == "base"
    assert config.trained_arms == ["ours"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"footprint": {"teacher": "grpo", "benchmark": "short"}},
            "footprint.teacher: grpo: is not one of: ours",
        ),
        (
            {"footprint": {"teacher": "ours", "benchmark": "far"}},
            "footprint.benchmark: far: is not one of: short",
        ),
        (
            {
                "footprint": {"teacher": "ours", "benchmark": "short"},
                "selection": {"top_fraction": 0.1},
            },
            "footprint.tau: is required, because selection has another threshold",
        ),
        (
            {
                "footprint": {
                    **{"teacher": "ours", "benchmark": "short"},
                    "pivotality": {"alternatives": 6},
                }
            },
            "6 is more than the 5 tokens that entropies.top_k keeps",
        ),
        ({"training": {"learning_rate": 0}}, "training.learning_rate"),
        ({"training": {"checkpoints": 9, "sequences": 8}}, "9 is more than the 1 steps"),
        # A run that ends within its warm-up never trains at the rate it was given.
        ({"training": {"sequences": 160}}, "training: warmup_steps: 50 is more than the 20 steps"),
        (
            {"grpo": {"steps": 60, "warmup_steps": 61}},
            "grpo: warmup_steps: 61 is more than the 60 steps",
        ),
        (
            {"model": {"path": "m", "dtype": "float16"}},
            "model.dtype: float16: arm 'ours' cannot be trained in it",
        ),
        (
            {"training": {"sequences": 80, "warmup_steps": 5, "decay_steps": 9}},
            "training: decay_steps: 9 is before the last of the 10 steps",
        ),
        ({"selection": {"tau": 1.0, "window": [0.6, 0.4]}}, "window: the first value"),
        ({"arms": {"other": {"kind": "base"}}}, "exactly one arm of kind base is needed, found 2"),
        ({"arms": {"ours": {"training": {"rate": 1}}}}, "arms.ours.training: rate: unknown key"),
        ({"arms": {"ours": {"training": {"checkpoints": 2}}}}, "must be the same for all arms"),
        ({"arms": {"x": {"kind": "checkpoint"}}}, "model is required for kind checkpoint"),
        ({"arms": {"ours": {"prompt": {}}}}, "prompt is only allowed for kind checkpoint"),
        (
            {"evaluation": {"protocol": "paper", "temperature": 1.0}},
            "evaluation.temperature: evaluation.protocol: paper sets it",
        ),
        (
            {"evaluation": {"protocol": "paper"}, "benchmarks": {"short": {"samples": 4}}},
            "benchmarks.short.samples: evaluation.protocol: paper sets it",
        ),
        (
            {"arms": {"base": {"selection": {"tau": 1}}}},
            "an arm of kind 'base' is not trained, so it cannot override 'selection'",
        ),
        ({"arms": {"x": {"kind": "distilled"}}}, "teacher is required for kind distilled"),
        (
            {"arms": {"x": {"kind": "grpo", "training": {"rank": 1}}}},
            "an arm of kind 'grpo' cannot override 'training'; it may override: grpo",
        ),
        ({"arms": {"x": {"kind": "distilled", "teacher": "no"}}}, "teacher: no arm 'no'"),
        ({"arms": {"x": {"kind": "grpo", "grpo": {"steps": 2}}}}, "4 is more than the 2 steps"),
        ({"arms": {"Bad Name": {}}}, "String should match pattern"),
        (
            {"benchmarks": {"short": {"source": {"lab": {}, "path": "x"}}}},
            "exactly one of lab, hub",
        ),
        ({"model": {"path": None}}, "model.path"),
        (
            {"resources": {"training": {"gpu": 4, "processes": 2}}},
            "resources.training: gpu: 4, but its jobs use 2: raise processes",
        ),
        (
            {"resources": {"generation": {"gpu": 4}}},
            "resources.generation: gpu: 4, but its jobs use 1: raise tensor_parallel",
        ),
        ({"resources": {"entropies": {"gpu": 2}}}, "entropies.gpu: Input should be less than"),
        (
            {"resources": {"training": {"gpu": 4}}},
            "training: gpu: 4, but its jobs use 1: raise",
        ),
        ({"resources": {"verdicts": {"gpu": 1}}}, "resources.verdicts.gpu: unknown key"),
        (
            {"resources": {"verdicts": {"batch_tokens": 1}}},
            "verdicts.batch_tokens: unknown key; this section has: threads, mem_mb, runtime",
        ),
        ({"resources": {"generation": {"processes": 2}}}, "generation.processes: unknown key"),
        ({"rollouts": {"sample": 4}}, "rollouts.sample: unknown key; did you mean 'samples'?"),
        ({"rollouts": {"num_generations": 4}}, "num_generations: unknown key; this section has:"),
        ({"keep": ["rollouts"]}, "keep: unknown key; it is called 'freeze' now"),
        (
            {"selection": {"share": 0.1}},
            "selection.share: unknown key; it is called 'top_fraction' now",
        ),
        (
            {"benchmarks": {"short": {"source": {"lab": {}, "where": {}}}}},
            "benchmarks.short.source.where: unknown key; it is called 'filter' now",
        ),
        (
            {"arms": {"ours": {"training": {"targets": ["x"]}}}},
            "arms.ours.training: targets: unknown key; it is called 'target_modules' now",
        ),
        ({"resources": {"light": {}}}, "resources.light: unknown key; it is called 'cpu' now"),
        ({"sweeps": [{"arm": "ours", "grid": {"report.title": ["x"]}}]}, "sweeps"),
        ({"report": {"price_per_hour": -1}}, "report.price_per_hour"),
    ],
)
def test_a_mistake_is_named_with_its_key(changes, message):
    with pytest.raises(UserError) as caught:
        validate(minimal(**changes))
    assert message in str(caught.value)


OUT_OF_RANGE = {
    "entropies": {"top_k": (0, 65)},
    "selection": {
        "problems": (0,),
        "window": ((-0.1, 1), (0, 1.1)),
        "min_problems": (0,),
        "min_forecast": (-0.1, 1.5),
        "truncated": ("no",),
        "trim_longest": (-0.1, 1),
        "advantages": ("none",),
        "gate": ("none",),
        "tau": (-1,),
        "top_fraction": (0, 1),
        "seed": (-1, 2**32),
    },
    "training": {
        "rank": (0, 513),  # beyond what the engine serves
        "alpha": (0,),
        "dropout": (-0.1, 1),
        "target_modules": ([],),
        "sequences": (0,),
        "batch_size": (0,),
        "order": ("none",),
        "learning_rate": (0, "nan"),
        "warmup_steps": (-1,),
        "decay_steps": (0,),
        "weight_decay": (-1,),
        "max_grad_norm": (0,),
        "anchor_weight": (-1, "inf"),
        "advantage_clip": (0,),
        "probability_floor": (0, 1),
        "checkpoints": (0, 21),
        "seed": (-1, 2**32),
    },
    "checkpoint": {"min_parseable": (-0.1, 1.1), "samples": (0,)},
}


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [(s, k, v) for s, keys in OUT_OF_RANGE.items() for k, values in keys.items() for v in values],
)
def test_a_value_out_of_range_is_named_with_its_key(section, key, value):
    with pytest.raises(UserError, match=rf"{section}\.{key}"):
        validate(minimal(**{section: {key: value}}))


def test_a_section_travels_as_json():
    section = TrainingConfig(rank=8)
    assert TrainingConfig.from_json(section.as_json()) == section
    with pytest.raises(UserError, match="rnk: unknown key; did you mean 'rank'"):
        TrainingConfig.from_json('{"rnk": 8}')


def test_later_files_are_laid_over_earlier_ones(tmp_path):
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(minimal()))
    (tmp_path / "b.yaml").write_text("rollouts: {samples: 7}\n")
    config = load([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert (config.rollouts.samples, config.rollouts.max_tokens) == (7, 64)


def test_the_training_pool_needs_a_limit():
    with pytest.raises(UserError, match="give the number of problems"):
        check(validate(minimal(problems={"train": [{"lab": {}}]})))


def test_an_arm_lays_its_values_over_the_section():
    changes = {
        "selection": {"tau": 1.0},
        "arms": {"q": {"selection": {"top_fraction": 0.05}}},
    }
    section = validate(minimal(**changes)).section_of("q", "selection")
    assert (section.top_fraction, section.tau) == (0.05, None)


def test_a_sweep_makes_an_arm_of_every_combination():
    grid = {"selection.tau": [0.2, 0.4], "training.learning_rate": [1.0e-4]}
    config = validate(minimal(sweeps=[{"arm": "ours", "grid": grid}]))
    assert list(config.arms)[2:] == [
        "ours+tau=0.2+learning_rate=0.0001",
        "ours+tau=0.4+learning_rate=0.0001",
    ]
    assert config.section_of("ours+tau=0.4+learning_rate=0.0001", "selection").tau == 0.4


def test_a_sweep_over_windows_has_names_that_files_may_have():
    config = validate(minimal(sweeps=[{"arm": "ours", "grid": {"selection.window": [[0.2, 0.8]]}}]))
    assert config.swept("ours+window=0.2-0.8") == {
        **{"arm": "ours", "key": "selection.window"},
        **{"value": [0.2, 0.8], "own": (0.0, 1.0)},
    }


def test_seeds_make_an_arm_of_each_and_the_first_keeps_the_name():
    arms = {"ours": {"seeds": [7, 8], "title": "Ours"}, "rl": {"kind": "grpo", "seeds": [1, 2]}}
    arms |= {"kl": {"kind": "distilled", "teacher": "rl", "seeds": [3]}}
    sweep = {"arm": "ours", "grid": {"selection.tau": [0.2]}}
    config = validate(minimal(arms=arms, sweeps=[sweep], grpo={"max_tokens": 64}))
    names = ["ours", "ours+seed=8", "rl", "rl+seed=2", "kl", "ours+tau=0.2"]
    assert list(config.arms)[1:] == names
    assert [config.line_of(name) for name in names] == ["ours", "ours", "rl", "rl", "kl", names[-1]]
    for section in ("rollouts", "selection", "training"):
        seeds = [config.section_of(name, section).seed for name in (*names[:2], names[-1])]
        assert seeds == [7, 8, 7]
    assert config.section_of("rl+seed=2", "grpo").seed == 2
    assert config.section_of("kl", "distillation").seed == 3
    assert config.arms["ours+seed=8"].title == "Ours, seed=8"


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ({"ours": {"seeds": [1, 1]}}, "arms.ours: seeds: 1 is listed twice"),
        ({"ours": {"seeds": []}}, "arms.ours: seeds: .*at least 1"),
        ({"base": {"seeds": [1]}}, "arms.base: seeds: an arm of kind base is not trained"),
        (
            {"ours": {"seeds": [1], "training": {"seed": 3}}},
            "arms.ours: training.seed: is set by seeds",
        ),
        (
            {"ours": {"seeds": [1, 2]}, "ours+seed=2": {}},
            r"arms.ours\+seed=2: .*rename or remove one",
        ),
    ],
)
def test_seeds_that_cannot_be_meant_are_refused(arms, message):
    with pytest.raises(UserError, match=message):
        validate(minimal(arms=arms))


@pytest.mark.parametrize(
    "arms",
    [
        {"twin": {"title": "Another title"}},
        {"twin": {"selection": {"tau": 1.4}}},
        {"twin": {"selection": {"seed": 5}}},  # which nothing is drawn by
        {"twin": {"evaluate": ["short"]}},  # which is all there is
        {"twin": {"training": {"seed": 5}}, "other": {"training": {"seed": 5}}},
    ],
)
def test_two_arms_that_are_one_experiment_are_refused(arms):
    name = [*arms][-1]
    first = "twin" if name == "other" else "ours"
    wanted = f"arms.{name}: is the same experiment as {first}: .*give it seeds"
    with pytest.raises(UserError, match=wanted):
        validate(minimal(arms=arms))


def test_a_seed_is_an_experiment_of_its_own_where_it_draws_something():
    random = {"one": {"selection": {"gate": "random"}}}
    random |= {"two": {"selection": {"gate": "random", "seed": 5}}}
    validate(minimal(arms=random | {"three": {"training": {"seed": 5}}}))


def test_a_sweep_over_seeds_is_told_of_the_key():
    sweep = {"arm": "ours", "grid": {"training.seed": [7]}}
    with pytest.raises(
        UserError, match=r"training.seed: a seed is not a setting to sweep over; .*seeds: \[7\]"
    ):
        validate(minimal(sweeps=[sweep]))


def test_generated_files_do_not_drift():
    schema_file = ROOT / "workflow/schemas/config.schema.json"
    assert schema_file.read_text() == schema.json_schema(), "run: python -m reasonmaxxer schema"
    readme = ROOT / "config/README.md"
    assert readme.read_text() == schema.key_table(), "run: python -m reasonmaxxer schema"


def test_the_readmes_table_of_stages_is_the_registrys():
    text = (ROOT / "README.md").read_text()
    assert text == schema.with_stages(text), "run: python -m reasonmaxxer schema"
    for stage in STAGES:
        assert text.count(f"\n| `{stage}` | ") == 1
    with pytest.raises(UserError, match="stages: end"):
        schema.with_stages(text.replace("<!-- stages: end -->", ""))


def test_every_key_is_described():
    described = json.loads(schema.json_schema())
    sections = {"Config": described, **described["$defs"]}
    bare = [
        f"{name}.{key}"
        for name, section in sections.items()
        for key, field in section.get("properties", {}).items()
        if not field.get("description") and not ("$ref" in field or "default" in field)
    ]
    assert not [key for key in bare if not key.startswith("Config.")]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_is_valid(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    is_overlay = not {"problems", "arms"} <= yaml.safe_load(path.read_text()).keys()
    check(load(["config/config.yaml", path] if is_overlay else [path]))
