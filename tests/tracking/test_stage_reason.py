# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace

import pytest

from ipsecwatch.libreswan.status import parse
from ipsecwatch.report import Role, SaKind, SaState, Stage, Timer
from ipsecwatch.tracking.stage_reason import is_no_more, reason_by_stage
from ipsecwatch.tunnel import Reason
from tests.support.recordings import ROOT, statuses
from tests.support.reports import child, ike


def begun(stage: Stage, kind: SaKind = SaKind.IKE, story: str = "") -> SaState:
    make = ike(1, "site") if kind is SaKind.IKE else child(1, "site", None)
    return replace(make, role=Role.INITIATOR, stage=stage, story=story)


def half_open(*timers: str) -> SaState:
    state = replace(begun(Stage.HALF_OPEN), ike_version=2)
    return replace(state, timers=tuple(Timer(name, 42) for name in timers))


STAGES = {
    "nobody answers": ((begun(Stage.HALF_OPEN),), Reason.NO_ANSWER),
    "nobody answers the second message": ((begun(Stage.OPEN),), Reason.NO_ANSWER),
    "our proof isn't taken": ((begun(Stage.AUTHENTICATING),), Reason.AUTHENTICATION),
    "nor is the password": (
        (begun(Stage.AUTHENTICATING, story="XAUTH client - possibly awaiting CFG_set"),),
        Reason.CREDENTIALS,
    ),
    "no address comes": ((begun(Stage.CONFIG),), Reason.CHILD_MISSING),
    "phase 2 gets no answer": (
        (ike(1, "site"), begun(Stage.NEGOTIATING_CHILD, SaKind.CHILD)),
        Reason.CHILD_MISSING,
    ),
    "an IKE SA without a Child": ((ike(1, "site"),), Reason.CHILD_MISSING),
    "the furthest counts": (
        (begun(Stage.AUTHENTICATING), begun(Stage.HALF_OPEN)),
        Reason.AUTHENTICATION,
    ),
    "somebody knocks": (
        (replace(ike(1, "site"), role=Role.RESPONDER, stage=Stage.HALF_OPEN),),
        Reason.NONE,
    ),
    "we were answered, and have no secret": (
        (half_open("EVENT_CRYPTO_TIMEOUT"),),
        Reason.AUTHENTICATION,
    ),
    "the same up to 3.21": ((half_open("EVENT_CRYPTO_FAILED"),), Reason.AUTHENTICATION),
    "the same from 4.5 on": ((half_open("CRYPTO_TIMEOUT"),), Reason.AUTHENTICATION),
    "we repeat our request": (
        (half_open("CRYPTO_TIMEOUT", "RETRANSMIT"),),
        Reason.NO_ANSWER,
    ),
    "IKEv1's first message": (
        (replace(half_open("CRYPTO_TIMEOUT"), ike_version=1),),
        Reason.NO_ANSWER,
    ),
    "one that goes": ((begun(Stage.DELETING),), Reason.NONE),
    "nothing": ((), Reason.NONE),
}


@pytest.mark.parametrize("case", STAGES)
def test_a_stage_says_what_is_waited_for(case: str) -> None:
    states, reason = STAGES[case]
    assert reason_by_stage(states, wanted=False) is reason


def test_what_is_wanted_up_and_has_no_state_fails_for_a_cause_that_no_stage_tells() -> None:
    assert reason_by_stage((), wanted=True) is Reason.OTHER


def test_where_the_log_was_not_heard_no_stage_says_why() -> None:
    for states, reason in STAGES.values():
        told = reason_by_stage(states, wanted=False, logged=False)
        assert told is (Reason.NONE if reason is Reason.NONE else Reason.OTHER)


@pytest.mark.parametrize("full", Reason)
def test_a_vaguer_reason_is_none_that_is_as_concrete(full: Reason) -> None:
    vaguer = {r for r in Reason if is_no_more(r, full)}
    removed = {Reason.UNLOADED} if full is Reason.OPERATOR else set()
    assert vaguer == {full, Reason.NONE, Reason.OTHER} | removed


def test_without_an_address_of_this_machine_no_stage_matters() -> None:
    assert reason_by_stage((), wanted=True, oriented=False) is Reason.UNREACHABLE
    not_logged = reason_by_stage((), wanted=True, oriented=False, logged=False)
    assert not_logged is Reason.UNREACHABLE


RECORDED = {
    "3.20/wrongpsk": Reason.AUTHENTICATION,
    "4.10/badprop": Reason.NO_ANSWER,  # refused without encryption, which pluto doesn't believe
    "4.10/badesp": Reason.CHILD_MISSING,
    "4.10/hole": Reason.NO_ANSWER,
    "4.10/hole1": Reason.NO_ANSWER,
    "4.10/closed": Reason.NO_ANSWER,
    "5.4/badesp": Reason.CHILD_MISSING,
    "5.4/hole": Reason.NO_ANSWER,
    "5.4/hole1": Reason.NO_ANSWER,
}


@pytest.mark.parametrize("name", RECORDED)
def test_where_the_log_names_no_failure_a_recorded_one_has_the_reason_of_its_stage(
    name: str,
) -> None:
    told = set()
    for answer in statuses(ROOT / f"{name}.jsonl.gz"):
        report = parse(answer.stdout)
        mine = [s for s in report.states if s.name == name.partition("/")[2]]
        told.add(reason_by_stage(mine, wanted=False))
    assert RECORDED[name] in told
    assert told <= {RECORDED[name], Reason.NONE, Reason.NO_ANSWER}
