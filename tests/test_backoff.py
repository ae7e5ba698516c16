# SPDX-License-Identifier: MIT
from __future__ import annotations

from ipsecwatch.backoff import Backoff


def test_pauses_grow_to_the_last_one_and_begin_anew_after_a_success() -> None:
    backoff = Backoff((0.5, 1.0, 5.0))
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 5.0, 5.0, 5.0]
    assert backoff.failures == 5
    backoff.reset()
    assert backoff.failures == 0
    assert backoff.next() == 0.5
