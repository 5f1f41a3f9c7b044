"""Training goes the right way, resumes to the bit, and its adapters load in PEFT."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import reference
import rollout_rows
import torch
from reference_checks import trainer_of
from safetensors.torch import load_file
from tqdm import tqdm

from reasonmaxxer import tables
from reasonmaxxer.config import EntropiesConfig, ModelConfig, TrainingConfig, load
from reasonmaxxer.errors import UserError
from reasonmaxxer.modeling import hidden_states as base_states
from reasonmaxxer.modeling.base_model import load_base, lora_config
from reasonmaxxer.stages import entropies, training
from reasonmaxxer.training.dataset import read_rollouts, training_steps
from reasonmaxxer.training.loss import Rollout
from reasonmaxxer.training.lr_schedule import checkpoint_steps, learning_rate

QUICK = {"rank": 4, "alpha": 8, "warmup_steps": 2, "learning_rate": 0.005, "batch_size": 4}

SHORT = {"sequences": 20, "batch_size": 8, "warmup_steps": 0, "checkpoints": 1}


def _selection(path, count=12, seed=0, vocabulary=reference.VOCABULARY, **changes) -> Path:
    rng = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        completion = int(rng.integers(4, 14))
        chosen = np.flatnonzero(rng.random(completion) < 0.3)
        rows.append(
            {
                "problem_id": f"p{index // 4}",
                "sample": index % 4,
                "prompt_token_ids": rng.integers(0, vocabulary, rng.integers(2, 6)).tolist(),
                "token_ids": rng.integers(0, vocabulary, completion).tolist(),
                "reward": float(index % 2),
                "pass_rate": 0.5,
                "advantage": (advantage := 1.0 if index % 2 else -1.0),
                "advantages": [advantage] * len(chosen),
                "positions": chosen.tolist(),
                "selected_entropy": 1.0,
            }
            | changes
        )
    tables.write(path, "selection", rows)
    return path


def _train(folder, model, selection, files=2, **config):
    names = _run(folder, model, selection, files, **config)
    return names, tables.read(folder / "log.parquet", "training").to_pylist()


def _run(folder, model, selection, files=2, **config):
    folder.mkdir(exist_ok=True)
    names = [folder / f"checkpoint-{i}.safetensors" for i in range(1, files + 1)]
    training.run(
        selection=selection,
        model=ModelConfig(path=str(model), dtype="float32"),
        config=TrainingConfig(**(QUICK | {"sequences": 48, "checkpoints": files} | config)),
        out_log=folder / "log.parquet",
        checkpoints=names,
        scratch=folder / "scratch",
        batch_tokens=4096,
    )
    return names


@pytest.fixture(autouse=True)
def one_thread():
    """Training promises the same bits at the same number of threads: one, here and in forks."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return reference.save_tiny(tmp_path_factory.mktemp("model"))


# --- what training does -----------------------------------------------------------------------


def _mean_logprobs(model, adapter, rollouts):
    """Of decision tokens by sign of advantage, and the mean KL elsewhere, in float64."""
    exact = reference.load(model)
    sums: dict[str, list[float]] = {"up": [], "down": [], "kl": []}
    for rollout in rollouts:
        ids = rollout.ids.tolist()
        base = reference.logits(exact, ids)
        adapted = reference.logits(exact, ids, adapter)
        for t in range(1, len(ids)):
            change = (
                reference.probabilities(adapted[t - 1])[ids[t]].log()
                - reference.probabilities(base[t - 1])[ids[t]].log()
            ).item()
            if t - rollout.prompt_length in rollout.positions:
                sums["up" if rollout.advantages[0] > 0 else "down"].append(change)
            else:
                sums["kl"].append(reference.divergence(base[t - 1], adapted[t - 1]).item())
    return {name: float(np.mean(values)) for name, values in sums.items()}


