# SPDX-License-Identifier: MIT
"""The page of the service, from its journal catalog and the files that come with it."""

from __future__ import annotations

import re
from pathlib import Path

import roff

from ipsecwatch import __version__, config

TOP = Path(__file__).parents[2]

DESCRIPTION = """
Asks libreswan's daemon pluto over its control socket how things are, works out the state of each
tunnel, and announces each change on the system D-Bus as ``org.ipsecwatch1`` and in the journal,
with the reason. It changes nothing in libreswan and neither starts nor stops it. However often it
is asked, pluto spends at most 2 % of its time on answering.

It runs as root, since pluto answers nobody else, without a single capability and without network.
It is started with the machine, never by a message on the bus: a watcher that was stopped stays
stopped.

  systemctl enable --now ipsecwatch
  systemctl reload ipsecwatch
  ipsecwatch doctor

Where several plutos run on a machine, each other one has an instance ``ipsecwatch@NAME.service``,
with a bus name of its own, ``org.ipsecwatch1.NAME``; ``--instance NAME`` asks it.
"""

JOURNAL = """
Each transition is one entry, after the signal on the bus. Its fields begin with ``IPSECWATCH_``:
``TUNNEL``, ``STATE``, ``OLD_STATE``, ``REASON``, ``SERIAL``, ``RUN_ID``, ``PEER``, ``DETAIL``.
``journalctl -x`` explains an entry. ``MESSAGE_ID`` tells the kinds apart:
"""

SIGNALS = {
    "SIGHUP": """Read the settings again. Where they can't be used the old ones stay, and the
        journal says so.""",
    "SIGTERM, SIGINT": "End, after what was found out has been told and kept.",
}

ENVIRONMENT = {
    "IPSECWATCH_DEBUG": """Modules that write to the journal what they do, with commas between:
        ``pluto,service.bus``, or ``all``. It is set with ``systemctl edit ipsecwatch``.""",
}

PLACES = {
    str(config.SERVICE_FILE): "Settings: see ipsecwatch.toml(5).",
    f"{config.INSTANCES}/NAME.toml": "The same of an instance, ``ipsecwatch@NAME.service``.",
    "/run/ipsecwatch": "What a restarted service has to know, so that it tells nothing twice.",
    "/usr/share/ipsecwatch/xfrm.conf": "A drop-in for the unit, for the kernel's XFRM events.",
    "/usr/share/ipsecwatch/restrict-to-group.conf": """A bus policy for machines where not every
        user may see the tunnels.""",
    "/usr/share/ipsecwatch/ask-instance.conf": """A bus policy that lets others than root ask an
        instance.""",
    "/usr/share/dbus-1/system.d/org.ipsecwatch1.conf": "Who may have the name, and who may ask.",
    "/usr/share/polkit-1/actions/org.ipsecwatch1.policy": "Who may see addresses and identities.",
}

EXAMPLES = {
    "What happened to a tunnel:": "journalctl -x IPSECWATCH_TUNNEL=site",
    "Hear the kernel's XFRM events, too:": "systemd/xfrm.conf",
    "Let only one group see the tunnels:": "packaging/restrict-to-group.conf",
    "Let every user ask an instance:": "packaging/ask-instance.conf",
}
"""Commands, or the file whose comment has them."""


def page() -> str:
    """Write ipsecwatch(8)."""
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
    """List the units of the system, each with its own description."""
    found = {}
    for file in sorted((TOP / "systemd").glob("*.service")):
        text = file.read_text(encoding="utf-8")
        [what] = re.findall(r"^Description=(.+)$", text, re.MULTILINE)
        if "WantedBy=graphical-session.target" not in text:
            found[file.name] = f"{what.replace('%I', 'NAME').replace('%i', 'NAME')}."
    return found


def entries() -> dict[str, str]:
    """List the kinds of entries: their ids, and what the catalog says of each in a line."""
    text = (TOP / "systemd/ipsecwatch.catalog").read_text(encoding="utf-8")
    found = re.findall(r"^-- ([0-9a-f]{32})\nSubject: (.+)$", text, re.MULTILINE)
    return {id_: re.sub(r"@IPSECWATCH_(\w+)@", r"\1", subject) + "." for id_, subject in found}


def example(what: str, commands: str) -> str:
    """Show commands, or those that the comment of a file gives."""
    file = TOP / commands
    if file.is_file():
        found = re.search(r"(?:^(?:#   |    )\S.*\n)+", file.read_text("utf-8"), re.MULTILINE)
        assert found, file
        commands = re.sub(r"^(#   |    )", "", found[0], flags=re.MULTILINE).rstrip("\n")
    return f"{roff.paragraph(what)}\n{roff.verbatim(commands)}"
