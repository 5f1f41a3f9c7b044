"""What the page draws besides the table: distributions, curves, token counts, provenance."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.compute as pc

from .. import tables
from ..config import ModelConfig
from ..generation.prompts import load_tokenizer
from ..tables.artefacts import read_json
from ..tables.provenance import sha256
from .arms import main_of
from .cost import total_of
from .excerpts import TokenTexts, collect_disagreements, collect_pairs, collect_rollouts
from .footprint import files as footprint_files
from .results import Scores

BINS = 60
CURVES = ("step", "decision_loss", "anchor_loss", "positive_change", "negative_change")
CURVE_POINTS = 400  # of a training curve; longer logs are averaged in blocks
TRUNCATED_WARNING = 0.05
MEMORISED_WARNING = 0.05

# What the page has of the manifest's arms.
ARM_KEYS = ("title", "kind", "seed", "changed", "line", "swept")

Manifest = Mapping[str, Any]
Suite = Mapping[str, Mapping[str, Scores]]


def figures(manifest: Manifest, suite: Suite) -> dict[str, Any]:
    """Everything the report needs beyond metrics.json; small, whatever the run's size."""
    gates, main = gate_figures(manifest), main_of(manifest["arms"])
    shown = [row for row in gates if row["arm"] == main] or gates
    threshold = shown[0]["threshold"] if shown else None
    tokens = token_texts(manifest["model"])
    return {
        "run": manifest["run"],
        "model": manifest["model"]["path"],
        "arms": [
            {
                **{"name": name, **{key: arm.get(key) for key in ARM_KEYS}},
                "own_prompt": _own_prompt(name, arm.get("own_prompt"), suite),
            }
            for name, arm in manifest["arms"].items()
        ],
        "main": main,
        "benchmarks": [
            {"name": name, **settings, **_shown_problem(suite[name], tokens)}
            for name, settings in manifest["benchmarks"].items()
        ],
        "pool": pool_figures(manifest),
        "entropy": entropy_histogram(manifest, threshold),
        "gates": gates,
        "training": training_curves(manifest),
        "validation": validation_curves(manifest),
        "tokens": token_counts(manifest, suite),
        "rollouts": collect_rollouts(manifest, threshold, tokens),
        "pairs": collect_pairs(manifest, suite, threshold, tokens),
        "disagreements": collect_disagreements(manifest),
        "memorization": memorization(manifest),
        "warnings": warnings(manifest, suite, gates),
        "config": manifest.get("config"),
        "provenance": provenance_rows(manifest),
    }


def token_texts(model: Mapping[str, Any]) -> TokenTexts:
    place = {"path": model["path"], "revision": model.get("revision")}
    return TokenTexts(load_tokenizer(ModelConfig.model_validate(place)))


def _own_prompt(
    arm: str, prompt: Mapping[str, Any] | None, suite: Suite
) -> dict[str, str | None] | None:
    """The prompt of an arm that is shown under its own: the template, and the first one in full."""
    scores = next((of_arm[arm] for of_arm in suite.values() if arm in of_arm), None)
    if prompt is None or scores is None:
        return None
    shown = token_texts(prompt).whole(scores.prompts[0])
    return {"template": prompt["template"], "shown_prompt": shown}


def _shown_problem(arms: Mapping[str, Scores], tokens: TokenTexts) -> dict[str, Any]:
    """How many problems, and the prompt of the first as the models were shown it."""
    shared = next((s for s in arms.values() if not s.own_prompt), None)
    return {
        "problems": next((scores.problems for scores in arms.values()), 0),
        "shown_prompt": tokens.whole(shared.prompts[0]) if shared else "",
    }


# --- the pool ---------------------------------------------------------------------------------


def pool_figures(manifest: Manifest) -> dict[str, Any] | None:
    """Problems of the pool by number of correct rollouts, and rollouts by verdict."""
    if not manifest.get("verdicts"):
        return None
    columns = ["problem_id", "sample", "verdict"]
    table = tables.read_all(manifest["verdicts"], "verdicts", columns, manifest.get("samples"))
    drawn = Counter(table["problem_id"].to_pylist())
    correct = table.filter(pc.equal(table["verdict"], "correct"))
    right = Counter(correct["problem_id"].to_pylist())
    samples = max(drawn.values(), default=0)
    counts = Counter(round(right[name] / drawn[name] * samples) for name in drawn)
    return {
        "problems": len(drawn),
        "samples": samples,
        "counts": [counts[number] for number in range(samples + 1)],
    }


