# SPDX-License-Identifier: MIT
"""Tests of ranges for monitoring plugins, by the table in their guidelines."""

from __future__ import annotations

import pytest

from ipsecwatch.cli.check.threshold import Threshold

TABLE: dict[str, tuple[list[float], list[float]]] = {
    "10": ([-1, 11, 10.5], [0, 5, 10]),
    "10:": ([9, 0, -1, 9.9], [10, 11, 1e9]),
    "~:10": ([10.1, 11], [-1e9, 0, 10]),
    "10:20": ([9, 21], [10, 15, 20]),
    "@10:20": ([10, 15, 20], [9, 21]),
    "@~:0": ([0, -1], [1]),
    "-5:-1": ([0, -6], [-5, -3, -1]),
    ":3": ([-1, 4], [0, 3]),
    "0.5:1.5": ([0.4, 2], [0.5, 1]),
    "@5": ([0, 5], [-1, 6]),
}


@pytest.mark.parametrize("text", TABLE)
def test_a_range_alerts_as_the_guidelines_say(text: str) -> None:
    threshold = Threshold.parse(text)
    alerts, fine = TABLE[text]
    assert [v for v in alerts if not threshold.alerts(v)] == []
    assert [v for v in fine if threshold.alerts(v)] == []
    assert threshold.text == text


@pytest.mark.parametrize("text", ["", ":", "@", "~", "@:", "ten", "20:10", "1:2:3", "1 :2", "٣"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="range"):
        Threshold.parse(text)
