# SPDX-License-Identifier: MIT
"""Tests of which client replaces which, by the order of log lines."""

from __future__ import annotations

import pytest

from ipsecwatch.libreswan.log_lines import interpret, parse_line
from ipsecwatch.tracking.newcomers import MAX_COMING, Newcomers

CAME = '"rw"[2] 192.0.2.8 #3: responder established IKE SA; authenticated peer'
HAND = '"rw"[1] 192.0.2.7: terminating SAs using this connection'
DROPPED = '"rw"[1] 192.0.2.7: deleting connection instance with peer 192.0.2.7 {isakmp=#1/ipsec=#2}'
EMPTY = '"rw"[1] 192.0.2.7: deleting connection instance with peer 192.0.2.7 {isakmp=#0/ipsec=#0}'
ITS = '"rw"[1] 192.0.2.7 #2: ESP traffic information: in=0B out=0B'
CHILD = '"rw"[2] 192.0.2.8 #4: responder established Child SA using #3; IPsec tunnel'
KNOCK = '"rw"[2] 192.0.2.8 #3: processing decrypted IKE_AUTH request: SK{IDi,AUTH,SA,TSi,TSr}'
THIRD = '"rw"[9] 192.0.2.99 #7: sent IKE_AUTH request'
REFUSED = '"rw"[2] 192.0.2.8 #4: CHILD SA encountered fatal error: TS_UNACCEPTABLE'
REKEYED = '"rw"[2] 192.0.2.8 #3: responder rekeyed IKE SA #1 {cipher=AES_GCM_16_256}'
V1 = '"rw"[2] 192.0.2.8 #3: ISAKMP SA established {auth=PRESHARED_KEY}'


def replaced(*lines: str, step: float = 0.1) -> list[tuple[str, str]]:
    """Return the replacements that these lines show, as (old address, new address).

    ``step``: how many seconds are between two lines.
    """
    newcomers = Newcomers()
    for n, line in enumerate(lines):
        said = parse_line(line)
        assert said is not None
        newcomers.note(said, interpret(said), n * step)
    return [(r.old, r.new) for r in newcomers.replacements]


ONE = [("192.0.2.7", "192.0.2.8")]


@pytest.mark.parametrize(
    ("lines", "who"),
    [
        ((CAME, HAND, ITS, EMPTY, CHILD), ONE),  # 5.0 and later
        ((CAME, THIRD, HAND, ITS, EMPTY, CHILD), ONE),  # signing takes a moment
        ((CAME, DROPPED, ITS, CHILD), ONE),  # up to 4.15
        ((DROPPED, ITS, V1), ONE),  # IKEv1
        ((DROPPED, ITS, KNOCK, V1), ONE),
        ((HAND, ITS, V1), ONE),  # 5.0 and later, IKEv1
        ((HAND, ITS, EMPTY), []),  # by hand
        ((HAND, ITS, KNOCK, CAME), []),  # by hand, and another client comes then
        ((CAME, CHILD, HAND), []),
        ((CAME, REFUSED, HAND), []),
        ((REKEYED, HAND, ITS), []),
        ((V1, HAND, ITS), []),
        ((DROPPED, THIRD, CAME), []),
        ((CAME, HAND.replace("[1]", "[2]")), []),
        ((CAME.replace('"rw"', '"other"'), HAND), []),
    ],
)
def test_a_newcomer_and_whom_it_replaces_are_told_of_in_one_go(
    lines: tuple[str, ...], who: list[tuple[str, str]]
) -> None:
    assert replaced(*lines) == who


def test_lines_that_come_later_are_of_something_else() -> None:
    assert replaced(CAME, HAND, step=1.9) == ONE
    assert replaced(CAME, HAND, step=2.1) == []
    assert replaced(DROPPED, V1, step=1.9) == ONE
    assert replaced(DROPPED, V1, step=2.1) == []


def test_who_is_coming_is_bounded() -> None:
    newcomers = Newcomers()
    for n in range(2 * MAX_COMING):
        said = parse_line(CAME.replace("[2]", f"[{n}]"))
        assert said is not None
        newcomers.note(said, interpret(said), 0.0)
    assert len(newcomers._coming) == MAX_COMING
