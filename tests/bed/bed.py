# SPDX-License-Identifier: MIT
"""Two hosts with libreswan: west, which ipsecwatch watches, and east, its peer.

A kernel of their own in User-mode Linux, or a container where the host's kernel has ESP. systemd,
system bus, journal, units, both plutos and the packets between them are real either way.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from tests.bed.image import image
from tests.support.machine import UnbootableError

if TYPE_CHECKING:
    from types import TracebackType

GUEST: Final = Path(__file__).with_name("guest")
UML: Final = "linux.uml"
MEMORY: Final = 512
"""MiB that a guest has."""
BOOT_PATIENCE: Final = 120
PATIENCE: Final = 120
"""Seconds that anything may take that a bed is asked for."""

WHACK: Final = "/usr/libexec/ipsec/whack"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a program: its exit code, what it said, and when it began (west's clock)."""

    code: int
    said: str
    began: float


class Bed:
    """Runs while its context lasts. ``shared`` is the folder that it has in common with us."""

    def __init__(self, suite: str, folder: Path) -> None:
        self.suite = suite
        self.shared = folder / "shared"
        self._folder = folder
        self._console = folder / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0

    def __enter__(self) -> Self:
        """Boot. Raises UnbootableError."""
        if os.geteuid() != 0:
            raise UnbootableError("only root can boot a bed")
        argv = self._argv()
        desk = self.shared / "desk"
        desk.mkdir(parents=True)
        shutil.copytree(GUEST, self.shared / "guest")
        try:
            with self._console.open("wb") as console:
                self._process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
                    env={**os.environ, "TMPDIR": str(self._memory()), "HOME": str(self._folder)},
                    start_new_session=True,
                )  # fmt: skip
            self._await(desk / "up", BOOT_PATIENCE)
            self._look()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _argv(self) -> list[str]:
        if has_esp():
            return self._container()
        if shutil.which(UML) is None:
            raise UnbootableError("this kernel has no ESP, and user-mode-linux isn't installed")
        disk = image(self.suite)
        return [
            # However we end, it goes with us, and all of its guest's processes with it: they are
            # processes of ours, and would run on without their kernel.
            "setpriv", "--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", UML,
            "umid=bed", f"uml_dir={self._folder}/", f"mem={MEMORY}M",
            f"ubd0={self._folder / 'changes'},{disk}", "root=/dev/ubda", "rw",
            "con=null", "con0=null,fd:1", "ssl=null", "quiet", "loglevel=4", "audit=0",
            "systemd.show_status=0", "net.ifnames=0", "init=/bed-init", f"bed={self.shared}",
        ]  # fmt: skip

    def _container(self) -> list[str]:
        if shutil.which("systemd-nspawn") is None:
            raise UnbootableError("systemd-nspawn isn't installed")
        disk = image(self.suite)
        return [
            "systemd-nspawn", "--quiet", f"--image={disk}", "--ephemeral", "--register=no",
            "--private-network", "--capability=all", "--console=pipe", "--machine=ipsecwatch-bed",
            f"--bind={self.shared}:/host",
            *([] if Path("/run/systemd/system").is_dir() else ["--keep-unit"]),
            "/bed-init",
        ]  # fmt: skip

    def _memory(self) -> Path:
        """Find a folder for the guest's memory, which is mapped executable."""
        fast = Path("/dev/shm")
        with suppress(OSError):
            room = os.statvfs(fast)
            free = room.f_bavail * room.f_frsize >> 20
            if not room.f_flag & os.ST_NOEXEC and free > 2 * MEMORY:
                return fast
        return self._folder

    def _await(self, file: Path, patience: float) -> None:
        assert self._process is not None
        give_up = time.monotonic() + patience
        while not file.exists():
            if self._process.poll() is not None or time.monotonic() > give_up:
                said = self._console.read_text(errors="replace").strip().splitlines()
                raise UnbootableError(f"the bed didn't boot: {said[-1] if said else 'no word'}")
            time.sleep(0.05)

    def _look(self) -> None:
        """See that both plutos run: without them it is no bed."""
        for unit in ("ipsec", "east"):
            if self.try_("systemctl", "is-active", "--quiet", unit).code != 0:
                raise UnbootableError(f"libreswan ({unit}.service) doesn't start in the bed")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Switch it off; what was written to its disk is dropped."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)
        with suppress(OSError):
            (self._folder / "changes").unlink()

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
            if self._process is None or self._process.poll() is not None:
                raise UnbootableError("the bed has gone")
            if time.monotonic() > give_up:
                raise UnbootableError(f"the bed gives no answer within {patience:.0f} s")
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
        file = self.shared / "signals"
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
