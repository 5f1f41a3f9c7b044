"""Types of command-line values."""

import argparse
from collections.abc import Callable


def at_least(least: int) -> Callable[[str], int]:
    """A whole number that is not smaller; argparse tells the message with the flag's name."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(
                f"{text}: a whole number that is at least {least} is needed"
            )
        return value

    return number