def test_positive_tokens_rise_negative_ones_fall_and_the_rest_stays(tmp_path, model):
    selection = _selection(tmp_path / "s.parquet")
    names, log = _train(tmp_path / "run", model, selection, sequences=240, anchor_weight=5.0)
    adapter = reference.Adapter.from_peft(load_file(names[-1]), scale=2.0)
    after = _mean_logprobs(model, adapter, read_rollouts(selection))
    assert after["up"] > 1
    assert after["down"] < -1
    assert 0 < after["kl"] < 0.15
    assert log[-1]["positive_change"] > 1 and log[-1]["negative_change"] < -1
    assert log[-1]["decision_loss"] < log[0]["decision_loss"]


def test_without_the_anchor_the_rest_drifts_further(tmp_path, model):
    selection = _selection(tmp_path / "s.parquet")
    drift = []
    for weight in (5.0, 0.0):
        folder = tmp_path / str(weight)
        names, _ = _train(folder, model, selection, sequences=120, anchor_weight=weight)
        adapter = reference.Adapter.from_peft(load_file(names[-1]), scale=2.0)
        drift.append(_mean_logprobs(model, adapter, read_rollouts(selection))["kl"])
    assert drift[0] < drift[1] / 2


def test_the_log_has_a_row_a_step(tmp_path, model):
    _, log = _train(tmp_path / "run", model, _selection(tmp_path / "s.parquet"), sequences=22)
    assert [row["step"] for row in log] == [1, 2, 3, 4, 5, 6]
    assert [row["sequences"] for row in log] == [4, 4, 4, 4, 4, 2]
    assert log[-1]["epoch"] == pytest.approx(22 / 12)
    assert log[0]["learning_rate"] == 0
    assert all(row["tokens_per_second"] > 0 and row["peak_memory_mb"] > 0 for row in log)
    assert log[0]["loss"] == pytest.approx(
        log[0]["decision_loss"] + 0.2 * log[0]["anchor_loss"], abs=1e-6
    )


def test_a_checkpoint_loads_in_peft_and_gives_the_trained_model(tmp_path, model):
    from peft import PeftModel
    from safetensors.torch import save_file

    names, _ = _train(tmp_path / "run", model, _selection(tmp_path / "s.parquet"))
    tensors = load_file(names[-1])
    folder = tmp_path / "adapter"
    lora_config(TrainingConfig(**QUICK), str(model)).save_pretrained(folder)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    base = load_base(str(model), ModelConfig(path=str(model), dtype="float32"))
    loaded = PeftModel.from_pretrained(base.model, folder)
    ids = [3, 1, 4, 1, 5, 9, 2, 6]
    with torch.no_grad():
        found = loaded(input_ids=torch.tensor([ids])).logits[0].double()
    adapter = reference.Adapter.from_peft(tensors, scale=2.0)
    expected = reference.logits(reference.load(model), ids, adapter)
    assert torch.allclose(found, expected.detach(), atol=1e-4)
    assert not torch.allclose(found, reference.logits(reference.load(model), ids), atol=1e-2)


def test_a_resumed_run_keeps_to_the_states_that_it_stored(tmp_path, model, monkeypatch):
    rollouts = read_rollouts(_selection(tmp_path / "s.parquet"))
    base = load_base(str(model), ModelConfig(path=str(model), dtype="float32"))
    trainer = training.Trainer(base, rollouts, TrainingConfig(**QUICK))
    steps = [range(12), range(12)]
    found = []
    for fits in (True, False):  # the states themselves have taken the space
        monkeypatch.setattr(training, "fits_on_disk", lambda *_, fits=fits: fits)
        found.append(training.base_states(trainer, steps, [], tmp_path, 4096))
    assert [type(states) for states in found] == [base_states.StoredStates] * 2


