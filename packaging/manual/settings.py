# SPDX-License-Identifier: MIT
"""Make the manual pages of the settings files, from the classes of the settings."""

from __future__ import annotations

import ast
import inspect
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import roff

from ipsecwatch import __version__, config
from ipsecwatch.config import AgentSettings, Settings

if TYPE_CHECKING:
    from dataclasses import Field

READING = """
The format is TOML: one ``key = value`` on each line; ``#`` begins a comment. An unknown key, a
value of the wrong type or a value out of bounds is an error, which is reported with file and line.
``ipsecwatch check-config`` checks the files.
"""

SERVICE = f"""
``ipsecwatch.service`` reads these settings when it starts. Every setting has a default, and the
file may be missing. Files in the folder are read after the file, in order of name. If several files
set the same key, the last one counts.
{READING}
After a change, run ``systemctl reload ipsecwatch``. If the new settings can't be used, the reload
fails and the old settings stay in use. Times are in seconds, sizes in bytes.
"""

AGENT = f"""
``ipsecwatch-agent.service`` reads these settings in each user's session. Every setting has a
default, and the file may be missing. If ``XDG_CONFIG_HOME`` is set, the file is in that folder.
{READING}
The agent reads the file again when it changes. If it has a mistake, a notification says so, and the
old settings stay in use. Times are in seconds.
"""

SERVICE_EXAMPLES = """
Poll less often, and give a slow peer more time:

  interval = 15
  stuck_after = 120

Watch a pluto that no systemd unit starts, and that logs to a file:

  control_socket = "/run/other/pluto.ctl"
  log_file = "/var/log/pluto.log"
"""

AGENT_EXAMPLES = """
Notify only of losses, and never of the laboratory's tunnels:

  up = false
  ignore = ["lab-*"]

Give some tunnels more time:

  [tunnels."lab-*"]
  up = false
  settle = 30
"""

TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}


def service() -> str:
    """Return the page ipsecwatch.toml(5)."""
    file = config.SERVICE_FILE
    what = "settings of the service that watches IPsec tunnels"
    return "\n".join([
        roff.title(file.name, 5, __version__, what),
        roff.section("synopsis", roff.paragraph(str(file)), roff.paragraph(f"{file}.d/*.toml")),
        roff.section("description", roff.blocks(SERVICE)),
        roff.section("settings", keys(Settings)),
        roff.section("examples", roff.blocks(SERVICE_EXAMPLES)),
        roff.see_also("ipsecwatch(1)", "ipsecwatch(8)", "ipsec.conf(5)"),
    ])  # fmt: skip


def agent() -> str:
    """Return the page ipsecwatch-agent.toml(5)."""
    what = "settings of the desktop notifications about IPsec tunnels"
    return "\n".join(
        [
            roff.title("ipsecwatch-agent.toml", 5, __version__, what),
            roff.section("synopsis", roff.paragraph("~/.config/ipsecwatch/agent.toml")),
            roff.section("description", roff.blocks(AGENT)),
            roff.section("settings", keys(AgentSettings)),
            roff.section("examples", roff.blocks(AGENT_EXAMPLES)),
            roff.see_also("ipsecwatch(1)", "ipsecwatch.toml(5)", "systemctl(1)"),
        ]
    )


def keys(kind: type[Settings | AgentSettings]) -> str:
    """Return the description of each key: its meaning, type, bounds and default."""
    meanings = docstrings(kind)
    return "\n".join(
        roff.tagged(f.name, roff.inline(meanings[f.name]), ".br", roff.inline(values(f)))
        for f in fields(kind)
    )


def values(field: Field[Any]) -> str:
    """Return which values a key may have, and its default, in a sentence."""
    default, bounds = field.default, field.metadata
    if isinstance(default, tuple):
        tables = "tuple[tuple[" in str(field.type)
        return "Tables; default: none." if tables else "A list; default: ``[]``."
    what = "an absolute path" if bounds.get("path") else TYPES[type(default)]
    if "choices" in bounds:
        what = f"one of {', '.join(f'``{toml(choice)}``' for choice in bounds['choices'])}"
    if "low" in bounds:
        what += f" from {bounds['low']} to {bounds['high']}"
    return f"{what[:1].upper()}{what[1:]}; default: ``{toml(default)}``."


def toml(value: object) -> str:
    """Return a value in TOML's form."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def docstrings(kind: type) -> dict[str, str]:
    """Return the docstring below each field of a class and of its base classes, by field."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__[:-1]):
        [tree] = ast.parse(inspect.getsource(each)).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(ast.Constant(str(said))):
                    found[name] = inspect.cleandoc(said)
    return found
