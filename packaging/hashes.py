# SPDX-License-Identifier: MIT
"""Write the hashes into packaging/constraints.txt, for the versions that it names.

    .venv/bin/python packaging/hashes.py

To change a version, change it there and run this. Every wheel that pip would take on the Pythons
and machines below is fetched and hashed here; what the index says of its hash isn't asked.
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
"""packaging/dev names them, too."""
LIBCS = ("manylinux2014", "manylinux_2_28", "manylinux_2_31", "manylinux_2_34", "manylinux_2_36")
"""What a wheel may want: the glibc of Debian 12 at most."""
PIN = re.compile(r"^([\w.-]+==[^\s\\]+).*\n(?:    --hash.*\n)*", re.MULTILINE)


def fetch(pins: list[str], python: str, machine: str, folder: str) -> None:
    """Fetch the wheels of all pins for one Python on one machine."""
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
    """Return a distribution's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def hashes(folder: Path) -> dict[str, list[str]]:
    """Return the hashes of the wheels in a folder, by the distribution's name."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for wheel in sorted(folder.iterdir()):
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        found[key(wheel.name.partition("-")[0])].append(f"--hash=sha256:{digest}")
    return found


def main() -> None:
    """Fetch, hash and write."""
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
