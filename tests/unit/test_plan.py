"""The run as files: who shares what, and how work is cut into jobs."""

import json

import pytest
from test_config import minimal

from reasonmaxxer import plan
from reasonmaxxer.config import overlay, validate


def config_with(**changes):
    return validate(minimal(**changes))


def test_raising_k_adds_shards_and_keeps_the_others():
    sizes = {"samples_per_shard": 4, "problems_per_shard": 5}
    few = plan.rollout_shards(config_with(rollouts={**sizes, "samples": 4}))
    more = plan.rollout_shards(config_with(rollouts={**sizes, "samples": 8}))
    assert few == ["p0-4.s0-3", "p5-9.s0-3"]
    assert set(few) < set(more)
    jobs = [
        plan.rollouts_job(config_with(rollouts={**sizes, "samples": k}), "main", few[0])
        for k in (4, 8)
    ]
    assert jobs[0] == jobs[1]


def test_a_shard_name_reads_back():
    shard = plan.Shard(5, 5, 0, 4)
    assert plan.Shard.parse(shard.name) == shard


def test_raising_a_benchmarks_samples_keeps_full_shards():
    changes = {"evaluation": {"samples_per_shard": 4}}
    few = config_with(benchmarks={"short": {"samples": 4}}, **changes)
    more = config_with(benchmarks={"short": {"samples": 8}}, **changes)
    assert plan.evaluation_shards(few, "short") == ["s0-3"]
    assert plan.evaluation_shards(more, "short") == ["s0-3", "s4-7"]
    assert plan.evaluation_job(few, "short", "s0-3") == plan.evaluation_job(more, "short", "s0-3")


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
    origins = {arm: plan.selection_origin(config, arm) for arm in config.trained_arms}
    assert origins == {"ours": "main", "a": "a", "b": "a", "c": "main", "d": "d", "e": "e"}
    sampled = {arm: plan.rollouts_origin(config, arm) for arm in config.trained_arms}
    assert sampled == dict.fromkeys("abc", "main") | {"ours": "main", "d": "d", "e": "main"}


def test_a_benchmark_overlays_the_protocol_and_an_arm_cannot():
    config = config_with(benchmarks={"short": {"temperature": 0.0, "samples": 3}})
    sampling, samples = plan.protocol(config, "short")
    assert (sampling.temperature, sampling.top_p, samples) == (0.0, 0.95, 3)
    assert "evaluation" not in type(config.arms["ours"]).model_fields


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
    shard = plan.rollout_shards(before)[0]
    assert plan.rollouts_job(before, "main", shard) == plan.rollouts_job(after, "main", shard)


def test_the_manifest_names_every_table_of_every_arm():
    manifest = plan.manifest(config_with(), "results/t")
    assert manifest["arms"]["ours"]["evaluation"] == {
        "short": ["results/t/evaluation/ours/short/s0-0.parquet"]
    }
    assert manifest["arms"]["base"]["selection"] is None
    files = plan.manifest_files(manifest)
    assert "results/t/adapters/ours/choice.json" in files
    assert len(files) == len(set(files))
    assert json.dumps(manifest)
