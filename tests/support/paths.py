# SPDX-License-Identifier: MIT
"""The paths of the checkout, of the tests and of the fixtures, for tests in any folder."""

from __future__ import annotations

from pathlib import Path
from typing import Final

TESTS: Final = Path(__file__).resolve().parent.parent
TOP: Final = TESTS.parent
"""The checkout's top folder."""
FIXTURES: Final = TESTS / "fixtures"