def test_what_a_cpu_began_goes_on_on_a_gpu(tmp_path, model):
    """There are no random numbers of a GPU in what it saved; the weights go where the model is."""
    rollouts = read_rollouts(_selection(tmp_path / "s.parquet"))
    steps = training_steps(rollouts, TrainingConfig(**QUICK, sequences=8, checkpoints=1))

    def trainer():
        base = load_base(str(model), ModelConfig(path=str(model), dtype="float32"))
        return training.Trainer(base, rollouts, TrainingConfig(**QUICK, sequences=8, checkpoints=1))

    began = trainer()
    began.fit(steps, tmp_path, 4096)
    went_on = trainer()
    went_on.base.device = torch.device("cuda")  # it is loaded only: no GPU is needed
    done, log = went_on._load(tmp_path)
    assert (done, len(log)) == (2, 2)
    for one, other in zip(began.parameters.values(), went_on.parameters.values(), strict=True):
        assert torch.equal(one, other)


def test_stored_base_states_train_the_same_adapter(tmp_path, model, monkeypatch):
    selection = _selection(tmp_path / "s.parquet")
    stored, _ = _train(tmp_path / "stored", model, selection)
    monkeypatch.setattr(training, "fits_on_disk", lambda *_: False)
    live, _ = _train(tmp_path / "live", model, selection)
    a, b = load_file(stored[-1]), load_file(live[-1])
    assert all(torch.allclose(a[name], b[name], atol=1e-4) for name in a)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_states_that_the_scorer_kept_are_those_of_the_base(tmp_path, model, monkeypatch, dtype):
    monkeypatch.setattr(entropies, "PART_TOKENS", 40)  # so that several parts are joined
    rollouts = read_rollouts(_selection(tmp_path / "s.parquet"))
    path = _score(tmp_path, rollouts, model, dtype)
    base = load_base(str(model), ModelConfig(path=str(model), dtype=dtype))
    trainer = training.Trainer(base, rollouts, TrainingConfig(**QUICK))
    kept = base_states.StoredStates(base, rollouts, [path])
    batch = base.pack([rollouts[i].ids for i in (7, 2, 11)])
    found, expected = kept.hidden([7, 2, 11], batch), trainer.base_states.hidden([7, 2, 11], batch)
    assert found.dtype == base.dtype
    for ours, theirs in zip(batch.split(found), batch.split(expected), strict=True):
        gap = (ours - theirs).float().norm()
        assert gap < (1e-5 if dtype == "float32" else 0.02) * theirs.float().norm()


def test_states_of_other_rollouts_or_models_are_an_error(tmp_path, model):
    rollouts = read_rollouts(_selection(tmp_path / "s.parquet"))
    path = _score(tmp_path, rollouts[:-1], model, "float32")
    base = load_base(str(model), ModelConfig(path=str(model), dtype="float32"))
    with pytest.raises(UserError, match=r"no states of problem 'p2', sample 3"):
        base_states.StoredStates(base, rollouts, [path])
    other = load_base(str(model), ModelConfig(path=str(model), dtype="bfloat16"))
    with pytest.raises(UserError, match=r"they belong to another model"):
        base_states.StoredStates(other, rollouts[:-1], [path])
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a readable safetensors file"):
        base_states.StoredStates(base, rollouts, [path])


def _score(tmp_path, rollouts, model, dtype) -> Path:
    """The file of states that the scorer keeps for these rollouts."""
    rows = []
    for one in rollouts:
        prompt, completion = np.split(one.ids, [one.prompt_length])
        rows.append(
            rollout_rows.rollout(prompt.tolist(), completion.tolist(), one.problem, one.sample)
        )
    tables.write(tmp_path / "rollouts.parquet", "rollouts", rows)
    entropies.run(
        rollouts=tmp_path / "rollouts.parquet",
        model=ModelConfig(path=str(model), dtype=dtype),
        config=EntropiesConfig(),
        out=tmp_path / "entropies.parquet",
        scratch=tmp_path / "scratch",
        batch_tokens=64,
        states_out=tmp_path / "states.safetensors",
    )
    return tmp_path / "states.safetensors"


