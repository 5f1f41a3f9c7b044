"""The stages of the pipeline, each declared once; everything that lists stages reads this list.

From it come the commands, the rule files that the Snakefile includes, the jobs that `-R <stage>`
forces, the names that `freeze` takes, the labels of the report's timings, the warning about
upgraded packages, and the README's table of stages (`python -m reasonmaxxer schema` writes it).

A stage of this name has a module `stages/<name>.py` with its command, and a rule file
`workflow/rules/<name>.smk` with its jobs and a rule of its name that gathers their files.
"""

from dataclasses import dataclass

NOT_IN_KEY = {"*": "names and descriptions of stages"}


@dataclass(frozen=True)
class Stage:
    """One stage: a command, its rules, and what is said about it."""

    name: str
    rules: tuple[str, ...]  # the rules whose jobs do the work, in order
    makes: str  # for the README: the files, under `results/<run>/`, and what is in them
    uses: str = ""  # the packages that do the work
    label: str = ""  # what the report's table of times calls it, where that is not its name
    # The Parquet files whose content depends on the versions of the packages that made them.
    table: str | None = None
    # Whether its jobs load a model or judge completions: what asks something of the machine.
    heavy: bool = True
    # The flags of its command that name the files and folders to write, to be reused together; none
    # where the command makes several files, each of which it reuses by itself.
    outputs: tuple[str, ...] = ("--out",)
    # The stage whose command its jobs run, where it has none of its own.
    command: str | None = None

    @property
    def title(self) -> str:
        """Its label, or its name in words."""
        return self.label or self.name.replace("_", " ").capitalize()


ALL = (
    Stage(
        name="convert",
        rules=("convert_model",),
        label="Model conversion",
        makes="the folder `model.path`: a GGUF file as safetensors; on request",
        uses="transformers, gguf",
    ),
    Stage(
        name="problems",
        rules=("load_problems",),
        makes="`problems/*.parquet`: the pool, the validation problems, the benchmarks",
        uses="datasets",
        heavy=False,
    ),
    Stage(
        name="decontaminate",
        rules=("clean_pool", "audit_problems"),
        label="Problems",
        makes="`problems/train.parquet`, `problems/audit.json`: no problem in two splits",
        heavy=False,
    ),
    Stage(
        name="preflight",
        rules=("check_model",),
        label="Problems",
        makes="`problems/preflight.json`: models, prompts, lengths fit each other",
        uses="transformers",
        heavy=False,
    ),
    Stage(
        name="rollouts",
        rules=("sample_rollouts",),
        makes="`rollouts/*/*.parquet`: K completions of each problem by the frozen base",
        uses="vLLM",
        table="rollouts/*/*.parquet",
        outputs=(),
    ),
    Stage(
        name="verdicts",
        rules=("judge_rollouts",),
        makes="`verdicts/*/*.parquet`: correct, incorrect, unparseable or timeout",
        uses="math-verify",
        outputs=(),
    ),
    Stage(
        name="entropies",
        rules=("score_rollouts",),
        label="Scoring",
        makes="`entropies/*/*.parquet`: one row per token: entropy, log-prob, top 5",
        uses="torch",
        table="entropies/*/*.parquet",
        outputs=("--out", "--states-out"),
    ),
    Stage(
        name="selection",
        rules=("select_positions",),
        makes="`selection/*.parquet`: mixed-success problems, advantages, decision positions",
        outputs=("--out", "--summary"),
    ),
    Stage(
        name="training",
        rules=("train_adapter",),
        makes="`training/<arm>/`: checkpoints of the LoRA, and a log of every step",
        uses="torch, PEFT",
        table="training/*/log.parquet",
        outputs=("--out-log", "--checkpoints"),
    ),
    Stage(
        name="grpo",
        rules=("train_grpo",),
        label="GRPO",
        makes="`training/<arm>/`: the same for an arm of kind grpo, with its rewards",
        uses="TRL",
        table="training/*/grpo.parquet",
        outputs=("--out-log", "--checkpoints"),
    ),
    Stage(
        name="distillation",
        rules=("sample_teacher", "distil_teacher"),
        makes="`adapters/<arm>/`: another arm's distributions in a small LoRA",
        uses="torch, PEFT",
        outputs=("--out", "--out-log", "--summary"),
    ),
    Stage(
        name="checkpoint",
        rules=("choose_checkpoint", "choose_whole_checkpoint"),
        makes="`adapters/<arm>/`: the checkpoint best on validation, as a PEFT folder",
        uses="vLLM",
        table="adapters/*/validation.parquet",
        outputs=("--out", "--table", "--summary"),
    ),
    Stage(
        name="evaluation",
        rules=(
            *("sample_evaluation", "sample_adapters", "sample_benchmark"),
            *("judge_evaluation", "judge_benchmark"),
        ),
        makes="`evaluation/<arm>/<benchmark>/*.parquet`: samples of every arm, judged",
        uses="vLLM",
        table="evaluation/*/*/*.completions.parquet",
        outputs=(),
    ),
    Stage(
        name="side_by_side",
        rules=("read_side_by_side",),
        makes="`side_by_side.parquet`: two arms' completions, scored by both",
        uses="torch, PEFT",
    ),
    Stage(
        name="memorization",
        rules=("check_memorization",),
        makes="`memorization.json`: what the base completes verbatim; on request",
        uses="vLLM",
    ),
    Stage(
        name="footprint",
        rules=("write_greedy_text", "measure_footprint"),
        makes="`footprint/*.parquet`: where a teacher chooses another token; on request",
        uses="torch",
    ),
    Stage(
        name="interventions",
        rules=("decode_interventions", "judge_interventions"),
        makes="`footprint/interventions.parquet`: text with tokens put in; on request",
        uses="torch",
    ),
    Stage(
        name="pivotality",
        rules=("sample_continuations", "judge_continuations"),
        makes="`footprint/pivotality.parquet`: text continued at positions; on request",
        uses="vLLM",
    ),
    Stage(
        name="capability",
        rules=("sample_capability", "judge_capability"),
        makes="`footprint/capability/<arm>.parquet`: many samples of an arm; on request",
        uses="vLLM",
        command="evaluation",
    ),
    Stage(
        name="merge",
        rules=("merge_adapter",),
        label="Merging",
        makes="`merged/<arm>/`: the main arm as one whole model; on request",
        uses="PEFT",
    ),
    Stage(
        name="metrics",
        rules=("compute_metrics",),
        makes="`metrics.json` and two tables: all figures, with intervals",
        uses="scipy",
        heavy=False,
        outputs=("--out", "--table", "--differences", "--figures"),
    ),
    Stage(
        name="report",
        rules=("render_report", "publish_report"),
        makes="`report.html`: the page, one file that needs no network; five charts in `charts/`",
        uses="jinja, Vega",
        heavy=False,
        outputs=("--out", "--charts"),
    ),
)

STAGES = {stage.name: stage for stage in ALL}
STAGE_OF_RULE = {rule: stage for stage in ALL for rule in stage.rules}
