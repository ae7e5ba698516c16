# SPDX-License-Identifier: MIT
"""Make the manual page of the service, ipsecwatch(8), from its journal catalog and its files."""

from __future__ import annotations

import re
from pathlib import Path

import roff

from ipsecwatch import __version__, config

TOP = Path(__file__).parents[2]

DESCRIPTION = """
Polls libreswan's daemon pluto over its control socket, works out the state of each tunnel, and
announces each change on the system D-Bus as ``org.ipsecwatch1`` and in the journal, with the
reason. It changes nothing in libreswan, and neither starts nor stops it. pluto spends at most 2 %
of its time on the service's questions.

The service runs as root, because pluto answers only root. It has no capabilities and no network. It
is started with the machine, and never by a message on the bus: a service that was stopped stays
stopped.

  systemctl enable --now ipsecwatch
  systemctl reload ipsecwatch
  ipsecwatch doctor

If several plutos run on a machine, each additional one needs an instance of the service,
``ipsecwatch@NAME.service``. Its bus name is ``org.ipsecwatch1.NAME``; ``--instance NAME`` asks it.
"""

JOURNAL = """
Each transition has one entry, written after the signal on the bus. The names of its fields begin
with ``IPSECWATCH_``:
``TUNNEL``, ``STATE``, ``OLD_STATE``, ``REASON``, ``SERIAL``, ``RUN_ID``, ``PEER``, ``DETAIL``.
``journalctl -x`` explains an entry. The field ``MESSAGE_ID`` says of which kind it is:
"""

SIGNALS = {
    "SIGHUP": """Read the settings again. If they can't be used, the old ones stay, and the journal
        says so.""",
    "SIGTERM, SIGINT": "Exit, after all transitions were announced and the state was saved.",
}

ENVIRONMENT = {
    "IPSECWATCH_DEBUG": """Names of modules, with commas between, such as ``pluto,service.bus``; or
        ``all``. These modules write what they do to the journal. Set it with ``systemctl edit
        ipsecwatch``.""",
}

PLACES = {
    str(config.SERVICE_FILE): "Settings: see ipsecwatch.toml(5).",
    f"{config.INSTANCES}/NAME.toml": "Settings of the instance ``ipsecwatch@NAME.service``.",
    "/run/ipsecwatch": """The state that a restarted service needs, so that it announces
        nothing twice.""",
    "/usr/share/ipsecwatch/xfrm.conf": """A drop-in that lets the service receive the
        kernel's XFRM events.""",
    "/usr/share/ipsecwatch/restrict-to-group.conf": """A bus policy for machines where not every
        user may see the tunnels.""",
    "/usr/share/ipsecwatch/ask-instance.conf": """A bus policy that lets all users ask an
        instance.""",
    "/usr/share/dbus-1/system.d/org.ipsecwatch1.conf": """The bus policy: who may have the bus
        name, and who may ask.""",
    "/usr/share/polkit-1/actions/org.ipsecwatch1.policy": """The polkit action: who may see
        addresses and identities.""",
}

EXAMPLES = {
    "Show what happened to a tunnel:": "journalctl -x IPSECWATCH_TUNNEL=site",
    "Receive the kernel's XFRM events, too:": "systemd/xfrm.conf",
    "Let only one group see the tunnels:": "packaging/restrict-to-group.conf",
    "Let every user ask an instance:": "packaging/ask-instance.conf",
}
"""What each example does: commands for it, or the file whose comment has them."""


def page() -> str:
    """Return the page ipsecwatch(8)."""
    started = roff.paragraph("``/usr/bin/ipsecwatch daemon``")
    return "\n".join([
        roff.title("ipsecwatch", 8, __version__, "service that watches libreswan IPsec tunnels"),
        roff.section("synopsis", roff.paragraph("ipsecwatch.service"), started),
        roff.section("description", roff.blocks(DESCRIPTION)),
        roff.section("units", roff.listed(units())),
        roff.section("signals", roff.listed(SIGNALS)),
        roff.section("journal", roff.paragraph(JOURNAL), roff.listed(entries())),
        roff.section("environment", roff.listed(ENVIRONMENT)),
        roff.section("files", roff.listed(PLACES)),
        roff.section("examples", *(example(*pair) for pair in EXAMPLES.items())),
        roff.see_also("ipsecwatch(1)", "ipsecwatch.toml(5)", "org.ipsecwatch1(5)", "ipsec(8)",
                      "systemctl(1)", "journalctl(1)"),
    ])  # fmt: skip


def units() -> dict[str, str]:
    """Return the description of each system service, by the unit's name; not the agent's."""
    found = {}
    for file in sorted((TOP / "systemd").glob("*.service")):
        text = file.read_text(encoding="utf-8")
        [what] = re.findall(r"^Description=(.+)$", text, re.MULTILINE)
        if "WantedBy=graphical-session.target" not in text:
            found[file.name] = f"{what.replace('%I', 'NAME').replace('%i', 'NAME')}."
    return found


def entries() -> dict[str, str]:
    """Return the subject of each kind of journal entry in the catalog, by its message id."""
    text = (TOP / "systemd/ipsecwatch.catalog").read_text(encoding="utf-8")
    found = re.findall(r"^-- ([0-9a-f]{32})\nSubject: (.+)$", text, re.MULTILINE)
    return {id_: re.sub(r"@IPSECWATCH_(\w+)@", r"\1", subject) + "." for id_, subject in found}


def example(what: str, commands: str) -> str:
    """Return an example: commands, or the commands in a file's comment if it names a file."""
    file = TOP / commands
    if file.is_file():
        found = re.search(r"(?:^(?:#   |    )\S.*\n)+", file.read_text("utf-8"), re.MULTILINE)
        assert found, file
        commands = re.sub(r"^(#   |    )", "", found[0], flags=re.MULTILINE).rstrip("\n")
    return f"{roff.paragraph(what)}\n{roff.verbatim(commands)}"
