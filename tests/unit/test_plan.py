"""The run as files: who shares what, and how work is cut into jobs."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from test_config import minimal

from reasonmaxxer import tables
from reasonmaxxer.analysis.arms import controls, is_rl, lines, main_of, sweeps
from reasonmaxxer.config import load, overlay, validate
from reasonmaxxer.config.selection import THRESHOLDS
from reasonmaxxer.errors import UserError
from reasonmaxxer.graph import footprint
from reasonmaxxer.graph.checks import check_stages
from reasonmaxxer.graph.files import arm_weights, model_of, recorded_code, teacher_rollouts
from reasonmaxxer.graph.jobs import checkpoint_options, evaluation_job, models, rollouts_job
from reasonmaxxer.graph.manifest import making_jobs, manifest, manifest_files
from reasonmaxxer.graph.protocol import prompt_of_arm, protocol
from reasonmaxxer.graph.shards import (
    Shard,
    evaluation_shards,
    rollout_shards,
    rollouts_origin,
    sample_blocks,
    section_of,
    selection_origin,
)
from reasonmaxxer.training.model_card import how

ROOT = Path(__file__).parents[2]


def config_with(**changes):
    return validate(minimal(**changes))


def test_raising_k_adds_shards_and_keeps_the_others():
    sizes = {"samples_per_shard": 4, "problems_per_shard": 5}
    few = rollout_shards(config_with(rollouts={**sizes, "samples": 4}))
    more = rollout_shards(config_with(rollouts={**sizes, "samples": 8}))
    assert few == ["p0-4.s0-3", "p5-9.s0-3"]
    assert set(few) < set(more)
    told = [
        rollouts_job(config_with(rollouts={**sizes, "samples": k}), "main", few[0]) for k in (4, 8)
    ]
    assert told[0] == told[1]


def test_a_shard_name_reads_back():
    shard = Shard(5, 5, 0, 4)
    assert Shard.parse(shard.name) == shard


def test_raising_a_benchmarks_samples_keeps_full_shards():
    changes = {"evaluation": {"samples_per_shard": 4}}
    few = config_with(benchmarks={"short": {"samples": 4}}, **changes)
    more = config_with(benchmarks={"short": {"samples": 8}}, **changes)
    assert evaluation_shards(few, "short") == ["s0-3"]
    assert evaluation_shards(more, "short") == ["s0-3", "s4-7"]
    assert evaluation_job(few, "short", "s0-3") == evaluation_job(more, "short", "s0-3")


def test_arms_share_what_they_have_in_common():
    config = config_with(
        selection={"tau": 1.0},
        arms={
            "a": {"selection": {"tau": 0.5}},
            "b": {"selection": {"tau": 0.5}, "training": {"rank": 4}},
            "c": {"training": {"rank": 4}},
            "d": {"rollouts": {"seed": 7}},
            "e": {"rollouts": {"samples": 10}},
        },
    )
    origins = {arm: selection_origin(config, arm) for arm in config.trained_arms}
    assert origins == {
        **{"ours": "main", "a": "tau=0.5", "b": "tau=0.5", "c": "main"},
        **{"d": "rollouts.seed=7", "e": "rollouts.samples=10"},
    }
    sampled = {arm: rollouts_origin(config, arm) for arm in config.trained_arms}
    assert sampled == dict.fromkeys("abc", "main") | {"ours": "main", "d": "seed=7", "e": "main"}


def test_what_arms_share_is_named_by_content_whatever_they_are_called_and_where_they_stand():
    arms = {
        "a": {"selection": {"tau": 0.5}, "rollouts": {"seed": 7}},
        "b": {"selection": {"tau": 0.5}, "rollouts": {"seed": 7}, "training": {"rank": 4}},
        "c": {"selection": {"window": [0.2, 0.8]}},
    }
    run = config_with(selection={"tau": 1.0}, arms=arms).origins
    names = dict(zip("abc", ("late", "x", "y"), strict=True))
    renamed = {names[arm]: arms[arm] for arm in reversed(arms)}
    other = config_with(selection={"tau": 1.0}, arms=renamed).origins
    for stage in ("rollouts", "selection"):
        assert {arm: other[stage][names[arm]] for arm in arms} | {"ours": "main"} == run[stage]
    alone = config_with(selection={"tau": 1.0}, arms={"b": arms["b"]}).origins
    assert alone["selection"]["b"] == run["selection"]["b"]
    assert re.fullmatch("[0-9a-f]{12}", run["selection"]["c"])  # a list is no name of a folder


def test_a_seed_that_draws_nothing_makes_nothing_of_its_own():
    gates = {"e": "entropy", "r": "random"}
    arms = {arm: {"selection": {"gate": gate, "seed": 7}} for arm, gate in gates.items()}
    arms["e"]["training"] = {"rank": 4}
    config = config_with(selection={"tau": 1.0}, arms=arms)
    assert config.origins["selection"] == {
        **{"ours": "main", "e": "main", "r": "gate=random,seed=7"}
    }
    told = {section_of(config, arm, "selection").as_json() for arm in (None, "ours", "e")}
    assert len(told) == 1 and "seed" not in told.pop()
    other = config_with(selection={"tau": 1.0, "seed": 8}, arms={"e": arms["e"]})
    again = config_with(selection={"tau": 1.0}, arms={"e": arms["e"]})
    assert manifest(other, "results/t") == manifest(again, "results/t")


@pytest.mark.parametrize(
    ("total", "drawn", "blocks"),
    [
        (20, [], [(0, 20)]),
        (40, [], [(0, 20), (20, 40)]),
        (10, [(0, 20)], [(0, 20)]),
        (8, [(0, 4)], [(0, 4), (4, 8)]),
        (6, [(0, 4), (4, 8)], [(0, 4), (4, 8)]),
        (8, [(4, 8)], [(0, 4), (4, 8)]),
        (4, [(0, 4), (0, 20)], [(0, 4)]),
        (10, [(0, 4), (0, 20)], [(0, 4), (4, 10)]),
        (40, [(0, 30)], [(0, 30), (30, 40)]),
    ],
)
def test_blocks_that_were_drawn_stay_and_only_what_they_lack_is_drawn(total, drawn, blocks):
    assert sample_blocks(total, 20, drawn) == blocks
    # As the graph is built again in the middle of the run, with some of the blocks there.
    assert sample_blocks(total, 20, [*drawn, *blocks]) == blocks


def test_other_numbers_of_samples_keep_what_lies_there_at_the_default_block_sizes(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for name in ("rollouts/main/p0-9.s0-19", "evaluation/base/short/s0-3.completions"):
        (tmp_path / f"results/t/{name}.parquet").parent.mkdir(parents=True)
        (tmp_path / f"results/t/{name}.parquet").touch()
    few = config_with(rollouts={"samples": 10}, benchmarks={"short": {"samples": 2}})
    assert rollout_shards(few) == ["p0-9.s0-19"]
    assert evaluation_shards(few, "short") == ["s0-3"]
    more = config_with(rollouts={"samples": 30}, benchmarks={"short": {"samples": 8}})
    assert rollout_shards(more) == ["p0-9.s0-19", "p0-9.s20-29"]
    assert evaluation_shards(more, "short") == ["s0-3", "s4-7"]


def test_a_benchmark_overlays_the_protocol_and_an_arm_cannot():
    config = config_with(benchmarks={"short": {"temperature": 0.0, "samples": 3}})
    sampling, samples = protocol(config, "short")
    assert (sampling.temperature, sampling.top_p, samples) == (0.0, 0.95, 3)
    assert "evaluation" not in type(config.arms["ours"]).model_fields


def test_the_papers_protocol_is_a_preset():
    sources = {"aime24": "aime24", "contest": "amc23", "math500": "math500", "aime25": "aime25"}
    benchmarks = {name: {"source": {"register": entry}} for name, entry in sources.items()}
    config = config_with(evaluation={"protocol": "paper"}, benchmarks=benchmarks)
    found = {name: protocol(config, name) for name in sources}
    assert {name: samples for name, (_, samples) in found.items()} == {
        **{"aime24": 8, "contest": 8, "math500": 1, "aime25": 1}
    }
    assert {(s.temperature, s.top_p) for s, _ in found.values()} == {(0.6, 0.95)}


@pytest.mark.parametrize(
    ("source", "samples"),
    [
        ({"register": "gsm8k"}, 1),
        ({"register": "math500"}, 1),
        ({"register": "minerva-math"}, 2),
        ({"register": "olympiadbench"}, 1),  # of which there are two copies
        ({"register": "amc23"}, 16),
        ({"register": "math500", "limit": 100}, 8),
        ({"register": "simplerl-3to5"}, 1),  # its size is not known beforehand
        ({"lab": {}, "limit": 1}, 16),
        ({"lab": {}, "limit": 300}, 2),
    ],
)
def test_a_small_benchmark_gets_more_samples(source, samples):
    config = config_with(benchmarks={"other": {"source": source}})
    assert protocol(config, "other")[1] == samples
    fixed = config_with(benchmarks={"other": {"source": source}}, evaluation={"samples": 3})
    assert protocol(fixed, "other")[1] == 3


def test_an_arm_may_have_a_prompt_of_its_own_outside_the_comparison():
    prompt = {"template": "config/prompts/qwen_boxed.txt"}
    rl = {"kind": "checkpoint", "model": {"path": "a/b"}}
    config = config_with(arms={"rl": rl, "rl-own": {**rl, "prompt": prompt}})
    asked = {arm: prompt_of_arm(config, arm, "short").template for arm in config.arms}
    assert len({asked["base"], asked["ours"], asked["rl"]}) == 1
    assert asked["rl-own"] == prompt["template"] != asked["rl"]
    arms = manifest(config, "results/x")["arms"]
    assert {name for name, arm in arms.items() if arm["own_prompt"]} == {"rl-own"}


def test_a_public_checkpoint_runs_as_its_base_does_unless_told_otherwise():
    arms = {
        "rl": {"kind": "checkpoint", "model": {"path": "a/b", "revision": "c"}},
        "other": {"kind": "checkpoint", "model": {"path": "a/b", "max_length": 9999}},
    }
    config = config_with(arms=arms, model={"dtype": "float32", "max_length": 4096})
    rl, other = model_of(config, "rl"), model_of(config, "other")
    assert (rl.path, rl.revision, rl.dtype, rl.max_length) == ("a/b", "c", "float32", 4096)
    assert (other.dtype, other.max_length) == ("float32", 9999)
    assert [asked["model"]["max_length"] for asked in models(config)] == [4096, 4096, 9999]


@pytest.mark.parametrize(
    "change",
    [
        {"resources": {"generation": {"threads": 7, "mem_mb": 9, "kv_cache_mb": 5}}},
        {"report": {"title": "x"}},
        {"rollouts": {"samples": 40}},
    ],
)
def test_where_and_how_much_is_not_part_of_a_jobs_share(change):
    before, after = (validate(overlay(minimal(), c)) for c in ({}, change))
    shard = rollout_shards(before)[0]
    assert rollouts_job(before, "main", shard) == rollouts_job(after, "main", shard)


def test_the_manifest_names_every_table_of_every_arm():
    found = manifest(config_with(), "results/t")
    assert found["arms"]["ours"]["evaluation"] == {
        "short": ["results/t/evaluation/ours/short/s0-15.parquet"]
    }
    assert found["arms"]["base"]["selection"] is None
    files = manifest_files(found)
    assert "results/t/adapters/ours/checkpoint.json" in files
    assert len(files) == len(set(files))
    assert json.dumps(found)


def test_every_kind_of_arm_is_evaluated_from_its_own_weights():
    config = config_with(
        grpo={"max_tokens": 64},
        arms={
            "rl": {"kind": "grpo", "evaluate": ["short"]},
            "rl-lora": {"kind": "grpo", "grpo": {"rank": 4}},
            "small": {"kind": "distilled", "teacher": "rl", "distillation": {"samples": 2}},
        },
    )
    folder = "results/t/adapters"
    assert model_of(config, "rl").path == f"{folder}/rl"
    assert model_of(config, "rl-lora").path == model_of(config, "small").path == "m"
    first = {arm: arm_weights(config, arm)[:1] for arm in config.arms}
    assert first == {
        "base": [],
        "ours": [f"{folder}/ours/adapter_model.safetensors"],
        "rl": [f"{folder}/rl/model.safetensors"],
        "rl-lora": [f"{folder}/rl-lora/adapter_model.safetensors"],
        "small": [f"{folder}/small/adapter_model.safetensors"],
    }
    # The pool has ten problems.
    assert teacher_rollouts(config, "small") == "results/t/distillation/rl/p10.s2.parquet"


def test_a_collapse_stops_the_run_for_its_main_arm_alone():
    arms = {"rl": {"kind": "grpo"}, "kl": {"kind": "grpo", "grpo": {"rank": 8}}}
    arms |= {"no-anchor": {"training": {"anchor_weight": 0}}}
    config = config_with(arms=arms, grpo={"max_tokens": 8})
    options = {arm: shlex.split(checkpoint_options(config, arm)) for arm in ("ours", *arms)}
    kept = {arm for arm, given in options.items() if "--keep-collapsed" in given}
    assert kept == {"rl", "kl", "no-anchor"}
    assert {arm for arm, given in options.items() if "--full-model" in given} == {"rl"}
    assert all(
        given[given.index("--description") + 1] == how(config, arm)
        for arm, given in options.items()
    )


def test_a_card_says_how_its_own_arm_came_about():
    """Controls are no ReasonMaxxer adapters, and must not be published as such."""
    selections = {
        "random-gate": {"gate": "random"},
        "all-tokens": {"gate": "all"},
        "shuffled": {"advantages": "shuffled"},
        "positive": {"advantages": "positive"},
    }
    arms = {arm: {"selection": selection} for arm, selection in selections.items()}
    arms |= {
        "no-anchor": {"training": {"anchor_weight": 0}},
        "bounded": {"selection": {"credit": "prefix"}, "training": {"objective": "ratio"}},
        "rl": {"kind": "grpo"},
        "kl": {"kind": "distilled", "teacher": "rl"},
    }
    config = config_with(arms=arms, grpo={"max_tokens": 8})
    start = "trained offline by the objective of arXiv 2605.06241 on the base model's own "
    anchored = "at its high-entropy decision points, the others anchored to the base"
    assert {arm: how(config, arm) for arm in ("ours", *arms)} == {
        "ours": f"{start}rollouts {anchored}",
        "random-gate": f"{start}rollouts at positions drawn at random, "
        "the others anchored to the base",
        "all-tokens": f"{start}rollouts at every position",
        "shuffled": f"{start}rollouts, their advantages shuffled, {anchored}",
        "positive": f"{start}correct rollouts {anchored}",
        "no-anchor": f"{start}rollouts at its high-entropy decision points, without an anchor",
        "bounded": "trained offline by importance-weighted advantages with the gate and anchor of "
        "arXiv 2605.06241 on the base model's own rollouts, with credit by shared prefixes, "
        f"{anchored}",
        "rl": "trained by GRPO with the rewards of the verifier",
        "kl": "distilled from the arm rl (arXiv 2605.06241, Eq. 4)",
    }


def test_an_arm_needs_its_own_jobs_and_those_it_shares():
    config = config_with(
        grpo={"max_tokens": 64},
        arms={
            "fewer": {"rollouts": {"samples": 2}},
            "other": {"rollouts": {"seed": 7}},
            "rl": {"kind": "grpo"},
            "rl-lora": {"kind": "grpo", "grpo": {"rank": 4}},
            "small": {"kind": "distilled", "teacher": "rl", "distillation": {"samples": 2}},
        },
    )
    jobs = {arm: making_jobs(config, arm) for arm in config.arms}
    assert jobs["base"] == {}
    assert jobs["ours"]["sample_rollouts"] == [f"main.{s}" for s in rollout_shards(config)]
    assert jobs["fewer"]["score_rollouts"] == ["main.p0-9.s0-1"]
    assert jobs["fewer"]["select_positions"] == ["rollouts.samples=2"]
    assert jobs["other"]["judge_rollouts"][0].startswith("seed=7.p0-9.")
    assert jobs["rl"] == {"train_grpo": ["rl"], "choose_whole_checkpoint": ["rl"]}
    assert jobs["rl-lora"]["choose_checkpoint"] == ["rl-lora"]
    own = {"sample_teacher": ["rl.p10.s2"], "distil_teacher": ["small"]}
    assert jobs["small"] == {**jobs["rl"], **own}

    # The tables behind the tokens are those of the same shards.
    arms = manifest(config, "results/t")["arms"]
    assert arms["fewer"]["rollouts"] == ["results/t/rollouts/main/p0-9.s0-1.parquet"]
    assert arms["small"]["rollouts"] == [teacher_rollouts(config, "small")]
    assert arms["rl"]["rollouts"] == arms["base"]["entropies"] == []


def test_an_arm_is_evaluated_where_the_config_says():
    source = {"lab": {}, "limit": 10}
    config = config_with(
        benchmarks={"long": {"source": source}}, arms={"ours": {"evaluate": ["long"]}}
    )
    arms = manifest(config, "results/t")["arms"]
    assert list(arms["base"]["evaluation"]) == ["short", "long"]
    assert list(arms["ours"]["evaluation"]) == ["long"]


# --- the footprint analysis ---------------------------------------------------------------------


def analysed(**changes):
    section = {"teacher": "ours", "benchmark": "short", **changes}
    return config_with(selection={"tau": 1.0}, footprint=section)


def test_a_part_of_the_analysis_is_told_its_own_keys_alone():
    jobs = {
        "greedy": footprint.greedy_job,
        "decode": footprint.decode_job,
        "continuations": footprint.continuations_job,
        "capability": footprint.capability_job,
    }
    before = {name: job(analysed()) for name, job in jobs.items()}
    for change, touched in (
        ({"samples": 9}, set()),
        ({"pivotality": {"margin": 0.1}}, set()),
        ({"pivotality": {"positions": 9}}, {"continuations"}),
        ({"capability": {"samples": 9}}, {"capability"}),
        ({"top_tokens": 9}, {"decode"}),
        ({"tau": 2.0}, {"decode", "continuations"}),
        ({"problems": 9}, {"greedy", "decode"}),
        ({"interventions": 9}, {"decode"}),
    ):
        after = {name: job(analysed(**change)) for name, job in jobs.items()}
        assert {name for name in jobs if before[name] != after[name]} == touched


def test_the_analysis_names_its_files_and_how_to_get_it():
    found = footprint.manifest(analysed(pivotality=None), "results/t")
    assert found["tau"] == 1.0
    assert found["pivotality"] is None
    assert set(found["capability"]) == {"base", "ours"}
    assert "results/t/footprint/capability/base.parquet" in manifest_files(found)
    assert footprint.manifest(config_with(), "results/t") is None
    with pytest.raises(UserError, match="footprint: is null"):
        footprint.section(config_with())


def test_a_kept_stage_is_named_once_and_keeps_the_code_that_made_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paths = [f"results/kept/rollouts/main/{shard}.parquet" for shard in "ab"]
    for path in paths:
        tables.write(path, "rollouts", [], {"code": "before"})
    assert [recorded_code(path, "now") for path in [*paths, "no/such.parquet"]] == [
        *("before", "before", "now")
    ]
    said = capsys.readouterr().err
    assert said.count("freeze: results/kept/rollouts stays") == 1


@pytest.mark.parametrize(
    ("file", "edit", "said"),
    [
        ("grpo.smk", "rule grpo:\n", "{file}: the rule 'train_grpo' is missing"),
        (
            "merge.smk",
            "rule merge:\nrule merge_adapter:\nuse rule a as more with:\n",
            "stage 'merge': its rule 'more' in {file} is not in `rules`",
        ),
    ],
)
def test_a_forgotten_half_of_a_stage_names_the_other(tmp_path, file, edit, said):
    rules = tmp_path / "rules"
    shutil.copytree(ROOT / "workflow/rules", rules)
    (rules / file).write_text(edit)
    with pytest.raises(UserError, match=re.escape(said.format(file=rules / file))):
        check_stages(rules)


def test_the_whole_analysis_of_the_lab_has_what_the_claims_speak_of():
    config = load([ROOT / f"config/{name}.yaml" for name in ("config", "lab-seeds", "lab-full")])
    arms = manifest(config, "results/lab-full")["arms"]
    seeds = {line: len(members) for line, members in lines(arms).items()}
    five = ("reasonmaxxer", "random-gate", "all-tokens", "positive-only", "contrastive", "grpo")
    assert seeds == {**dict.fromkeys(five, 5), "grpo-lora": 3}
    assert all(config.benchmarks_of(arm) == list(config.benchmarks) for arm in five)
    assert main_of(arms) == "reasonmaxxer"
    assert len(controls(arms, {"selection.gate"}, "random")) == 5
    assert len(controls(arms, {"selection.advantages"}, "positive")) == 5
    thresholds = {f"selection.{key}" for key in THRESHOLDS}
    assert controls(arms, thresholds) == [
        *("tau", "top-fraction", "reasonmaxxer+entropy_share=0.5"),
        *(f"reasonmaxxer+entropy_share={share}" for share in (0.8, 0.99)),
        *(f"top-fraction+top_fraction={fraction}" for fraction in (0.02, 0.1)),
    ]
    assert len(controls(arms, {"selection.window"})) == 2
    swept = {key for arm, key in sweeps(arms) if arm == "reasonmaxxer"}
    assert swept >= {"selection.entropy_share", "selection.window"}
    assert sum(arm["kind"] == "distilled" for arm in arms.values()) == 8
    for seed in (43, 44, 45, 46):
        for arm in five[:-1]:
            for section in ("rollouts", "selection", "training"):
                assert config.section_of(f"{arm}+seed={seed}", section).seed == seed
        assert config.section_of(f"grpo+seed={seed}", "grpo").seed == seed


def test_what_an_arm_is_to_the_claims_comes_from_its_settings_whatever_its_name():
    names = {
        "reasonmaxxer": {"selection": {"tau": 1}},
        "random-gate": {"selection": {"gate": "all"}},
    }
    names |= {"dice": {"selection": {"gate": "random"}}, "grpo": {"training": {"rank": 4}}}
    names |= {"dice-4": {"selection": {"gate": "random"}, "training": {"rank": 4}}}
    arms = manifest(config_with(arms=names), "results/x")["arms"]
    assert main_of(arms) == "ours"  # the one that takes the run's sections as they are
    assert controls(arms, {"selection.gate"}, "random") == ["dice"]
    assert controls(arms, {"selection.gate"}) == ["random-gate", "dice"]
    assert controls(arms, {"selection.tau"}) == ["reasonmaxxer"]
    assert not is_rl(arms["grpo"])


def test_where_no_arm_is_plain_changes_are_counted_from_the_first():
    names = {"ours": {"selection": {"gate": "all"}}, "two": {"selection": {"gate": "random"}}}
    arms = manifest(config_with(arms=names), "results/x")["arms"]
    assert main_of(arms) == "ours"
    assert controls(arms, {"selection.gate"}, "random") == ["two"]
