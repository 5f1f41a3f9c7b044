from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")

# A preset is a whole run of its own: the default run must not show through it.
if not workflow.overwrite_configfiles:
    default = "config/config.yaml"
    if not Path(default).exists():  # the run works in another folder
        default = workflow.source_path(default)

    configfile: default


include: "workflow/rules/common.smk"


for stage in STAGES:

    include: f"workflow/rules/{stage}.smk"


include: "workflow/rules/pretrain.smk"


if workflow.is_main_process:
    os.environ[DRAWN] = shards.told()


onstart:
    try:
        machine.check_site(workflow)
    except UserError as error:
        raise WorkflowError(str(error))
    check_machine()
    for line in checks.unpinned(CONFIG):
        logger.warning(line)
    if not LINK:  # of results in a store, none are taken again
        reuse.say_forced(RUN, snakemake_patches.forced_outputs(workflow))
    snakemake_patches.look_when_a_job_ends(workflow)
    logger.addFilter(snakemake_patches.is_no_repetition)


rule all:
    default_target: True
    input:
        "results/report.html",
