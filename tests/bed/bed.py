# SPDX-License-Identifier: MIT
"""Two hosts with libreswan: west, which ipsecwatch watches, and east, its peer.

A container where the host's kernel has ESP, else a kernel of their own in User-mode Linux. systemd,
system bus, journal, units, both plutos and the packets between them are real either way.
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
"""Seconds that a boot may take, and anything that a bed is asked for."""

WHACK: Final = "/usr/libexec/ipsec/whack"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a program: its exit code, what it said, and when it began (west's clock)."""

    code: int
    said: str
    began: float


class Bed:
    """Runs while its context lasts. ``shared`` is the folder that it has in common with us.

    ``contained``: in a container, whatever the kernel can do; without ESP no tunnel comes up there.
    ``own_kernel``: in User-mode Linux, with a clock of its own and boots of its own.
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
        """Boot. Raises UnbootableError."""
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
        give_up = time.monotonic() + PATIENCE
        while not file.exists():
            if not self._running or time.monotonic() > give_up:
                raise UnbootableError(f"the bed didn't boot: {last_word(self._console)}")
            time.sleep(0.05)

    def _look(self) -> None:
        """See that both plutos run: without them it is no bed."""
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
        """Switch it off; what was written to its disk is dropped."""
        if self._host is not None:
            self._host.stop()

    def lose_power(self) -> None:
        """Take its power away, and boot it again with the disk as it was then."""
        assert isinstance(self._host, UserModeLinux)
        self._host.cut()
        desk = self.shared / "desk"
        for file in desk.iterdir():
            file.unlink()
        self._host.start(self._console)
        self._await(desk / "up")

    # --- what is done there ---------------------------------------------------------------

    def ask(self, *argv: str) -> int:
        """Have a program run on west; answers what answer() wants to know."""
        self._asked += 1
        new = self.shared / "desk" / f"{self._asked}.new"
        new.write_text(json.dumps(argv), encoding="utf-8")
        new.rename(new.with_suffix(".ask"))
        return self._asked

    def answer(self, number: int, patience: float = PATIENCE) -> Answer:
        """Wait for what became of it."""
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
        """Run a program on west."""
        return self.answer(self.ask(*argv), patience)

    def run(self, *argv: str, patience: float = PATIENCE) -> str:
        """Run a program on west that is to succeed; answers what it said."""
        done = self.try_(*argv, patience=patience)
        assert done.code == 0, f"{shlex.join(argv)}: {done.code}: {done.said}"
        return done.said

    def sh(self, line: str) -> str:
        """Run a line of shell on west."""
        return self.run("/bin/sh", "-ec", line)

    def signals(self) -> list[dict[str, Any]]:
        """List what the subscriber was told, in order."""
        return self._lines("signals")

    def scripts(self) -> list[tuple[float, float]]:
        """List from when to when pluto ran a script, as the subscriber saw it."""
        seen = self._lines("busy")
        return [(a["at"], b["at"]) for a, b in pairwise(seen) if a["busy"]]

    def _lines(self, name: str) -> list[dict[str, Any]]:
        file = self.shared / name
        if not file.exists():
            return []
        whole = file.read_bytes().rpartition(b"\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def journal(self, *matches: str) -> list[dict[str, Any]]:
        """List entries of the journal."""
        out = self.run("journalctl", "--output=json", "--all", "--no-pager", *matches)
        return [json.loads(line) for line in out.splitlines()]


def has_esp() -> bool:
    """Tell whether this kernel can do IPsec."""
    esp = (
        "ip xfrm state add src 127.0.0.2 dst 127.0.0.3 proto esp spi 0x100 mode tunnel"
        " aead 'rfc4106(gcm(aes))' 0x000102030405060708090a0b0c0d0e0f10111213 128"
    )
    done = subprocess.run(
        ["unshare", "--net", "/bin/sh", "-c", esp], capture_output=True, check=False
    )
    return done.returncode == 0
