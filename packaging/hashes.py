# SPDX-License-Identifier: MIT
"""Write the hashes of wheels into packaging/constraints.txt, for the versions in it.

    .venv/bin/python packaging/hashes.py

To change a version, change it there and run this. Every wheel that pip would choose on the Pythons
and machines below is downloaded and hashed here; the index's own hashes aren't used.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from itertools import product
from pathlib import Path

CONSTRAINTS = Path(__file__).with_name("constraints.txt")
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
"""Also named in packaging/dev."""
LIBCS = ("manylinux2014", "manylinux_2_28", "manylinux_2_31", "manylinux_2_34", "manylinux_2_36")
"""The platforms that a wheel may require: at most the glibc of Debian 12."""
PIN = re.compile(r"^([\w.-]+==[^\s\\]+).*\n(?:    --hash.*\n)*", re.MULTILINE)


def fetch(pins: list[str], python: str, machine: str, folder: str) -> None:
    """Download into ``folder`` the wheels of all pins, for one Python on one machine."""
    platforms = [f"--platform={libc}_{machine}" for libc in LIBCS]
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
    ]
    subprocess.run(
        [*command, f"--python-version={python}", *platforms, f"--dest={folder}", *pins], check=True
    )


def key(name: str) -> str:
    """Return a distribution's name in its normalized form, for comparison."""
    return re.sub(r"[-_.]+", "-", name).lower()


def hashes(folder: Path) -> dict[str, list[str]]:
    """Return the hashes of the wheels in a folder, as pip's options, by the distribution's name.

    The name is as key() returns it.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for wheel in sorted(folder.iterdir()):
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        found[key(wheel.name.partition("-")[0])].append(f"--hash=sha256:{digest}")
    return found


def main() -> None:
    """Download all wheels that constraints.txt names, and write their hashes into it."""
    text = CONSTRAINTS.read_text(encoding="utf-8")
    pins = PIN.findall(text)
    with tempfile.TemporaryDirectory() as folder:
        for python, machine in product(PYTHONS, MACHINES):
            fetch(pins, python, machine, folder)
        found = hashes(Path(folder))

    def pinned(match: re.Match[str]) -> str:
        lines = [match[1], *found[key(match[1].partition("==")[0])]]
        return " \\\n    ".join(lines) + "\n"

    CONSTRAINTS.write_text(PIN.sub(pinned, text), encoding="utf-8")


if __name__ == "__main__":
    main()
