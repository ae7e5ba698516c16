# SPDX-License-Identifier: MIT
"""``ipsecwatch agent``: shows desktop notifications in the user's session."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ipsecwatch.agent import language, session
from ipsecwatch.cli.parser import verb
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.config import agent_file

if TYPE_CHECKING:
    import argparse

EXAMPLES: Final = (
    ("systemctl --user start ipsecwatch-agent", "start the agent as usual"),
    ("ipsecwatch agent --config ./test.toml", "without systemd, with other settings"),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "agent", VERBS["agent"], run, EXAMPLES)
    parser.add_argument(
        "--config", type=Path, metavar="F",
        help="read F instead of ~/.config/ipsecwatch/agent.toml",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    logging.basicConfig(format="ipsecwatch: %(message)s", level=logging.WARNING)
    language.choose()
    return asyncio.run(session.run((args.config or agent_file()).absolute()))
