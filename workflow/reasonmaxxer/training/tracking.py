"""Reports of a training run to experiment trackers, through accelerate's classes for them.

A run that is killed and resumed goes on in the record that it began, and one that is trained with
other settings begins a new one.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import UserError

NOT_IN_KEY = {"*": "what trackers are told is not the result"}

Report = Callable[[Mapping[str, Any], int], None]  # values by name, and the step that they are of


def add_tracking_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of every command that reports to trackers."""
    parser.add_argument(
        "--report-to",
        nargs="+",
        default=[],
        choices=["tensorboard", "trackio"],
        help="trackers that hear of every step",
    )
    parser.add_argument(
        "--record",
        type=Path,
        default=Path("results/run/tracking/arm"),
        help="where they record it, as results/<run>/tracking/<arm>: the folder of TensorBoard, "
        "and the names of trackio's project and run",
    )


def not_installed(trackers: Sequence[str]) -> list[str]:
    """A line for each of these trackers whose package is missing, which says what to do."""
    return [
        f"resources.training.report_to: {name}: is not installed; pip install {name}, or leave it "
        "out"
        for name in trackers
        if importlib.util.find_spec(name) is None
    ]


@dataclass(frozen=True)
class Tracking:
    """Where a run is recorded; nowhere without trackers.

    Args:
        trackers: their names.
        record: results/<run>/tracking/<arm>.

    Raises:
        UserError: if the package of a tracker is not installed.
    """

    trackers: Sequence[str] = ()
    record: Path = Path()

    def __post_init__(self) -> None:
        if missing := not_installed(self.trackers):
            raise UserError("\n".join(missing))

    @classmethod
    def from_args(cls, args: argparse.Namespace) -> Tracking:
        """By the flags of a command."""
        return cls(args.report_to, args.record)

    def of(self, made_by: Mapping[str, Any]) -> Tracking:
        """The record of what has this provenance: other settings have another one."""
        if not self.trackers:
            return self
        digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()
        return replace(self, record=self.record.with_name(f"{self.record.name}-{digest[:8]}"))

    @contextmanager
    def open(self, group: str, again: bool = True) -> Iterator[Report]:
        """A function that reports values of a step, as `<group>/<name>`; numbers alone are taken.

        Args:
            group: train or validation.
            again: the run is reported from its first step on, after a kill too: what the record
                has of it already is replaced (TensorBoard) or stays as it is (trackio).
        """
        opened = [self._start(name, again) for name in self.trackers]

        def report(values: Mapping[str, Any], step: int) -> None:
            numbers = {
                f"{group}/{name}": value
                for name, value in values.items()
                if isinstance(value, int | float)
            }
            for tracker, first in opened:
                if step >= first:
                    tracker.log(numbers, step=step)

        try:
            yield report
        finally:
            for tracker, _ in opened:
                tracker.finish()

    def _start(self, name: str, again: bool) -> tuple[Any, int]:
        """An accelerate tracker, and the first step that it takes."""
        from accelerate import PartialState
        from accelerate.tracking import TensorBoardTracker, TrackioTracker

        PartialState()  # accelerate's trackers write to its log, which asks for it
        folder, run = self.record.parent, self.record.name
        tracker: Any
        if name == "tensorboard":
            tracker = TensorBoardTracker(run, folder, **({"purge_step": 0} if again else {}))
        else:
            tracker = TrackioTracker(folder.parent.name, name=run, resume="allow", embed=False)
        tracker.main_process_only = False  # only the first process opens one
        tracker.start()
        behind_last = getattr(tracker.tracker, "_next_step", 0)  # trackio's
        return tracker, behind_last if again else 0


NOWHERE = Tracking()
