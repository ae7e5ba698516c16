# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.pluto.unit_file import find_unit

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("file", "name", "found"),
    [
        ("usr/ipsec.service", "ipsec.service", True),
        ("etc/ipsec.service", "ipsec.service", True),
        ("usr/pluto@.service", "pluto@red.service", True),
        ("usr/pluto@red.service", "pluto@red.service", True),
        ("usr/pluto@blue.service", "pluto@red.service", False),
        ("usr/other.service", "ipsec.service", False),
    ],
)
def test_a_unit_is_where_systemd_looks_for_it(
    file: str, name: str, tmp_path: Path, *, found: bool
) -> None:
    folders = tmp_path / "etc", tmp_path / "usr"
    for folder in folders:
        folder.mkdir()
    (tmp_path / file).write_text("[Service]\n")
    assert find_unit(name, folders, tmp_path) == (name if found else "")
    assert find_unit(name, folders, tmp_path / "no systemd") == ""


@pytest.mark.parametrize("empty", [False, True])
def test_a_unit_that_is_masked_can_not_be_started(tmp_path: Path, *, empty: bool) -> None:
    etc, usr = tmp_path / "etc", tmp_path / "usr"
    for folder in (etc, usr):
        folder.mkdir()
    (usr / "ipsec.service").write_text("[Service]\n")
    if empty:
        (etc / "ipsec.service").touch()
    else:
        (etc / "ipsec.service").symlink_to(os.devnull)
    assert find_unit("ipsec.service", (etc, usr), tmp_path) == ""
    assert find_unit("ipsec.service", (usr, etc), tmp_path) == "ipsec.service"
