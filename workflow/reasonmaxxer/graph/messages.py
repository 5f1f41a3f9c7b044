"""What Snakemake prints of a job that failed: its command once."""

from __future__ import annotations

import logging


def is_no_repetition(record: logging.LogRecord) -> bool:
    """A logging filter. Snakemake prints a failed command twice: as the error and with the rule."""
    return "CalledProcessError in file" not in record.getMessage()
