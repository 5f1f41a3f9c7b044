from snakemake.utils import min_version

min_version("9.27")

# A preset is a whole run of its own: the default run must not show through it.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/model.smk"
include: "workflow/rules/problems.smk"
include: "workflow/rules/rollouts.smk"
include: "workflow/rules/verdicts.smk"
include: "workflow/rules/entropies.smk"
include: "workflow/rules/selection.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/distillation.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/reading.smk"
include: "workflow/rules/contamination.smk"
include: "workflow/rules/footprint.smk"
include: "workflow/rules/merge.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/pretrain.smk"


from reasonmaxxer.graph.messages import is_no_repetition


onstart:
    try:
        machine.check_site(workflow)
    except UserError as error:
        raise WorkflowError(str(error))
    check_machine()
    look_when_a_job_ends()
    logger.addFilter(is_no_repetition)


rule all:
    default_target: True
    input:
        "results/report.html",
