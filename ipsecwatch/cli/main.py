# SPDX-License-Identifier: MIT
"""The command line's table of verbs.

Each verb's module is imported when it is wanted: `ipsecwatch status` needn't pay for the agent.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import signal
import sys
from typing import Final

from ipsecwatch import __version__
from ipsecwatch.cli.common import EXIT_OK, EXIT_USAGE, Failure, fail

VERBS: Final = (
    "status", "monitor", "explain", "parse", "record", "redact", "replay", "daemon", "agent",
    "demo",
)  # fmt: skip


def run(argv: list[str]) -> int:
    """Parse the command line, run its verb, and answer the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a locale that isn't UTF-8 has no “●”
            stream.reconfigure(errors="backslashreplace")
    # Output into `head` ends quietly, as other tools do.
    try:
        return _run(argv)
    except Failure as failure:
        return fail(failure)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(argv: list[str]) -> int:
    parser = _parser(argv)
    args = parser.parse_args(argv)
    if not hasattr(args, "run"):
        parser.print_help()
        return EXIT_USAGE
    code: int = args.run(args)
    sys.stdout.flush()
    return code


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ipsecwatch", description="Watches libreswan IPsec tunnels, and only watches."
    )
    parser.add_argument("--version", action="version", version=f"ipsecwatch {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB")
    wanted = [v for v in VERBS if v in argv[:1]]
    for name in wanted or VERBS:
        importlib.import_module(f"ipsecwatch.cli.{name}").add(verbs)
    return parser
