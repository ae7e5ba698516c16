# SPDX-License-Identifier: MIT
"""Tests of suggestions for names and words that were mistyped."""

from __future__ import annotations

import time

import pytest

from ipsecwatch.cli import main, suggest
from ipsecwatch.cli.failure import EXIT_UNKNOWN, EXIT_USAGE

GATEWAYS = [f"gw-{n:04}" for n in range(5000)]


@pytest.mark.parametrize(
    ("name", "names", "hint"),
    [
        ("ofice", ["office", "paris"], "Did you mean office?"),
        ("OFFICE", ["office", "paris"], "Did you mean office?"),
        ("off", ["office", "paris"], "Did you mean office?"),
        ("gw-0042x", GATEWAYS, "Did you mean gw-0042"),
        ("london", ["office", "paris"], "There are: office, paris"),
        ("london", [], "There are: none"),
        ("london", GATEWAYS, "List all 5,000 tunnels: ipsecwatch status"),
        ("", GATEWAYS, "List all 5,000 tunnels: ipsecwatch status"),
        ("a" * 100_000, ["office"], "There are: office"),
    ],
)
def test_the_hint_for_an_unknown_tunnel_is_what_helps_most(
    name: str, names: list[str], hint: str
) -> None:
    failure = suggest.no_such_tunnel(name, names)
    assert failure.hint.startswith(hint)
    assert failure.code == EXIT_UNKNOWN
    assert len(failure.message) < 300


def test_a_hint_names_three_at_most() -> None:
    assert suggest.no_such_tunnel("gw-00", GATEWAYS).hint.count("gw-") == 3


def test_nothing_of_an_unknown_name_reaches_the_terminal_raw() -> None:
    failure = suggest.no_such_tunnel("a\x1b[2J\nb", ["office"])
    assert failure.message == r"no such tunnel: a\x1b[2J\nb".replace(r"\n", r"\x0a")


@pytest.mark.parametrize(
    ("verb", "hint"),
    [
        ("statsu", "Did you mean status?"),
        ("mon", "Did you mean monitor?"),
        ("xyzzy", "List all verbs: ipsecwatch --help"),
    ],
)
def test_the_hint_for_an_unknown_verb_is_one_that_is_like_it(verb: str, hint: str) -> None:
    failure = suggest.no_such_verb(verb)
    assert (failure.hint, failure.code) == (hint, EXIT_USAGE)


def test_thousands_of_names_as_long_as_a_peer_may_make_them_are_compared_in_little_time() -> None:
    long = [f"{n:05}" + "ab" * 125 for n in range(5000)]
    began = time.process_time()
    suggest.did_you_mean("ba" * 128, long)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["status", "--wach"], "unrecognized arguments: --wach. Did you mean --watch?"),
        (["status", "-watch"], "unrecognized arguments: -watch. Did you mean --watch?"),
        (["monitor", "--exec-limt=3"], "Did you mean --exec-limit or --exec?"),
        (["wait", "office", "--fro", "up"], "are required: --for. Did you mean --for?"),
        (["--vesion"], "unrecognized arguments: --vesion. Did you mean --version?"),
        (["wait", "--any", "office", "--for", "pu"], "See: ipsecwatch wait --help"),
        (["status", "--xyzzy", "--\x1b"], "See: ipsecwatch status --help"),
    ],
)
def test_the_hint_for_an_unknown_option_is_one_that_is_like_it(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == EXIT_USAGE
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.endswith(f"{hint}\n")
