# SPDX-License-Identifier: MIT
"""Two hosts with libreswan, called a bed: west, which ipsecwatch watches, and its peer east.

They are in a container if the host's kernel has ESP, else in User-mode Linux, with a kernel of
their own. In both, systemd, the system bus, the journal, the units, both plutos and the packets
between them are real.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from tests.bed import uml
from tests.bed.image import image
from tests.bed.uml import UserModeLinux
from tests.support.container import Container, UnbootableError, last_word

if TYPE_CHECKING:
    from types import TracebackType

GUEST: Final = Path(__file__).with_name("guest")
PATIENCE: Final = 120
"""How many seconds a boot may take, and each request to a bed."""

WHACK: Final = "/usr/libexec/ipsec/whack"


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a program that ran on west.

    ``code`` is its exit code, ``said`` its output, and ``began`` the time of its start (west's wall
    clock).
    """

    code: int
    said: str
    began: float


class Bed:
    """A bed, which runs while its context lasts. ``suite`` is a release of Debian.

    ``shared`` is a folder that test and bed share. With ``contained``, the bed is a container even
    if the kernel has no ESP; then no tunnel comes up. With ``own_kernel`` it is in User-mode Linux,
    so that its clock can be set and its power cut.
    """

    def __init__(
        self, suite: str, folder: Path, *, contained: bool = False, own_kernel: bool = False
    ) -> None:
        self.suite = suite
        self.shared = folder / "shared"
        self._folder = folder
        self._console = folder / "console.log"
        self._contained = contained
        self._own_kernel = own_kernel
        self._host: Container | UserModeLinux | None = None
        self._asked = 0

    def __enter__(self) -> Self:
        """Boot the bed. Raise UnbootableError if that isn't possible here."""
        if os.geteuid() != 0:
            raise UnbootableError("only root can boot a bed")
        desk = self.shared / "desk"
        desk.mkdir(parents=True)
        shutil.copytree(GUEST, self.shared / "guest")
        try:
            self._host = self._choose()
            self._host.start(self._console)
            self._await(desk / "up")
            self._look()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _choose(self) -> Container | UserModeLinux:
        if not self._own_kernel and (self._contained or has_esp()):
            return Container(
                self._folder / "container", image(self.suite), f"--bind={self.shared}:/host",
                "--capability=all", "/bed-init",
            )  # fmt: skip
        uml.require()  # before an image is made for nothing
        return UserModeLinux(self._folder, image(self.suite), self.shared)

    def _await(self, file: Path) -> None:
        """Wait until the file exists.

        Raise UnbootableError if the bed has ended, or after PATIENCE.
        """
        give_up = time.monotonic() + PATIENCE
        while not file.exists():
            if not self._running or time.monotonic() > give_up:
                raise UnbootableError(f"the bed didn't boot: {last_word(self._console)}")
            time.sleep(0.05)

    def _look(self) -> None:
        """Check that both plutos run.

        Raise UnbootableError if not: a bed is useless without them.
        """
        for unit in ("ipsec", "east"):
            if self.try_("systemctl", "is-active", "--quiet", unit).code != 0:
                raise UnbootableError(f"libreswan ({unit}.service) doesn't start in the bed")

    @property
    def _running(self) -> bool:
        return self._host is not None and self._host.running

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Switch the bed off; what was written to its disk is lost."""
        if self._host is not None:
            self._host.stop()

    def lose_power(self) -> None:
        """Cut the bed's power, and boot it again from its disk as it was then.

        Only for User-mode Linux.
        """
        assert isinstance(self._host, UserModeLinux)
        self._host.cut()
        desk = self.shared / "desk"
        for file in desk.iterdir():
            file.unlink()
        self._host.start(self._console)
        self._await(desk / "up")

    # --- programs on west ------------------------------------------------------------------

    def ask(self, *argv: str) -> int:
        """Start a program on west; return a number for answer()."""
        self._asked += 1
        new = self.shared / "desk" / f"{self._asked}.new"
        new.write_text(json.dumps(argv), encoding="utf-8")
        new.rename(new.with_suffix(".ask"))
        return self._asked

    def answer(self, number: int, patience: float = PATIENCE) -> Answer:
        """Wait until the program with this number has ended, and return its result.

        Raise TimeoutError after ``patience`` seconds, or if the bed has ended.
        """
        file = self.shared / "desk" / f"{number}.answer"
        give_up = time.monotonic() + patience
        while not file.exists():
            if not self._running:
                raise TimeoutError(f"the bed has gone: {last_word(self._console)}")
            if time.monotonic() > give_up:
                raise TimeoutError(f"the bed gives no answer within {patience:.0f} s")
            time.sleep(0.005)
        found = json.loads(file.read_text(encoding="utf-8"))
        file.unlink()
        return Answer(**found)

    def try_(self, *argv: str, patience: float = PATIENCE) -> Answer:
        """Run a program on west; return its result, whether it succeeded or not."""
        return self.answer(self.ask(*argv), patience)

    def run(self, *argv: str, patience: float = PATIENCE) -> str:
        """Run a program on west, and return its output. Assert that its exit code is 0."""
        done = self.try_(*argv, patience=patience)
        assert done.code == 0, f"{shlex.join(argv)}: {done.code}: {done.said}"
        return done.said

    def sh(self, line: str) -> str:
        """Run a line of shell on west, and return its output. Assert that it succeeds."""
        return self.run("/bin/sh", "-ec", line)

    def signals(self) -> list[dict[str, Any]]:
        """Return all signals that the subscriber on west has received, oldest first."""
        return self._lines("signals")

    def scripts(self) -> list[tuple[float, float]]:
        """Return when pluto has run scripts, as (begin, end) in west's wall-clock time."""
        seen = self._lines("busy")
        return [(a["at"], b["at"]) for a, b in pairwise(seen) if a["busy"]]

    def _lines(self, name: str) -> list[dict[str, Any]]:
        file = self.shared / name
        if not file.exists():
            return []
        whole = file.read_bytes().rpartition(b"\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """Return the entries of west's journal that match, oldest first."""
        out = self.run("journalctl", "--output=json", "--all", "--no-pager", *matches)
        return [json.loads(line) for line in out.splitlines()]


def has_esp() -> bool:
    """Return whether the host's kernel has ESP, as seen in a network namespace of its own."""
    esp = (
        "ip xfrm state add src 127.0.0.2 dst 127.0.0.3 proto esp spi 0x100 mode tunnel"
        " aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 128"
    )
    done = subprocess.run(
        ["unshare", "--net", "/bin/sh", "-c", esp], capture_output=True, check=False
    )
    return done.returncode == 0
