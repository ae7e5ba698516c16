# SPDX-License-Identifier: MIT
"""Selects one of the two bindings to libsystemd for a test: systemd-python, or ours with ctypes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

from ipsecwatch.libsystemd.binding import NoLibraryError, binding

if TYPE_CHECKING:
    from collections.abc import Iterator

BINDINGS: Final = ("systemd-python", "ctypes")
"""The names of the two bindings, as in Binding.name."""


def choose(name: str, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """Make ipsecwatch use the binding ``name`` while a test runs, and yield the name; for fixtures.

    Skip the test if the binding isn't installed for this Python.
    """
    if name == "ctypes":
        hide_systemd_python(patch)
    binding.cache_clear()
    try:
        taken = binding().name
    except NoLibraryError as e:
        pytest.skip(str(e))
    if taken != name:
        pytest.skip(f"{name} isn't installed for this Python")
    yield name
    binding.cache_clear()


def hide_systemd_python(patch: pytest.MonkeyPatch) -> None:
    """Make the import of systemd-python fail, as if it weren't installed, until the test ends."""
    patch.delitem(sys.modules, "ipsecwatch.libsystemd.with_systemd_python", raising=False)
    patch.delattr("ipsecwatch.libsystemd.with_systemd_python", raising=False)
    patch.setitem(sys.modules, "systemd", None)
