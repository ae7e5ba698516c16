# SPDX-License-Identifier: MIT
"""A small machine: the real service, agent, bus, journald and polkitd, and a fake pluto.

Each part can be killed, stopped and started again. The service runs in a mount namespace, in which
journald's folder is /run, and in which the state file is on a small disk that can be filled.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import AsyncExitStack, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from tests.chaos.model import Model
from tests.support import dbus_broker, dbus_daemon, journald, polkitd
from tests.support.bad_pluto import BadPluto
from tests.support.fake_notification_server import Server, notification_server
from tests.support.journald import PrivateJournald
from tests.support.polkitd import PrivatePolkit
from tests.support.subscriber_process import SubscriberProcess

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.support.dbus_daemon import PrivateBus

UNIT: Final = f"ipsecwatch-chaos-{os.getpid()}-ipsec.service"
SETTINGS: Final = """
control_socket = "{folder}/pluto.ctl"
unit = "{unit}"
interval = 1.0
fast_interval = 0.5
timeout = 1.0
stuck_after = 5.0
stopped_after = 1.0
"""
DISK: Final = 256 << 10
"""The size of that disk in bytes."""
PATIENCE: Final = 25.0
"""How many seconds a process has to end after it was asked to."""

NAMESPACE = """
set -e
mount --make-rprivate /
mount --bind "$1" /run
mount -t tmpfs -o size="$3" none "$2"
echo ready
exec sleep infinity
"""

CLOCK_LIBRARIES: Final = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
)


def missing() -> str | None:
    """Return in one line why no such world can be made here; None if it can."""
    return dbus_daemon.missing() or polkitd.missing() or journald.unable_to_be_units()


def clock_library() -> str | None:
    """Return the path of libfaketime, which changes a process's wall clock; None if missing."""
    return next(filter(os.path.exists, CLOCK_LIBRARIES), None)