def test_gradients_do_not_depend_on_the_micro_batches(tmp_path, model):
    rollouts = read_rollouts(_selection(tmp_path / "s.parquet"))
    found = []
    for batch_tokens in (1, 40, 4096):
        base = load_base(str(model), ModelConfig(path=str(model), dtype="float32"))
        trainer = training.Trainer(base, rollouts, TrainingConfig(**QUICK))
        trainer.accumulate(range(12), batch_tokens)
        found.append(torch.cat([p.grad.flatten() for p in trainer.parameters.values()]))
    for other in found[1:]:
        assert (found[0] - other).norm() < 1e-5 * found[0].norm()


def test_recomputed_activations_give_the_same_gradients(tmp_path, model):
    rollouts = read_rollouts(_selection(tmp_path / "s.parquet"))
    found = []
    for recomputed in (False, True):
        base = load_base(str(model), ModelConfig(path=str(model), dtype="float32"))
        trainer = training.Trainer(base, rollouts, TrainingConfig(**QUICK))
        if recomputed:
            trainer.recompute_activations()
        trainer.accumulate(range(12), 4096)
        found.append(torch.cat([p.grad.flatten() for p in trainer.parameters.values()]))
    assert found[0].any() and torch.equal(*found)


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
def test_a_large_models_activations_are_computed_again(tmp_path, model, monkeypatch, large):
    base = load_base(str(model), ModelConfig(path=str(model), dtype="float32"))
    size = base.model.num_parameters()
    limit = size // 2 if large else 2 * size
    monkeypatch.setattr("reasonmaxxer.training.trainer.RECOMPUTE_FROM", limit)
    training.Trainer(base, read_rollouts(_selection(tmp_path / "s.parquet")), TrainingConfig())
    assert base.model.is_gradient_checkpointing == large


@pytest.mark.parametrize(
    "config",
    [{}, {"max_grad_norm": 0.01}, {"weight_decay": 0.3}, {"advantage_clip": 0.5}],
    ids=["plain", "clipped-gradient", "weight-decay", "clipped-advantage"],
)
def test_a_step_is_adamw_on_the_clipped_gradient_of_the_reference(model, config):
    sequences = [
        reference.Sequence([3, 1, 4], [1, 5, 9, 2, 6], [1.3] * 2, [0, 2]),
        reference.Sequence([5, 3], [5, 8, 9, 7, 9, 3], [-0.8] * 2, [1, 5]),
    ]
    trainer = trainer_of(model, sequences, learning_rate=0.01, warmup_steps=0, **config)
    adapter = reference.Adapter.from_peft(trainer.adapter.tensors(), scale=2.0)
    total, *_ = reference.loss(
        reference.load(model), adapter, sequences, 0.2, clip=trainer.config.advantage_clip
    )
    total.backward()
    gradients = adapter.gradients()
    norm = torch.stack([g.norm() for g in gradients.values()]).norm()
    before = {name: p.detach().double() for name, p in trainer.parameters.items()}
    row = trainer.step([0, 1], 1, 1, 4096)
    assert row["gradient_norm"] == pytest.approx(norm.item(), rel=1e-4)
    clip, decay = trainer.config.max_grad_norm, trainer.config.weight_decay
    for name, parameter in trainer.parameters.items():
        gradient, state = (
            gradients[name] * min(1.0, clip / norm),
            trainer.optimiser.state[parameter],
        )
        moments = state["exp_avg"].double(), state["exp_avg_sq"].double()
        assert (moments[0] - 0.1 * gradient).norm() < 1e-4 * 0.1 * gradient.norm() + 1e-9
        assert (moments[1] - 0.001 * gradient**2).norm() < 1e-3 * (
            0.001 * gradient**2
        ).norm() + 1e-12
        step = (moments[0] / 0.1) / ((moments[1] / 0.001).sqrt() + 1e-8)
        expected = before[name] - 0.01 * (step + decay * before[name])
        assert torch.allclose(parameter.double(), expected, atol=1e-6), name


