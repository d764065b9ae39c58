"""Workflows of the benchmark come to their end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fleet_q import FleetQ, Workflow
from tests.benchmarks.workflows import chain, fan_in, measure


@pytest.mark.parametrize("describe", [chain, fan_in])
def test_workflow_of_the_benchmark_ends(
    tmp_path: Path, describe: Callable[[FleetQ, int], Workflow]
) -> None:
    assert measure(tmp_path, describe, 50).ended > 0
