"""The modules whose code is in each stage's key: a change there runs the stage again.

The table is written by hand on purpose: a stage that gains a module is run again by edits that it
was safe from before, so that somebody should have decided it.
"""

import pytest

from reasonmaxxer.registry import STAGES
from reasonmaxxer.tables.code_hash import reached

# What several stages share. `verifier` stands for all modules of that folder, which is one judge.
MODEL = "datasets.sources modeling.base_model modeling.device"
SCORER = f"{MODEL} modeling.cpu_kernels modeling.lm_head modeling.packing"
TRAINER = (
    f"{SCORER} modeling.dimensions modeling.hidden_states modeling.lora training.checkpoints "
    "training.dataset "
    "method.objectives training.loss training.lr_schedule training.trainer"
)
ENGINE = "datasets.sources generation.engine generation.prompts modeling.device"
TEACHER = f"{SCORER} generation.engine generation.teacher"

KEYS = {
    "convert": "",
    "problems": "datasets.readers datasets.sources lab.generator lab.traces lab.world",
    "decontaminate": "datasets.overlap",
    "preflight": "datasets.sources generation.prompts modeling.base_model",
    "rollouts": ENGINE,
    "verdicts": "verifier analysis.effects method.verifiers",
    "entropies": f"{SCORER} modeling.hidden_states",
    "selection": "method.advantages method.credit method.forecast method.gates",
    "training": TRAINER,
    "grpo": f"{MODEL} verifier method.verifiers generation.prompts modeling.dimensions "
    "modeling.flops training.checkpoints training.lr_schedule",
    "distillation": TRAINER,
    "checkpoint": f"{ENGINE} verifier method.verifiers analysis.statistics modeling.base_model "
    "stages.rollouts stages.verdicts training.lr_schedule",
    "evaluation": f"{ENGINE} stages.rollouts",
    "side_by_side": f"{SCORER} analysis.pairs analysis.results stages.entropies",
    "memorization": f"{ENGINE} stages.rollouts",
    "footprint": TEACHER,
    "interventions": f"{TEACHER} generation.prompts modeling.batching",
    "pivotality": f"{ENGINE} stages.rollouts",
    "merge": "datasets.sources generation.prompts",
    "metrics": "analysis.arms analysis.claims analysis.comparisons analysis.cost analysis.effects "
    "analysis.spent analysis.excerpts analysis.figures analysis.footprint analysis.pairs "
    "analysis.results analysis.statistics analysis.timings datasets.sources generation.prompts "
    "method.kinds modeling.base_model modeling.dimensions modeling.flops",
    "report": "analysis.arms analysis.spent analysis.timings method.kinds report.charts "
    "report.footprint report.spec report.view",
}


def test_every_command_of_a_stage_has_its_line():
    assert {name for name, stage in STAGES.items() if stage.command is None} == KEYS.keys()


@pytest.mark.parametrize("stage", KEYS)
def test_the_key_holds_the_declared_modules_and_no_other(stage):
    declared = {f"stages.{stage}", *KEYS[stage].split()}
    found = {
        "verifier" if module.startswith("verifier.") else module
        for module, _ in reached(f"stages.{stage}")
    }
    assert found == declared, (
        f"the key of '{stage}' gained {sorted(found - declared)} and lost "
        f"{sorted(declared - found)}: every edit of a gained module runs the stage and all behind "
        f"it again. Does the stage compute with it? If yes, change its line in KEYS; if no, move "
        "what it imports to a module of its own, or name it in that module's NOT_IN_KEY"
    )