@pytest.mark.parametrize("kind", ["Llama", "Qwen2"])
def test_bfloat16_models_train(tmp_path, kind):
    folder = reference.save_tiny(tmp_path / "model", kind)
    rollouts = read_rollouts(_selection(tmp_path / "s.parquet"))
    base = load_base(str(folder), ModelConfig(path=str(folder), dtype="bfloat16"))
    trainer = training.Trainer(base, rollouts, TrainingConfig(**QUICK))
    rows = [trainer.step(range(12), n, 40, 4096) for n in range(1, 31)]
    assert rows[-1]["positive_change"] > 0.1 and rows[-1]["negative_change"] < -0.1
    assert all(p.dtype == torch.float32 for p in trainer.parameters.values())


# --- resuming and several processes -----------------------------------------------------------


def _run_in_a_process(environment=None, **arguments) -> multiprocessing.Process:
    """A real process that can be killed; forked, since to start Python anew takes far longer."""

    def target() -> None:
        os.environ.update(environment or {})
        # tqdm's lock is shared with the parent, which would wait for a killed child for ever.
        tqdm.set_lock(threading.RLock())
        _run(**arguments)

    process = multiprocessing.get_context("fork").Process(target=target)
    process.start()
    return process


def test_a_killed_run_resumes_to_the_same_bits(tmp_path, model, monkeypatch):
    selection = _selection(tmp_path / "s.parquet", count=10)
    arguments = {"model": model, "selection": selection, "sequences": 160, "dropout": 0.1}
    _train(tmp_path / "whole", **arguments)

    process = _run_in_a_process(folder=tmp_path / "broken", **arguments)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "broken" / "scratch").glob("*/state.safetensors")):
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not list((tmp_path / "broken").glob("*.safetensors"))

    taken, step = [], training.Trainer.step
    monkeypatch.setattr(
        training.Trainer, "step", lambda self, *a: taken.append(a[1]) or step(self, *a)
    )
    _train(tmp_path / "broken", **arguments)
    assert 0 < len(taken) < 40  # it went on where it had been saved
    for name in ("checkpoint-1.safetensors", "checkpoint-2.safetensors"):
        broken, whole = (tmp_path / run / name for run in ("broken", "whole"))
        assert broken.read_bytes() == whole.read_bytes()
    columns = ["step", "loss", "decision_loss", "anchor_loss", "gradient_norm", "learning_rate"]
    logs = [
        tables.read(tmp_path / run / "log.parquet", "training", columns)
        for run in ("whole", "broken")
    ]
    assert logs[0].equals(logs[1])
    assert not any((tmp_path / "broken" / "scratch").iterdir())


def test_two_processes_share_the_work_and_train_what_one_does(tmp_path, model, monkeypatch):
    selection = _selection(tmp_path / "s.parquet", count=10)
    arguments = {"model": model, "selection": selection, "sequences": 16}
    _train(tmp_path / "one", **arguments)
    loss = training.Trainer.loss

    def witnessed(self, indices):
        (tmp_path / f"rank-{self.processes.rank}").touch()
        return loss(self, indices)

    monkeypatch.setattr(training.Trainer, "loss", witnessed)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        _run_in_a_process(group | {"RANK": str(rank)}, folder=tmp_path / "two", **arguments)
        for rank in (0, 1)
    ]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert (tmp_path / "rank-0").exists() and (tmp_path / "rank-1").exists()
    for name in ("checkpoint-1.safetensors", "checkpoint-2.safetensors"):
        one, two = load_file(tmp_path / "one" / name), load_file(tmp_path / "two" / name)
        assert all(torch.allclose(one[key], two[key], atol=1e-4) for key in one)


# --- the plan of a run ------------------------------------------------------------------------


def _rollouts(count: int, advantages=None) -> list[Rollout]:
    values = advantages or [1.0] * count
    counts = [i % 5 + 1 for i in range(count)]
    return [
        Rollout(np.arange(10), 2, np.full(d, a, np.float32), np.arange(d))
        for d, a in zip(counts, values, strict=True)
    ]


