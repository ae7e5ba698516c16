# SPDX-License-Identifier: MIT
"""Restart the agent when a newer version was installed, since a session may last for weeks."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import Final

import ipsecwatch
from ipsecwatch import __version__

logger = logging.getLogger(__name__)

EXIT_RESTART: Final = 75
"""The exit code after which systemd starts the agent again (RestartForceExitStatus in its unit)."""
_VERSION: Final = re.compile(r"""^__version__ = ["']([0-9][0-9A-Za-z.+~-]*)["']""", re.MULTILINE)


def newer_version(on_the_bus: str) -> str:
    """Return the installed version if it is newer than that of this agent; otherwise "".

    ``on_the_bus`` is the version of the running service; "": it isn't known. The installed version
    is looked at only if the service is known to have another version than this agent. Versions are
    compared by the numbers at their beginning.
    """
    if on_the_bus in ("", __version__):
        return ""
    installed = installed_version()
    return installed if _parts(installed) > _parts(__version__) else ""


def installed_version() -> str:
    """Return the version that is now installed in the folder from which this package was loaded.

    Return "" if it can't be read.
    """
    try:
        text = Path(ipsecwatch.__file__ or "").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    found = _VERSION.search(text)
    return found[1] if found else ""


def _parts(version: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version: (1, 2) for ``1.2rc3``; () if none."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def restart() -> int:
    """Replace this process by the installed agent, and don't return; or return EXIT_RESTART.

    EXIT_RESTART is returned if systemd runs this agent, because systemd then starts it again, and
    if the installed agent can't be started.
    """
    if os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid()):
        return EXIT_RESTART
    program = sys.argv[0]
    # With ``python -m``, argv[0] isn't an executable file.
    command = sys.argv if os.access(program, os.X_OK) else [sys.executable, *sys.orig_argv[1:]]
    logger.warning("a newer version is installed; starting it")
    try:
        os.execv(command[0], command)  # noqa: S606 - what was started, with what it was given
    except OSError as e:
        logger.error("the newer version can't be started: %s", e)
        return EXIT_RESTART