class Program:
    """One program of ours, run as a process that can be killed and started again."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._command = command
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.killed: list[float] = []
        """When it was killed with SIGKILL, each time, by the wall clock."""

    def start(self) -> None:
        """Start the program; what it prints is added to the log file."""
        assert self._process is None
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log
            )

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self, number: signal.Signals) -> None:
        """Send the process this signal, and wait until it has ended."""
        if number is signal.SIGKILL:
            self.killed.append(time.time())
        self.send(number)
        process, self._process = self._process, None
        assert process is not None
        await asyncio.to_thread(process.wait, PATIENCE)

    @property
    def has_died(self) -> bool:
        """Whether the process has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def kill(self) -> None:
        """Kill the process, if there is one. This isn't recorded in ``killed``."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class World:
    """All these parts, which run while the context lasts; ``breaks`` is a fault of broken_service.

    ``broker``: the system bus is a dbus-broker. Two subscribers follow the service: the
    ``recorder``, which no fault touches, and the ``subscriber``.
    """

    def __init__(self, folder: Path, rng: random.Random, *, broker: bool, breaks: str = "") -> None:
        self.folder = folder
        self.rng = rng
        self.model = Model(rng)
        self.policies = (dbus_daemon.POLICY, polkitd.BUS_POLICY)
        self.bus: PrivateBus = (
            dbus_broker.PrivateBroker(self.policies)
            if broker
            else dbus_daemon.PrivateBus(system=True, policies=self.policies)
        )
        self.session = dbus_daemon.PrivateBus(system=False)
        self.said = folder / "said"
        self.settings = folder / "ipsecwatch.toml"
        self.clock = folder / "clock"
        self.state = folder / "state"
        self._breaks = breaks
        self._parts = AsyncExitStack()
        self._pluto: BadPluto | None = None
        self._polkit = ExitStack()
        self.screen: Server
        self._screen = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._parts.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._parts.aclose()

    async def _start(self) -> None:
        enter = self._parts.enter_context
        self.state.mkdir()
        self.clock.write_text("+0")
        self.write_settings()
        for bus, name in ((self.bus, "SYSTEM"), (self.session, "SESSION")):
            enter(bus)
            self._parts.callback(os.environ.pop, f"DBUS_{name}_BUS_ADDRESS", None)
            os.environ[f"DBUS_{name}_BUS_ADDRESS"] = bus.address
        self.journald = enter(PrivateJournald(self.folder / "run"))
        self._log = enter(self.journald.unit(UNIT))
        self._parts.callback(self._polkit.close)
        self.start_polkit()
        self._within = f"/proc/{enter(self._namespace())}"
        self._parts.callback(self.stop_pluto)
        self.start_pluto()
        self.service = Program(
            ["nsenter", f"--mount={self._within}/ns/mnt", sys.executable, "-m",
             "tests.chaos.broken_service", self._breaks, "--config", str(self.settings)],
            self._service_environment(),
            self.folder / "service.log",
        )  # fmt: skip
        self._parts.callback(self.service.kill)
        self.service.start()
        await self.start_screen()
        self._parts.push_async_callback(self.stop_screen)
        self.agent = Program(
            [sys.executable, "-m", "ipsecwatch", "agent"],
            {**os.environ, "HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder),
             "XDG_RUNTIME_DIR": str(self.folder)},
            self.folder / "agent.log",
        )  # fmt: skip
        self._parts.callback(self.agent.kill)
        self.agent.start()
        self.recorder = enter(SubscriberProcess(slow=False))
        self.subscriber = enter(SubscriberProcess(slow=False))

    @contextmanager
    def _namespace(self) -> Iterator[int]:
        """Make the service's mount namespace while the context lasts.

        Yield the id of a process that is in it.
        """
        with subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", NAMESPACE, "sh", str(self.folder / "run"),
             str(self.state), str(DISK)],
            stdout=subprocess.PIPE,
        ) as holder:  # fmt: skip
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"ready\n"
            try:
                yield holder.pid
            finally:
                holder.kill()

    def _service_environment(self) -> dict[str, str]:
        environment = {**os.environ, "RUNTIME_DIRECTORY": str(self.state)}
        if library := clock_library():
            environment |= {
                "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(self.clock),
                "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }  # fmt: skip
        return environment

    # --- pluto ----------------------------------------------------------------------------------

    def tell(self, count: int) -> None:
        """Change the fate of ``count`` tunnels, in pluto's status and in its log."""
        lines = self.model.change(count)
        self._say(self.model.text())
        self._log(lines)

    def start_pluto(self) -> None:
        """Start a pluto, with new serial numbers."""
        self.model.start_anew()
        self._say(self.model.text())
        (self.folder / "pluto.ctl").unlink(missing_ok=True)
        pluto = BadPluto(self.folder / "pluto.ctl", "read_aloud", text=str(self.said), pause=0.01)
        self._pluto = pluto.__enter__()

    def stop_pluto(self) -> None:
        """Kill pluto; its socket stays, and refuses connections."""
        if self._pluto is not None:
            self._pluto.__exit__()
            self._pluto = None

    @property
    def pluto(self) -> BadPluto:
        assert self._pluto is not None
        return self._pluto

    def talk_nonsense(self) -> None:
        """Make pluto answer with half a status, two statuses, NUL bytes or nothing."""
        text = self.model.text()
        self._say(self.rng.choice((text[: len(text) // 2], "\x00" * 5000, "", text + text)))

    def talk_sense(self) -> None:
        """Make pluto answer with its true status again."""
        self._say(self.model.text())

    def _say(self, text: str) -> None:
        new = self.said.with_suffix(".new")
        new.write_text(text)
        new.replace(self.said)

    # --- the rest -------------------------------------------------------------------------------

    def write_settings(self, more: str = "") -> None:
        """Write the service's settings file, with ``more`` at its end."""
        self.settings.write_text(SETTINGS.format(folder=self.folder, unit=UNIT) + more)

    def start_polkit(self) -> None:
        rule = "return polkit.Result.YES;"
        self.polkit = self._polkit.enter_context(PrivatePolkit(self.bus, rule))

    def stop_polkit(self) -> None:
        self._polkit.close()

    async def start_screen(self) -> None:
        """Start a notification server with nothing on its screen."""
        self.screen = await self._screen.enter_async_context(notification_server())
        forget = asyncio.create_task(_forget(self.screen))
        self._screen.callback(forget.cancel)

    async def stop_screen(self) -> None:
        await self._screen.aclose()

    def fill_disk(self) -> None:
        """Fill the disk on which the state file is."""
        to = f"of={self._within}/root{self.state}/full"
        subprocess.run(["dd", "if=/dev/zero", to, "bs=4096"], capture_output=True, check=False)

    def empty_disk(self) -> None:
        os.unlink(f"{self._within}/root{self.state}/full")

    def set_clock(self, seconds: int) -> None:
        """Set the service's wall clock to the machine's time plus ``seconds``."""
        self.clock.write_text(f"{seconds:+d}")

    # --- what each of them knows ------------------------------------------------------------------

    async def status(self) -> dict[str, str]:
        """Return each tunnel's state as ``ipsecwatch status`` prints it.

        If that fails, return its error message under the name "".
        """
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ipsecwatch", "status", "--json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await process.communicate()
        if process.returncode:
            return {"": f"status ended with {process.returncode}: {err.decode().strip()}"}
        return {t["name"]: t["state"] for t in json.loads(out)["tunnels"]}

    def entries(self) -> list[dict[str, Any]]:
        """Return the journal entries of all transitions, oldest first."""
        # Entries about states at the service's start have no serial number.
        found = self.journald.entries("SYSLOG_IDENTIFIER=ipsecwatch")
        return [e for e in found if "IPSECWATCH_SERIAL" in e and "IPSECWATCH_STATE" in e]

    def keep(self, to: Path) -> None:
        """Copy the logs of service and agent to the folder ``to``, to examine a failure later."""
        to.mkdir(parents=True, exist_ok=True)
        for name in ("service.log", "agent.log"):
            if (self.folder / name).exists():
                shutil.copy(self.folder / name, to / f"{int(time.time())}-{name}")


async def _forget(screen: Server) -> None:
    """Remove each notification when its timeout is over, as servers do, until cancelled."""
    since: dict[tuple[int, int], float] = {}
    while True:
        await asyncio.sleep(0.2)
        now = time.monotonic()
        for n in list(screen.notifications.values()):
            shown = since.setdefault((n.id, n.times), now)
            if n.timeout > 0 and now - shown > n.timeout / 1000 and not screen.hangs:
                screen.expire(n.id)
