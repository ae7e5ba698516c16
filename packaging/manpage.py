# SPDX-License-Identifier: MIT
"""Write ipsecwatch(1) to stdout. Verbs and options are asked of the command line itself."""

from __future__ import annotations

import argparse
import sys

from ipsecwatch import __version__
from ipsecwatch.cli.main import parser_of
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.config import SERVICE_FILE

HEAD = f""".\\" SPDX-License-Identifier: MIT
.TH IPSECWATCH 1 "" "ipsecwatch {__version__}" "User Commands"
.SH NAME
ipsecwatch \\- watch libreswan IPsec tunnels
.SH SYNOPSIS
.B ipsecwatch
.I VERB
.RI [ OPTION ...]
.SH DESCRIPTION
Tells which of libreswan's tunnels are up, down or stuck in negotiation, why, and what to do about
it.
A service,
.BR ipsecwatch.service ,
asks libreswan's daemon pluto and announces each change on the system D\\-Bus, as
.BR org.ipsecwatch1 ,
and in the journal.
An agent in the user's session shows notifications.
This command shows people the same facts.
It only watches: nothing in libreswan is ever changed.
.SH VERBS
"""

TAIL = f""".SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
The answer is no: a tunnel that was named isn't up, or waiting for it timed out.
.TP
.B 2
Wrong usage, or settings that cannot be used.
.TP
.B 3
Could not find out: pluto or the service cannot be reached, or there is no such tunnel.
.SH ENVIRONMENT
.TP
.B NO_COLOR
If set and not empty, nothing is coloured.
.SH FILES
.TP
.I {SERVICE_FILE}
Settings of the service, and its defaults; then those in
.IR {SERVICE_FILE.name}.d/*.toml .
.TP
.I ~/.config/ipsecwatch/agent.toml
Settings of the agent: what to tell of
.RB ( up ,
.BR down ,
.BR stuck ,
.BR managed ),
what not
.RB ( ignore ),
and when
.RB ( settle ,
.BR burst ).
.TP
.I /usr/share/ipsecwatch/xfrm.conf
A drop\\-in for the service's unit that lets it hear the kernel's XFRM events.
.TP
.I /usr/share/dbus\\-1/interfaces/org.ipsecwatch1.*.xml
What programs can ask for and subscribe to.
.SH SEE ALSO
.BR ipsec (8),
.BR ipsec.conf (5),
.BR busctl (1),
.BR journalctl (1)
"""


def escape(text: str) -> str:
    """Make text safe for roff: backslashes, hyphens, and what begins a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in {".", "'"} else text


def sentence(text: str | None) -> str:
    """Begin with a capital letter and end with a full stop."""
    text = " ".join((text or "").split()).replace("%%", "%")
    return escape(text[:1].upper() + text[1:] + ("" if text.endswith(".") else "."))


def verb(name: str, parser: argparse.ArgumentParser, summary: str) -> str:
    """Describe a verb and its options."""
    usage = " ".join(parser.format_usage().split()).removeprefix("usage: ipsecwatch ")
    lines = [".TP", f".B {escape(usage.replace(' [-h]', ''))}", sentence(summary)]
    # As argparse's own help does; there is no public way to its parts.
    formatter = argparse.HelpFormatter("ipsecwatch")
    options = [a for a in parser._actions if a.help and a.dest != "help"]  # noqa: SLF001
    if options:
        lines.append(".RS")
        for action in options:
            shown = formatter._format_action_invocation(action)  # noqa: SLF001
            lines += [".TP", f".B {escape(shown)}", sentence(formatter._expand_help(action))]  # noqa: SLF001
        lines.append(".RE")
    return "\n".join(lines) + "\n"


def verbs() -> str:
    """Describe all verbs, in the order of the command line's help."""
    return "".join(verb(name, parser_of(name), does) for name, does in VERBS.items())


def main() -> None:
    """Write the page."""
    sys.stdout.write(HEAD + verbs() + TAIL)


if __name__ == "__main__":
    main()
