# SPDX-License-Identifier: MIT
"""Builds ipsecwatch's packages for distributions from this checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import TOP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PACKAGING = TOP / "packaging"
DEB_TOOLS = ("dpkg-buildpackage", "dh", "dh_python3")


def build(
    folder: Path, script: str, pattern: str, *tools: str, options: Sequence[str] = (), **env: str
) -> dict[str, Path]:
    """Build packages with a script of packaging/; return the paths of both, by package name.

    Skip the test if one of ``tools``, the distribution's Python or a library from the network is
    missing. ``folder`` is where they are built, and ``pattern`` fits their file names, such as
    ``*.deb``. The script gets ``options`` and the environment variables ``env``.
    """
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} isn't installed")
    if not shutil.which("python3", path="/usr/bin"):
        pytest.skip("the distribution's Python isn't installed")
    done = subprocess.run(
        ["sh", PACKAGING / script, folder, *options],
        capture_output=True, text=True, check=False, env={**os.environ, **env},
    )  # fmt: skip
    if "pip could not get the libraries" in done.stderr or "no pip." in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    found = built(folder, pattern)
    assert found.keys() == {"ipsecwatch", "ipsecwatch-agent"}
    return found


def built(folder: Path, pattern: str) -> dict[str, Path]:
    """Return the paths of the packages in a folder, by package name."""
    return {re.split(r"[-_]\d", path.name)[0]: path for path in folder.glob(pattern)}
