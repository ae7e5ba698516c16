# SPDX-License-Identifier: MIT
"""The packages, built from this checkout."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import TOP

if TYPE_CHECKING:
    from pathlib import Path

PACKAGING = TOP / "packaging"
DEB_TOOLS = ("dpkg-buildpackage", "dh", "dh_python3")


def build(folder: Path, script: str, pattern: str, *tools: str) -> dict[str, Path]:
    """Build packages and answer where each is, by its name; skip where that can't be done."""
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} isn't installed")
    if not shutil.which("python3", path="/usr/bin"):
        pytest.skip("the distribution's Python isn't installed")
    done = subprocess.run(
        ["sh", PACKAGING / script, folder], capture_output=True, text=True, check=False
    )
    if "pip could not get the libraries" in done.stderr or "no pip." in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    found = {re.split(r"[-_]\d", path.name)[0]: path for path in folder.glob(pattern)}
    assert found.keys() == {"ipsecwatch", "ipsecwatch-agent"}
    return found
