# SPDX-License-Identifier: MIT
"""Tests of peers whose DNS name doesn't resolve yet, as at each boot of a laptop."""

from __future__ import annotations

import pytest

from ipsecwatch.report import LogLine
from ipsecwatch.tracking.tracker import Tracker
from ipsecwatch.tunnel import Reason
from tests.support.reports import START, child, connection, ike, poll
from tests.tracking.test_tracker import history

NAME = "vpn.example"
LOADED = connection("site", unresolved=NAME)
WANTED = connection("site", policy="IKEv2+UP", unresolved=NAME)
RESOLVED = connection("site", policy="IKEv2+UP")

FAILED = {
    "to 4.15": (
        f"\"site\": failed to convert '{NAME}' at load time: not a numeric IPv4 or IPv6 address"
        " and name lookup failed (no validation performed)"
    ),
    "5.0 to 5.3": f"\"site\": failed to resolve 'right={NAME}' at load time: not a numeric IPv4",
    "5.4": f"\"site\": failed to resolve 'left={NAME}', not a numeric IPv4 address",
}
OURSELVES = (
    '"site": we cannot identify ourselves with either end of this connection. '
    " <unset-address> or <unset-address> are not usable"
)


def shown(tracker: Tracker) -> tuple[Reason, str | None]:
    (tunnel,) = tracker.tunnels.values()
    return tunnel.reason, tunnel.detail


def test_one_that_is_wanted_up_is_connecting_and_then_stuck_with_the_name() -> None:
    tracker = Tracker(stuck_after=30)
    assert history(poll(0, [WANTED]), poll(30, [WANTED]), tracker=tracker) == [
        "->connecting:unreachable",
        "connecting>stuck:unreachable",
    ]
    assert shown(tracker) == (Reason.UNREACHABLE, f"The name {NAME} does not resolve.")


@pytest.mark.parametrize("release", FAILED)
def test_one_that_nobody_wants_up_is_down_for_what_pluto_logged_since_it_was_loaded(
    release: str,
) -> None:
    tracker = Tracker()
    history(poll(0, []), tracker=tracker)
    tracker.add_log_line(LogLine(START + 4, FAILED[release]))
    assert history(poll(5, [LOADED]), tracker=tracker) == ["->down:unreachable"]
    assert shown(tracker) == (Reason.UNREACHABLE, FAILED[release])
    history(*(poll(second, [LOADED]) for second in range(60, 900, 60)), tracker=tracker)
    assert shown(tracker) == (Reason.UNREACHABLE, FAILED[release])


def test_so_it_is_where_somebody_tried_it_and_pluto_found_no_end_of_its_own() -> None:
    tracker = Tracker()
    assert history(poll(0, [LOADED]), tracker=tracker) == ["->down"]
    assert shown(tracker) == (Reason.NONE, None)
    tracker.add_log_line(LogLine(START + 3, OURSELVES))
    assert history(poll(5, [LOADED]), tracker=tracker) == []
    assert shown(tracker) == (Reason.UNREACHABLE, f"The name {NAME} does not resolve.")


def test_what_is_logged_of_one_whose_name_resolves_is_no_reason_for_being_down() -> None:
    tracker = Tracker()
    tracker.add_log_line(LogLine(START, OURSELVES))
    history(poll(5, [connection("site")]), tracker=tracker)
    assert shown(tracker) == (Reason.NONE, None)


def test_a_name_that_resolves_later_is_no_reason_any_more() -> None:
    tracker = Tracker()
    tracker.add_log_line(LogLine(START, FAILED["to 4.15"]))
    history(poll(0, [LOADED]), poll(5, [connection("site")]), tracker=tracker)
    assert shown(tracker) == (Reason.NONE, None)
    tracker = Tracker(stuck_after=30)
    history(poll(0, [WANTED]), poll(20, [RESOLVED]), tracker=tracker)
    assert shown(tracker) == (Reason.NONE, None)
    assert history(poll(30, [RESOLVED]), tracker=tracker) == ["connecting>stuck:other"]
    up = [ike(1, "site"), child(2, "site", 1)]
    assert history(poll(35, [RESOLVED], up), tracker=tracker) == ["stuck>up"]


def test_that_it_did_not_resolve_is_remembered_for_the_service_after_this_one() -> None:
    before = Tracker()
    before.add_log_line(LogLine(START, FAILED["5.4"]))
    before.observe(poll(0, [LOADED], pid=1))
    saved = before.save()
    for now, reason in ((LOADED, Reason.UNREACHABLE), (connection("site"), Reason.NONE)):
        tracker = Tracker()
        tracker.restore(saved)
        assert history(poll(5, [now], pid=1), tracker=tracker) == []
        assert shown(tracker)[0] is reason