def entropy_histogram(manifest: Manifest, threshold: float | None) -> dict[str, Any] | None:
    """Positions of the base's rollouts by entropy, in bins of equal width over [0, maximum]."""
    if not manifest.get("entropies"):
        return None
    columns = ["sample", "entropy"]
    table = tables.read_all(manifest["entropies"], "entropies", columns, manifest.get("samples"))
    values = table["entropy"].to_numpy()
    if not len(values):
        return None
    top = max(float(values.max()), threshold or 0.0, 1e-6) * 1.0001
    counts, edges = np.histogram(values, bins=BINS, range=(0.0, top))
    above = float((values > threshold).mean()) if threshold is not None else None
    return {
        "edges": [round(float(edge), 5) for edge in edges],
        "counts": counts.tolist(),
        "positions": len(values),
        "threshold": threshold,
        "above": above,
    }


# --- training ---------------------------------------------------------------------------------


def gate_figures(manifest: Manifest) -> list[dict[str, Any]]:
    """Each trained arm's selection in figures, from its summary."""
    keys = (
        *("problems_mixed", "problems_kept", "rollouts_kept", "rollouts_trimmed", "truncated"),
        *("rollouts_without_advantage", "rollouts_without_decision"),
        *("positions_gated", "share_gated", "threshold", "near_threshold", "entropy_selected"),
        *("audit", "forecast_low", "forecast_high"),
    )
    found = []
    for arm, summary in _json_of(manifest, "selection_summary", "positions_gated"):
        config = summary.get("provenance", {}).get("config", {})
        gate = {key: config.get(key) for key in ("gate", "advantages")}
        found.append({"arm": arm, **gate, **{key: summary.get(key) for key in keys}})
    return found


def training_curves(manifest: Manifest) -> list[dict[str, Any]]:
    """Training logs as {arm, column: [values]}, thinned to a drawable number of points."""
    found = []
    for name, arm in manifest["arms"].items():
        if not arm.get("training"):
            continue
        log = tables.read(arm["training"], "training").to_pydict()
        found.append({"arm": name, "points": {key: _thinned(log[key]) for key in CURVES}})
    return found


def _thinned(values: Sequence[float | None]) -> list[float | None]:
    """Block means, at most CURVE_POINTS; a block without a finite value is a gap."""
    array = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    blocks = np.array_split(array, min(CURVE_POINTS, len(array))) if len(array) else []
    finite = [block[np.isfinite(block)] for block in blocks]
    return [float(f"{block.mean():.6g}") if len(block) else None for block in finite]


def validation_curves(manifest: Manifest) -> list[dict[str, Any]]:
    """Validation pass rate of each checkpoint with its interval, the chosen one marked."""
    return [
        {"arm": arm, "chosen": row["checkpoint"] == choice["chosen"], **row}
        for arm, choice in _json_of(manifest, "checkpoint", "chosen", "checkpoints")
        for row in choice["checkpoints"]
    ]


def _json_of(manifest: Manifest, key: str, *needed: str) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, read_json(arm[key], *needed))
        for name, arm in manifest["arms"].items()
        if arm.get(key)
    ]


# --- tokens, warnings, provenance -------------------------------------------------------------


def token_counts(manifest: Manifest, suite: Suite) -> dict[str, Any]:
    """Completion tokens that each stage made or read, by arm where arms differ."""
    trained = [arm for arm in manifest["arms"].values() if arm["kind"] == "trained"]
    sampled, scored = (
        {*manifest[stage], *(path for arm in trained for path in arm[stage])}
        for stage in ("rollouts", "entropies")
    )
    evaluation: Counter[str] = Counter()
    for arms in suite.values():
        for arm, scores in arms.items():
            evaluation[arm] += int(scores.lengths.sum())
    training = {
        name: total_of(arm["training"], "training", "tokens")
        for name, arm in manifest["arms"].items()
        if arm["kind"] == "trained" and arm["training"]
    }
    return {
        "rollouts": sum(
            int(pc.sum(pc.list_value_length(batch["token_ids"])).as_py() or 0)
            for path in sampled
            for batch in tables.iter_batches(path, "rollouts", ["token_ids"])
        ),
        "entropies": sum(tables.num_rows(path, "entropies") for path in scored),
        "training": training,
        "evaluation": dict(evaluation),
    }


