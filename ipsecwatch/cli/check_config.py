# SPDX-License-Identifier: MIT
"""``ipsecwatch check-config``: checks the settings files of the service and of the agent.

The service's unit runs this verb before the service reads new settings, so that ``systemctl
reload`` fails if they have a mistake.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch import config
from ipsecwatch.cli.common import has_settings
from ipsecwatch.cli.failure import EXIT_NO, EXIT_OK, EXIT_UNKNOWN, Failure
from ipsecwatch.cli.parser import add_instance, verb
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.config import AgentSettings, ConfigError, Settings, UnreadableError
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    import argparse

EXAMPLES: Final = (
    ("ipsecwatch check-config", "the service's and your agent's"),
    ("ipsecwatch check-config --service new.toml", "a file, before you install it"),
)

_LONGEST: Final = 500
"""The number of characters of a path or an error that are printed at most."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result for one settings file. A folder that can't be listed has a result of its own."""

    file: Path
    present: bool
    """Whether the file exists. True also if ``problems`` isn't empty, whatever the problem is."""
    problems: tuple[ConfigError, ...]


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "check-config", VERBS["check-config"], run, EXAMPLES)
    parser.add_argument(
        "--service", nargs="?", type=Path, const=config.SERVICE_FILE, metavar="F",
        help="check only the service's settings: F and the folder F.d "
        f"(default: {config.SERVICE_FILE})",
    )  # fmt: skip
    parser.add_argument(
        "--agent", nargs="?", type=Path, const=config.agent_file(), metavar="F",
        help="check only the agent's settings: F (default: ~/.config/ipsecwatch/agent.toml)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_instance(parser)


def run(args: argparse.Namespace) -> int:
    service, agent = args.service, args.agent
    if args.instance and service in (None, config.SERVICE_FILE):
        service = config.settings_file(args.instance)
    for file in filter(None, (service, agent)):
        # The usual files needn't exist; a file that the user names must exist, and so must an
        # instance's settings.
        ours = file in (config.SERVICE_FILE, config.agent_file())
        if not (ours or has_settings(file)):
            raise Failure(f"there is no {clean(str(file))}", "Give a file that exists")
    if service is None and agent is None:
        service, agent = config.SERVICE_FILE, config.agent_file()
    checked = check(service, agent)
    if args.json:
        print(json.dumps({"format": 1, "files": [_json(c) for c in checked]}))
    else:
        _print(checked)
    return _exit_code(checked)


def check(service: Path | None, agent: Path | None) -> list[Checked]:
    """Check the service's settings file and the agent's; None: don't check that one.

    Return one result for each of them, and one for each ``*.toml`` in the service's folder, which
    has ``.d`` behind the file's name. If the folder can't be listed, it has a result itself.
    """
    checked = []
    if service is not None:
        try:
            checked += [_check(file, Settings) for file in config.service_files(service)]
        except ConfigError as e:
            folder = Path(f"{service}.d")
            checked += [_check(service, Settings), Checked(folder, present=True, problems=(e,))]
    if agent is not None:
        checked.append(_check(agent, AgentSettings))
    return checked


def _check(file: Path, kind: type[Settings | AgentSettings]) -> Checked:
    found = config.problems(file, kind)
    return Checked(file, bool(found) or file.exists(), tuple(found))


def _exit_code(checked: list[Checked]) -> int:
    """Return EXIT_OK if there are no problems, and EXIT_NO if a file has a mistake.

    Return EXIT_UNKNOWN if files can't be read, and those that can be have no mistake.
    """
    found = [problem for c in checked for problem in c.problems]
    if all(isinstance(problem, UnreadableError) for problem in found):
        return EXIT_UNKNOWN if found else EXIT_OK
    return EXIT_NO


def _print(checked: list[Checked]) -> None:
    for c in checked:
        for problem in c.problems:
            print(f"ipsecwatch: {clean(str(problem), _LONGEST)}", file=sys.stderr)
        if not c.problems:
            found = "can be used" if c.present else "doesn't exist: every setting has its default"
            print(f"{clean(str(c.file), _LONGEST)} {found}")


def _json(c: Checked) -> dict[str, Any]:
    told = [clean(str(problem), _LONGEST) for problem in c.problems]
    return {"file": clean(str(c.file), _LONGEST), "present": c.present, "problems": told}
