# SPDX-License-Identifier: MIT
"""Frees what a failed test didn't close, so that no other test is blamed for it.

Warnings are errors, and Python warns of an open socket when it frees it. What a failed test held is
freed at some time, often during another test, which then fails although nothing is wrong with it.
"""

from __future__ import annotations

import gc
import sys
from contextlib import suppress

import pytest


class Leftovers:
    """A plugin for pytest that does this before the next test, or the next try, begins."""

    def __init__(self) -> None:
        self._some = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note whether a try failed: "rerun" is one after which there is another."""
        if report.outcome in ("failed", "rerun"):
            self._some = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        """Free what the last try left, without a word about it."""
        if self._some:
            self._some = False
            _free()


def _free() -> None:
    # pytest keeps the last error for debuggers, and with it the variables of the test.
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        with suppress(AttributeError):
            delattr(sys, name)
    said, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = said
