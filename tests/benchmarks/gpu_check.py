"""Scorer and trainer on a GPU: do they agree with the CPU, how fast are they, what do they hold?

    python tests/benchmarks/gpu_check.py                # some 5 minutes on a GPU
    python tests/benchmarks/gpu_check.py --seconds 60   # of each section, at most

Every section is printed as a line of JSON as soon as it ends; one that fails says why, and the
next begins. Base models are made here from a shape, with random weights, so no file travels.
Without a GPU the sections that need none run, small.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "workflow")]
from scorer_trainer import LAB  # noqa: E402

SHAPES = {  # of Qwen2.5: hidden size, intermediate size, layers, heads, key and value heads
    "1.5B": (1536, 8960, 28, 12, 2),
    "7B": (3584, 18944, 28, 28, 4),
    "small": (64, 128, 2, 2, 1),
}
VOCABULARY = {"1.5B": 151_936, "7B": 152_064, "small": 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="of one run at most")
    seconds = parser.parse_args().seconds
    section("ceilings", _ceilings)
    for kind in ("score", "train"):
        section(f"lab {kind}, against the CPU", lambda kind=kind: _against_cpu(kind, seconds))
    section("head in bfloat16 against float64", _head)
    gpu = torch.cuda.is_available()
    for shape, kinds in _speeds(gpu).items():
        with tempfile.TemporaryDirectory() as folder:
            section(f"make {shape}", lambda shape=shape, folder=folder: make_base(shape, folder))
            for kind, settings in kinds:
                settings = settings | {"model": folder, "dtype": "bfloat16" if gpu else "float32"}
                section(
                    f"{shape} {kind} {settings['completion']}",
                    lambda kind=kind, settings=settings: _run(kind, settings, seconds),
                )


def _speeds(gpu: bool) -> dict[str, list[tuple[str, dict]]]:
    """The runs of each shape, the quick ones first."""
    if not gpu:
        short = _lengths(8, 10, 20)
        return {"small": [(k, short) for k in ("forward", "score", "train", "standin-train")]}
    realistic, long = _lengths(64, 300, 3000), _lengths(8, 8000, 8100)
    few = _lengths(16, 300, 3000)
    small = [("forward", realistic), ("score", realistic), ("train", few), ("train", long)]
    standins = [("standin-score", few), ("standin-train", few)]
    return {"1.5B": small + standins, "7B": [("score", few), ("train", few)]}


def _lengths(sequences: int, shortest: int, longest: int) -> dict:
    return {
        "sequences": sequences,
        "prompt": [60, 90],
        "completion": [shortest, longest],
        "batch_tokens": 8192,
    }


def section(name: str, work) -> None:
    """Print what `work` gives, or why it failed, as a line of JSON."""
    started = time.perf_counter()
    try:
        result = work()
    except Exception as error:  # the next section is still worth running
        result = {"failed": f"{type(error).__name__}: {error}"[-600:]}
    result = {"section": name, "seconds": round(time.perf_counter() - started, 1), **result}
    print(json.dumps(result), flush=True)


def _ceilings() -> dict:
    """What this card copies and multiplies at most."""
    if not torch.cuda.is_available():
        return {"device": "cpu"}
    size = 8192
    a = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    large = torch.empty(2**32, dtype=torch.uint8, device="cuda")
    copied = torch.empty_like(large)
    return {
        "device": torch.cuda.get_device_name(),
        "capability": torch.cuda.get_device_capability(),
        "torch": torch.__version__,
        "tflops": 2 * size**3 / _seconds(lambda: a @ a) / 1e12,
        "terabytes_per_second": 2 * 2**32 / _seconds(lambda: copied.copy_(large)) / 1e12,
    }


def _seconds(work, times: int = 20) -> float:
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(times):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / times


def _worker(kind: str, settings: dict, seconds: int, **environment: str) -> dict:
    command = [sys.executable, str(HERE / "scorer_trainer.py"), "--worker", kind]
    done = subprocess.run(
        [*command, json.dumps({"threads": os.cpu_count()} | settings)],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-500:])
    return json.loads(done.stdout.splitlines()[-1])


def _run(kind: str, settings: dict, seconds: int) -> dict:
    result = _worker(kind, settings, seconds)
    return {key: round(result[key]) for key in ("tokens", "tokens_per_second", "peak_mb")}


def _against_cpu(kind: str, seconds: int) -> dict:
    """Largest difference of the lab's entropies or losses between this device and the CPU."""
    settings = LAB if torch.cuda.is_available() else LAB | {"sequences": 16}
    ours = _worker(kind, settings, seconds)["values"]
    theirs = _worker(kind, settings, seconds, CUDA_VISIBLE_DEVICES="")["values"]
    pairs = list(zip(ours, theirs, strict=True))
    return {
        "values": len(pairs),
        "most_difference": max(abs(a - b) for a, b in pairs),
        "most_relative": max(abs(a - b) / max(abs(b), 1e-6) for a, b in pairs),
    }


def _head() -> dict:
    """Entropies of the 1.5B's output layer, by our tiles in bfloat16 and whole in float64."""
    from reasonmaxxer.modeling.lm_head import Head, score

    device = "cuda" if torch.cuda.is_available() else "cpu"
    width, vocabulary = (1536, VOCABULARY["1.5B"]) if device == "cuda" else (64, 1000)
    generator = torch.Generator(device).manual_seed(0)
    draw = {"generator": generator, "device": device}
    weight = (torch.randn(vocabulary, width, **draw) * 0.06).bfloat16()
    hidden = torch.randn(256, width, **draw).bfloat16()
    ids = torch.randint(0, vocabulary, (256,), **draw)
    scores = score(Head(weight, None), hidden, ids, 5)
    logprobs = torch.log_softmax(hidden.double() @ weight.double().T, -1)
    entropy = -(logprobs.exp() * logprobs).sum(-1)
    logprob = logprobs.gather(1, ids[:, None]).squeeze(1)
    return {
        "mean_entropy": entropy.mean().item(),
        "entropy_difference": (scores.entropy - entropy).abs().max().item(),
        "logprob_difference": (scores.logprob - logprob).abs().max().item(),
    }


def make_base(shape: str, folder: str, sharpness: float | None = None) -> dict:
    """Save a base of a shape with random weights.

    Its logits are `sharpness` times those of a head of its own: one that shares the embedding's
    random weights would only repeat the last token.
    """
    from transformers import Qwen2Config, Qwen2ForCausalLM

    hidden, intermediate, layers, heads, kv_heads = SHAPES[shape]
    config = Qwen2Config(
        vocab_size=VOCABULARY[shape],
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=16_384,
        tie_word_embeddings=shape == "1.5B" and sharpness is None,
        dtype="bfloat16",
    )
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = Qwen2ForCausalLM(config)
        model.model.norm.weight.data.mul_(sharpness or 1)
    finally:
        torch.set_default_dtype(torch.float32)
    model.save_pretrained(folder)
    parameters = model.num_parameters()
    del model
    torch.cuda.empty_cache()
    return {"parameters": parameters}


if __name__ == "__main__":
    main()
