"""A logger plugin of Snakemake: `snakemake --dry-run --logger reasons` says what would run and why.

Errors and warnings are printed as ever; the rest of Snakemake's own output is left out.
"""

import logging
import sys

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent


class LogHandler(LogHandlerBase):
    """Collects the jobs of a dry run, and prints the lines when the run has ended."""

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.jobs: list[tuple[str, dict[str, str], str]] = []
        self.failed = False

    def emit(self, record: logging.LogRecord) -> None:
        fields = vars(record)
        if fields.get("event") == LogEvent.JOB_INFO:
            wildcards = dict(fields["wildcards"] or {})
            self.jobs.append((fields["rule_name"], wildcards, fields["reason"] or ""))
        elif record.levelno >= logging.WARNING:
            print(record.getMessage(), file=sys.stderr)
        self.failed |= record.levelno >= logging.ERROR

    def close(self) -> None:
        if not self.failed:
            # Snakemake loads its plugins at every start: the library only where one is used.
            from reasonmaxxer.graph.reasons import PlannedJob, report

            print("\n".join(report([PlannedJob(*job) for job in self.jobs])), flush=True)
        self.failed = True  # closed twice
        super().close()
