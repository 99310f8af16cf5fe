"""The trackers under the laws of their role."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from adapters.base import Context
from adapters.testing import TrackerConformance
from adapters.trackers.mlflow import MlflowTracker


@pytest.mark.slow  # each delivery is a process of its own
class TestMlflow(TrackerConformance):
    seconds: ClassVar[float] = 60.0

    def tracker(self, folder: Path) -> MlflowTracker:
        return MlflowTracker(MlflowTracker.Options(uri=str(folder / "runs"), max_retries=0), Context(base=folder))

    def away(self, folder: Path) -> MlflowTracker:
        return MlflowTracker(MlflowTracker.Options(uri="http://127.0.0.1:9", max_retries=0), Context(base=folder))
