# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from ipsecwatch.cli import main
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.explain import lookup
from ipsecwatch.cli.explain.own_words import STATE_MEANINGS, own_words
from ipsecwatch.reasons import REASON_TEXTS
from ipsecwatch.tunnel import Reason, TunnelState


@pytest.mark.parametrize("state", TunnelState)
def test_every_state_is_told(state: TunnelState) -> None:
    for word in (state.value, state.value.upper(), f" {state.value} "):
        assert STATE_MEANINGS[state] in [w.meaning for w in own_words(word)]
    assert state.value in lookup.explanation(state.value, terminal.Paint(False), 80)


@pytest.mark.parametrize("state", TunnelState)
def test_no_state_says_that_traffic_passes_which_nobody_measured(state: TunnelState) -> None:
    assert "passes" not in STATE_MEANINGS[state]


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_told_with_its_advice(reason: Reason) -> None:
    for word in (reason.value, reason.value.upper(), reason.value.replace("-", "_")):
        (found,) = (w for w in own_words(word) if w.kind == "reason")
        assert found.meaning.startswith(REASON_TEXTS[reason].sentence)
        assert found.advice == REASON_TEXTS[reason].advice


def test_a_silent_peer_may_have_refused_our_proposal() -> None:
    told = lookup.explanation("no-answer", terminal.Paint(False), 200)
    assert "refuses our ike= proposal" in told
    for word in ("STATE_PARENT_I1", "IKE_SA_INIT_I", "sent IKE_SA_INIT request", "STATE_MAIN_I1"):
        assert "refuses our ike= proposals" in " ".join(lookup.states(word)[0].sticks.split())


def test_the_list_has_every_reason_in_words_and_as_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main.run(["explain", "--list"]) == 0
    screen = capsys.readouterr().out
    assert main.run(["explain", "--list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == 1
    assert set(found["reasons"]) == set(Reason)
    assert set(found["states"]) == set(TunnelState)
    for code, told in found["reasons"].items():
        assert code in screen
        assert told == asdict(REASON_TEXTS[Reason(code)])
    assert all(told["sentence"] and told["advice"] for told in found["ours"].values())