def warnings(manifest: Manifest, suite: Suite, gates: Sequence[dict[str, Any]]) -> list[str]:
    """What a reader should know before believing the table."""
    found = [*converted(manifest), *left_out(manifest), *audit_warnings(gates)]
    found += collapses(manifest)
    found += [
        f"{benchmark}: the base completes {len(entry['completed'])} of {entry['problems']} "
        "problems verbatim; it may know them by heart"
        for benchmark, entry in (memorization(manifest) or {}).get("benchmarks", {}).items()
        if len(entry["completed"]) > MEMORISED_WARNING * entry["problems"]
    ]
    for benchmark, arms in suite.items():
        for arm, scores in arms.items():
            where = f"{arm} on {benchmark}"
            cut, late = float(scores.truncated.mean()), int(scores.timeout.sum())
            if cut > TRUNCATED_WARNING:
                limit = manifest["benchmarks"][benchmark]["max_tokens"]
                found.append(
                    f"{where}: {cut:.0%} of completions were cut off by the token limit ({limit})"
                )
            if late:
                found.append(f"{where}: the verifier gave up on {late} answers in time")
            if not scores.parsed.any():
                found.append(f"{where}: no completion has an answer that can be read")
    return list(dict.fromkeys(found))


def converted(manifest: Manifest) -> list[str]:
    """That the base is what a GGUF file holds, which is rounded."""
    gguf = manifest.get("config", {}).get("model", {}).get("gguf")
    if not gguf:
        return []
    return [
        f"the base was converted from {gguf}: its weights are those that the file was rounded to, "
        "so its figures are not the published checkpoint's"
    ]


def audit_warnings(gates: Sequence[dict[str, Any]]) -> list[str]:
    """What the scorer's audit found, once for all arms that share the rollouts."""
    arms: dict[str, list[str]] = {}
    for row in gates:
        for text in (row["audit"] or {}).get("warnings", []):
            arms.setdefault(text, []).append(row["arm"])
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {text}"
        for text, names in arms.items()
    ]


def collapses(manifest: Manifest) -> list[str]:
    """Arms of which some checkpoint, or every one, had lost the base's way of giving an answer."""
    found = []
    for arm, choice in _json_of(manifest, "checkpoint"):
        base, *rows = choice["checkpoints"]
        lost = [row for row in rows if row["collapsed"]]
        fell = f"parseable answers on validation fell from {base['parseable']:.0%} to"
        chosen = f"checkpoint {choice['chosen']}"
        if choice.get("collapsed"):
            best = max(row["parseable"] for row in lost)
            found.append(
                f"{arm}: collapsed at every checkpoint ({fell} {best:.0%} at most); its figures "
                f"are those of {chosen}, the best of them"
            )
        elif lost:
            found.append(
                f"{arm}: collapsed at checkpoint {lost[0]['checkpoint']} of {len(rows)} ({fell} "
                f"{lost[0]['parseable']:.0%}); {chosen} was chosen"
            )
    return found


def memorization(manifest: Manifest) -> dict[str, Any] | None:
    """What the stage of that name found: the tail's share, and problems by benchmark."""
    path, keys = manifest.get("memorization"), ("tail", "benchmarks")
    return {k: v for k, v in read_json(path, *keys).items() if k in keys} if path else None


def left_out(manifest: Manifest) -> list[str]:
    """Problems that were dropped on the way: bad references, doubles, overlaps between splits."""
    found = []
    for split, path in manifest.get("problems", {}).items():
        made_by = tables.provenance_of(path, "problems")
        bad = len(made_by.get("bad_references", {}))
        reasons = {
            "whose reference does not verify against itself": bad,
            "that stood there twice": made_by.get("doubles", 0),
            **{f"that stand in {name}": n for name, n in made_by.get("overlap", {}).items()},
        }
        found += [
            f"{split}: left out {n} problem{'s' if n != 1 else ''} {why}"
            for why, n in reasons.items()
            if n
        ]
    return found


def provenance_rows(manifest: Manifest) -> list[dict[str, Any]]:
    """Every table of the run: what made it, under which config and versions, its checksum."""
    pool, own = ("rollouts", "verdicts", "entropies"), ("selection", "training", "validation")
    files = [(path, name) for name in pool for path in manifest.get(name, [])]
    files += [(path, "problems") for path in manifest.get("problems", {}).values()]
    for arm in manifest["arms"].values():
        files += [(arm[name], name) for name in own if arm.get(name)]
        files += [(path, "evaluation") for shards in arm["evaluation"].values() for path in shards]
    files += footprint_files(manifest.get("footprint"))
    keys = ("stage", "config", "code", "seed", "versions")
    found = []
    for path, name in dict.fromkeys((str(path), name) for path, name in files):
        made_by = tables.provenance_of(path, name)
        found.append(
            {"file": path, **{key: made_by.get(key) for key in keys}, "sha256": sha256(path)}
        )
    return sorted(found, key=lambda row: row["file"])
