# SPDX-License-Identifier: MIT
"""What is left to ``packaging/dev bed``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests marked ``bed`` out of the test command."""
    if config.getoption("--bed") == "full":
        return
    left_out = [item for item in items if item.get_closest_marker("bed")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
