# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.tunnel import Reason


def test_every_reason_has_words() -> None:
    assert REASON_TEXTS.keys() == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_words_are_a_sentence_and_a_next_step(reason: Reason) -> None:
    words = REASON_TEXTS[reason]
    assert words.sentence[0].isupper()
    assert words.sentence.endswith(".")
    assert words.sentence.count(". ") == 0
    done = {Reason.NONE, Reason.OPERATOR, Reason.UNLOADED}
    assert bool(words.advice) == (reason not in done)
    assert len(words.sentence) <= 60
    assert len(words.advice) <= 120
