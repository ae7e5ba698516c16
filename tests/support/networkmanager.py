# SPDX-License-Identifier: MIT
"""Runs a fake NetworkManager with VPN connections, python-dbusmock's, on a private system bus."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.dbus.connection import connect
from ipsecwatch.dbus.errors import BusError
from ipsecwatch.dbus.messages import Variant
from ipsecwatch.dbus.names import owner_of_name
from tests.support.dbus_daemon import POLICY, PrivateBus

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE: Final = "org.freedesktop.NetworkManager"
SETTINGS: Final = "/org/freedesktop/NetworkManager/Settings"
OFFICE: Final = "3c0cd0f4-6a39-4a5e-9b0f-5a1d0d1f0a01"
HOME: Final = "b7d1a2c3-11de-4f6b-8c55-0242ac120002"
LIBRESWAN, L2TP = f"{SERVICE}.libreswan", f"{SERVICE}.l2tp"
_PYTHON: Final = "/usr/bin/python3"
"""The distribution's Python: python-dbusmock is installed for this one."""
_POLICY: Final = f"""<busconfig><policy context="default">
<allow own="{SERVICE}"/><allow send_destination="{SERVICE}"/></policy></busconfig>"""

# What the plugins save of a connection, according to their sources (1.2.24 and 1.20.8).
DATA: Final = {
    LIBRESWAN: {
        "ikev2": "insist", "leftcert": "laptop", "leftid": "%fromcert", "right": "vpn.example.com",
        "rightid": "@vpn.example.com", "rightsubnet": "0.0.0.0/0",
    },
    L2TP: {
        "gateway": "vpn.example.com", "ipsec-enabled": "yes", "ipsec-psk": "0sc2VjcmV0",
        "user": "paula", "password-flags": "1", "machine-auth-type": "psk",
    },
}  # fmt: skip


def missing() -> str | None:
    """Return in one line why no fake NetworkManager can run here; None if one can."""
    found = subprocess.run([_PYTHON, "-c", "import dbusmock"], capture_output=True, check=False)
    return "python3-dbusmock isn't installed" if found.returncode else None


class NetworkManager:
    """A fake NetworkManager, which runs in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    async def runs(self) -> None:
        """Wait until the fake answers on the bus. Raise TimeoutError after 30 s."""
        async with asyncio.timeout(30):
            while True:
                connection = await connect("system")
                try:
                    await owner_of_name(connection, SERVICE)
                    await _call(connection, "ListConnections")
                except BusError:
                    await asyncio.sleep(0.05)
                else:
                    return
                finally:
                    await connection.close()

    async def add(self, uuid: str, name: str, service: str = LIBRESWAN, kind: str = "vpn") -> None:
        """Add a connection, with the settings that the editor of the plugin ``service`` saves.

        With a ``kind`` other than "vpn" it has no settings of a plugin.
        """
        of_all = {"id": name, "uuid": uuid, "type": kind}
        settings: dict[str, Any] = {
            "connection": {key: Variant("s", value) for key, value in of_all.items()}
        }
        if kind == "vpn":
            data = Variant("a{ss}", DATA[service])
            settings["vpn"] = {"service-type": Variant("s", service), "data": data}
        connection = await connect("system")
        try:
            await _call(connection, "AddConnection", "a{sa{sv}}", settings)
        finally:
            await connection.close()


async def _call(connection: Any, member: str, signature: str = "", *body: Any) -> None:  # noqa: ANN401
    await connection.call(SERVICE, SETTINGS, f"{SERVICE}.Settings", member, signature, body)


@contextmanager
def networkmanager(monkeypatch: Any) -> Iterator[NetworkManager]:  # noqa: ANN401
    """Run the fake on a private system bus while the context lasts; yield it.

    That bus is the system bus for the test's process, also afterwards, until ``monkeypatch`` is
    undone.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as policy:
        policy.write(_POLICY)
        policy.flush()
        with PrivateBus(system=True, policies=(POLICY, Path(policy.name))) as bus:
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
            run = [_PYTHON, "-m", "dbusmock", "--system", "--template", "networkmanager"]
            with subprocess.Popen(run, stdout=subprocess.DEVNULL) as process:
                try:
                    yield NetworkManager(process)
                finally:
                    process.kill()
