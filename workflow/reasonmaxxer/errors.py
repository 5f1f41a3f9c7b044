"""Errors that are the user's to mend: the command line prints them without a traceback."""

from __future__ import annotations


class UserError(Exception):
    """Something in the config, an input or a file of a run is wrong.

    The message names the file, the field and the remedy. The command line prints it alone and
    exits with status 2.
    """