def test_epochs_repeat_in_new_orders_up_to_the_number_of_sequences():
    steps = training_steps(_rollouts(10), TrainingConfig(**SHORT | {"sequences": 25}))
    assert [len(step) for step in steps] == [8, 8, 8, 1]
    order = [i for step in steps for i in step]
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert order[:10] != order[10:20]


def test_of_a_longer_selection_a_random_part_trains():
    config = TrainingConfig(**SHORT)
    order = [i for step in training_steps(_rollouts(100), config) for i in step]
    assert len(set(order)) == 20
    assert max(order) > 20
    other = TrainingConfig(**SHORT, seed=7)
    assert order != [i for step in training_steps(_rollouts(100), other) for i in step]


def test_order_by_magnitude_is_that_of_the_released_scripts():
    # |A| x share of decisions: 1/8, 6/8, 1.5/8, 8/8
    rollouts = _rollouts(4, [1.0, -3.0, 0.5, -2.0])
    config = TrainingConfig(
        sequences=8, batch_size=4, warmup_steps=0, checkpoints=1, order="magnitude"
    )
    assert training_steps(rollouts, config) == [[3, 1, 2, 0], [3, 1, 2, 0]]


@pytest.mark.parametrize(
    ("step", "decay", "share"),
    [(1, None, 0.0), (26, None, 0.5), (51, None, 1.0), (125, None, 1 / 75), (150, 200, 0.34)],
)
def test_the_rate_warms_up_and_decays_as_published(step, decay, share):
    # 125 steps, 50 of warm-up; the scripts decay to step 200 and leave off at 34% of the peak
    config = TrainingConfig(decay_steps=decay)
    assert learning_rate(step, 125, config) == pytest.approx(share * 1e-4)


def test_checkpoints_are_evenly_spaced_and_end_with_training():
    config = TrainingConfig(sequences=1000, batch_size=8, checkpoints=4)
    assert checkpoint_steps(config) == [31, 62, 94, 125]


def test_the_overlay_of_the_released_scripts_runs_their_149_steps():
    root = Path(__file__).parents[2] / "config"
    scripts = load([root / "config.yaml", root / "released-scripts.yaml"])
    assert checkpoint_steps(scripts.training)[-1] == 149
    assert learning_rate(150, 149, scripts.training) / 1e-4 == pytest.approx(0.34)
    assert scripts.selection.trim_longest == 0.2


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "config", "message"),
    [
        ({"positions": [3, 40]}, {}, "positions: outside the completion"),
        ({"token_ids": [5, 97], "positions": [0]}, {}, "token id 97 is outside"),
        ({"prompt_token_ids": []}, {}, "prompt_token_ids: is empty"),
        (
            {},
            {"target_modules": ["q_proj", "qkv"]},
            r"training\.target_modules: qkv: .*it has .*q_proj",
        ),
        ({}, {"checkpoints": 3}, r"training\.checkpoints: 3, but --checkpoints names 2 files"),
    ],
    ids=["position", "id", "prompt", "target", "checkpoints"],
)
def test_what_cannot_be_trained_is_an_error_before_weights_are_read(
    tmp_path, changes, config, message
):
    folder = reference.save_tiny(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=message):
        _train(tmp_path / "run", folder, _selection(tmp_path / "s.parquet", **changes), **config)


def test_an_empty_selection_is_an_error(tmp_path, model):
    with pytest.raises(UserError, match="no rollouts to train on"):
        _train(tmp_path / "run", model, _selection(tmp_path / "s.parquet", count=0))


def test_a_diverged_run_names_the_last_good_checkpoint(tmp_path, model):
    selection = _selection(tmp_path / "s.parquet")
    with pytest.raises(
        UserError, match=r"has diverged; the last good checkpoint is .*checkpoint-\d\.safe"
    ):
        _train(tmp_path / "run", model, selection, files=12, learning_rate=1e30)
    kept = list((tmp_path / "run" / "scratch").glob("*/checkpoint-*.safetensors"))
    assert kept
    for path in kept:
        assert all(torch.isfinite(tensor).all() for tensor in load_file(path).values())
