# SPDX-License-Identifier: MIT
"""``ipsecwatch daemon``: what ipsecwatch.service starts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ipsecwatch import config
from ipsecwatch.cli.common import (
    EXIT_OK,
    EXIT_UNKNOWN,
    EXIT_USAGE,
    Failure,
    add_instance,
    instance_settings,
    verb,
)
from ipsecwatch.cli.verbs import VERBS
from ipsecwatch.libsystemd.binding import NoLibraryError, binding
from ipsecwatch.pluto.sandbox import hidden_folder
from ipsecwatch.service.bus import RefusedError, SocketTakenError
from ipsecwatch.service.daemon import CoreEndedError, Service
from ipsecwatch.service.journald import Sender, log_to
from ipsecwatch.service.state_file import StateFile
from ipsecwatch.service.worker import share_the_processor

if TYPE_CHECKING:
    import argparse

EXIT_FAILED = 1
"""A fault of ours ended the service: systemd's Restart=on-failure starts it again."""

EXAMPLES: Final = (
    ("systemctl start ipsecwatch", "how it is started"),
    ("ipsecwatch daemon --config ./test.toml", "by hand, with other settings"),
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = verb(verbs, "daemon", VERBS["daemon"], run, EXAMPLES)
    parser.add_argument(
        "--config", type=Path, metavar="F", help="settings, instead of those in /etc/ipsecwatch"
    )
    add_instance(parser)


def run(args: argparse.Namespace) -> int:
    settings = instance_settings(args.instance, args.config)
    if folder := hidden_folder(settings.control_socket):
        raise Failure(
            f"control_socket lies in {folder}, which the service's sandbox hides from it",
            "Have pluto make its socket elsewhere, below /run for example",
            EXIT_USAGE,
        )
    _require_libsystemd()
    sender = Sender()
    log_to(sender)
    share_the_processor()
    try:
        asyncio.run(_serve(settings, sender, args.instance, args.config))
    except RefusedError as e:
        # What takes other settings isn't tried again and again.
        code = EXIT_USAGE if isinstance(e, SocketTakenError) else EXIT_UNKNOWN
        raise Failure(str(e), e.hint, code) from e
    except CoreEndedError:  # it was logged; systemd starts the service again
        return EXIT_FAILED
    finally:
        sender.close()
    return EXIT_OK


def _require_libsystemd() -> None:
    """Raise Failure where systemd's library can't be used: no start will mend that."""
    try:
        binding()
    except NoLibraryError as e:
        raise Failure(str(e), e.hint, EXIT_USAGE) from e


async def _serve(
    settings: config.Settings, sender: Sender, instance: str, path: Path | None
) -> None:
    path = path or config.settings_file(instance)
    await Service(settings, sender, path, StateFile.of_unit(), instance).run()
