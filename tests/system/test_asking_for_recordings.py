# SPDX-License-Identifier: MIT
"""Tests that wherever people are asked to report something, a redacted text is asked for."""

from __future__ import annotations

import re

import pytest

from tests.support.paths import TOP

ASKING = [
    "README.md",
    "CONTRIBUTING.md",
    "systemd/ipsecwatch.catalog",
    "ipsecwatch/reasons.py",
    "ipsecwatch/cli/explain/overview.py",
    *(str(path.relative_to(TOP)) for path in sorted(TOP.glob(".github/ISSUE_TEMPLATE/*.md"))),
]
ASKED = re.compile(r"\b[Rr]eport\s+(?:it|them)\b(.{0,160})", re.DOTALL)
"""Finds a request to report something, and the text after it."""


@pytest.mark.parametrize("page", ASKING)
def test_who_is_asked_to_report_something_is_asked_for_a_redacted_text(page: str) -> None:
    for asked in ASKED.findall((TOP / page).read_text(encoding="utf-8")):
        assert "redact" in asked


@pytest.mark.parametrize("page", [page for page in ASKING if "ISSUE_TEMPLATE" in page])
def test_an_issue_template_asks_for_a_redacted_text_and_no_other(page: str) -> None:
    text = (TOP / page).read_text(encoding="utf-8")
    assert "redact" in text
    assert re.findall(r"ipsecwatch record(?! --redact)", text) == []


def test_the_pages_ask_at_all() -> None:
    """If no request were found, the other tests here would prove nothing."""
    asking = [p for p in ASKING if ASKED.search((TOP / p).read_text(encoding="utf-8"))]
    assert {"README.md", "systemd/ipsecwatch.catalog", "ipsecwatch/reasons.py"} <= set(asking)
