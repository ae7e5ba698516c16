# SPDX-License-Identifier: MIT
"""Chooses one of the two bindings to libsystemd for a test."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

from ipsecwatch.libsystemd.binding import NoLibraryError, binding

if TYPE_CHECKING:
    from collections.abc import Iterator

BINDINGS: Final = ("systemd-python", "ctypes")
"""The names of the bindings, as in Binding.name."""


def choose(name: str, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """Use the binding of this name while a test runs; yield the name.

    Skip the test where the binding isn't installed.
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
    """Make the import of systemd-python fail, as where it isn't installed."""
    patch.delitem(sys.modules, "ipsecwatch.libsystemd.with_systemd_python", raising=False)
    patch.delattr("ipsecwatch.libsystemd.with_systemd_python", raising=False)
    patch.setitem(sys.modules, "systemd", None)
