# SPDX-License-Identifier: MIT
"""Tests of what ``explain`` prints about a log, ``ipsec up`` output, and a status with a log."""

from __future__ import annotations

import io
import json
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli import main
from ipsecwatch.cli.explain import log_story
from ipsecwatch.libreswan import log_text
from ipsecwatch.libreswan.log_attempts import stories
from ipsecwatch.report import Connection
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.paths import FIXTURES
from tests.support.recordings import ROOT, statuses
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from collections.abc import Callable

    Explain = Callable[..., tuple[int, str, str]]


FIELD = FIXTURES / "field"


@pytest.fixture
def explain(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Explain:
    """Return a function that runs ``ipsecwatch explain``: exit code, output and error output.

    In the output, blanks and line ends are replaced by single blanks.
    """

    def run(text: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        code = main.run(["explain", *arguments])
        out, err = capsys.readouterr()
        return code, " ".join(out.split()), err

    return run


CASES = {
    "01": ("✗ office", "No interface of this machine has the address", "ip address"),
    "07": ("○ office", "The peer stopped answering", "whether the peer is running"),
    "15": (
        "✗ office", "The peer refused our key, certificate or identity (AUTHENTICATION_FAILED)",
        "Compare leftid", "pluto goes on trying by itself",
    ),
    "16": ("✗ greA", "Our own private key for this tunnel was not found", "ipsec showhostkey"),
    "17": ("… office", "or it refuses our ike= proposals"),
    "23": ("the answer to processstatus",),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_case_from_the_field_is_told(case: str, explain: Explain) -> None:
    code, out, _ = explain((FIELD / f"{case}.txt").read_text())
    assert code == 0
    for text in CASES[case]:
        assert text in out


def test_no_tunnel_is_made_up_of_a_log(explain: Explain) -> None:
    for case in ("01", "15", "16"):
        text = (FIELD / f"{case}.txt").read_text()
        assert json.loads(explain(text, "--json")[1])["tunnels"] == []
        assert "wasn't asked to" not in explain(text)[1]


def test_words_in_a_sentence_are_named(explain: Explain) -> None:
    text = (FIELD / "21.txt").read_text()
    code, out, err = explain(text)
    assert (code, out) == (3, "")
    assert "Words in it: explain STATE_MAIN_R1" in err
    code, out, err = explain("", text.strip())
    assert (code, out) == (3, "")
    assert "Words in it: explain STATE_MAIN_R1" in err


def test_a_log_of_strongswan_is_called_so(explain: Explain) -> None:
    for line in (
        "gw charon: 07[IKE] received NO_PROPOSAL_CHOSEN notify error",
        "07[NET] sending x",
    ):
        code, out, err = explain(f"Nov 28 10:00:01 {line}\n")
        assert (code, out) == (3, "")
        assert "strongSwan" in err


BEGUN = '"office" #1: initiating IKEv2 connection to 192.0.2.7 using UDP'
ASKED = '"office" #1: sent IKE_SA_INIT request to 192.0.2.7:UDP/500'
ASKED_AGAIN = '"office" #1: retransmitting IKE_SA_INIT request; will wait 1 seconds for response'
SAYS = {
    "nobody proves it": (
        '"office" #1: ignoring IKE_SA_INIT response containing NO_PROPOSAL_CHOSEN notification (M',
        "It has not come up. It seems that the peer refused our proposal", "not authenticated",
    ),
    "another connection's route": (
        '"office" #2: cannot route -- route already in use for "berlin"',
        "has the same route already.", "leftsubnet=",
    ),
    "our own secret": (
        '"office" #1: Failed to find our PreShared Key',
        "The peer refused nothing.", "ipsec.secrets",
    ),
    "it is up": (
        '"office" #2: initiator established Child SA using #1; IPsec tunnel [x]',
        "It came up. Nothing in these lines says that it ended.", "● office",
    ),
    "an answer is awaited": (
        f"{ASKED}\n{ASKED_AGAIN}",
        "The text ends here: we sent the first request",
        "It was sent again once, without an answer.",
    ),
    "its settings": (
        "Failed to add connection \"office\": esp='x' is invalid",
        "It was not loaded.", "ipsec.conf",
    ),
    "a certificate of ours": (
        "\"office\": failed to add connection: left certificate 'gw' is expired or not yet valid",
        "It was not loaded. A certificate that the settings name has expired", "clock",
    ),
    "words that mean more than one thing": (
        '"office": terminating SAs using this connection',
        "somebody took it down, or the connection was loaded again", "○ office",
    ),
}  # fmt: skip


def test_the_line_is_the_refusal_also_where_other_lines_follow_it(explain: Explain) -> None:
    refused = "\"office\": failed to add connection: esp='x' is invalid"
    code, out, _ = explain(f'{refused}\n"office": warning: leftid= is not an address\n')
    assert code == 0
    assert "Correct what the line names" in out
    assert "the line \"office\": failed to add connection: esp='x' is invalid" in out


@pytest.mark.parametrize("case", SAYS)
def test_it_is_said_who_did_what_and_what_to_do(case: str, explain: Explain) -> None:
    line, *texts = SAYS[case]
    code, out, _ = explain(f"{BEGUN}\n{line}\n")
    assert code == 0
    for text in texts:
        assert text in out, out


def test_a_status_and_a_log_are_both_told_and_agree(explain: Explain) -> None:
    status = statuses(ROOT / "4.10" / "badesp.jsonl.gz")[-1].stdout
    log = '"badesp" #2: IKE_AUTH response rejected Child SA with NO_PROPOSAL_CHOSEN\n'
    for text in (status + log, log + status):
        code, out, _ = explain(text)
        assert code == 0
        assert "… badesp" in out
        assert "likely The two sides have no algorithms in common." in out
        assert "✗ badesp" in out
        found = json.loads(explain(text, "--json")[1])
        assert [t["reason"] for t in found["tunnels"] if t["name"] == "badesp"] == ["proposal"]
        assert [x["reason"] for x in found["log"]] == ["proposal"]


REFUSED_PAIR = (
    '"multi/1x1" #2: IKE_AUTH response rejected Child SA with TS_UNACCEPTABLE\n'
    '"multi/2x2" #7: response for Child SA #7 was rejected with NO_PROPOSAL_CHOSEN\n'
)


@pytest.mark.parametrize(
    ("nth", "state", "reason"), [(6, "connecting", "proposal"), (10, "partial", "proposal")]
)
def test_a_tunnel_of_several_connections_has_the_reason_of_one_that_is_missing(
    nth: int, state: str, reason: str, explain: Explain
) -> None:
    status = statuses(ROOT / "5.4" / "multi.jsonl.gz")[nth].stdout
    for text in (status + REFUSED_PAIR, REFUSED_PAIR + status):
        (told,) = json.loads(explain(text, "--json")[1])["tunnels"]
        assert (told["name"], told["state"], told["reason"]) == ("multi", state, reason)


def test_a_pair_that_is_up_by_the_status_gives_no_reason(explain: Explain) -> None:
    status = statuses(ROOT / "5.4" / "multi.jsonl.gz")[10].stdout
    first, _ = REFUSED_PAIR.splitlines(keepends=True)
    (told,) = json.loads(explain(status + first, "--json")[1])["tunnels"]
    assert (told["state"], told["reason"]) == ("partial", "none")


def test_an_instance_has_the_reason_from_the_log() -> None:
    log = log_text.read('"rw"[3] 192.0.2.7 #9: authentication failed: PSK AUTH mismatch\n')
    instance = replace(
        tunnel("rw[3]", TunnelState.CONNECTING),
        key="rw[3]$17",
        connections=(Connection("rw", (3,)),),
    )
    (told,) = log_story.with_reasons([instance], log)
    assert told.reason is Reason.AUTHENTICATION


def test_a_failure_of_a_tunnel_that_the_status_shows_up_is_not_the_last_word(
    explain: Explain,
) -> None:
    status = statuses(ROOT / "5.4" / "site.jsonl.gz")[10].stdout
    failed = '"site" #1: authentication failed: PSK AUTH mismatch\n'
    assert "By the status in the same text it is up." in explain(failed + status)[1]
    assert "By the status" not in explain(failed.replace("site", "other") + status)[1]
    down = statuses(ROOT / "5.4" / "site.jsonl.gz")[0].stdout
    assert "By the status" not in explain(failed + down)[1]


def test_thousands_of_failures_are_compared_in_little_time() -> None:
    failed = '"c{0}" #{1}: authentication failed: PSK AUTH mismatch\n'
    log = log_text.read("".join(failed.format(n, n + 1) for n in range(20_000)))
    begin = time.process_time()
    assert len(stories(log.lines)) == 20_000
    without = time.process_time() - begin
    log_story.with_reasons([tunnel("c9", TunnelState.CONNECTING)], log)
    assert time.process_time() - begin < 5 * without + 1


def test_of_pairs_that_failed_alike_only_those_that_are_up_are_called_so(explain: Explain) -> None:
    answers = statuses(ROOT / "5.4" / "multi.jsonl.gz")
    partial = ('#3: "multi/1x2"', '#5: "multi/2x2"')
    status = next(x.stdout for x in answers if [y in x.stdout for y in partial] == [False, True])
    failed = '"multi/{0}" #12: authentication failed: PSK AUTH mismatch\n'
    out = explain("".join(failed.format(pair) for pair in ("1x1", "1x2", "2x1")) + status)[1]
    up, missing = out.index("✗ multi/1x1, multi/2x1"), out.index("✗ multi/1x2")
    assert up < out.index("By the status in the same text it is up.") < missing
    assert "By the status" not in out[missing:]


def test_a_whole_status_has_no_log_whatever_a_peer_wrote_into_it(explain: Explain) -> None:
    status = statuses(ROOT / "4.10" / "site.jsonl.gz")[-1].stdout
    assert json.loads(explain(status, "--json")[1])["log"] == []


def test_a_line_may_be_an_argument(explain: Explain) -> None:
    code, out, _ = explain("", '"office" #1: authentication failed: PSK AUTH mismatch')
    assert (code, "✗ office" in out) == (0, True)
    code, out, _ = explain("", "authentication failed: PSK AUTH mismatch")
    assert (code, "a connection that the text doesn't name" in out) == (0, True)


def test_a_fault_of_plutos_own_is_named(explain: Explain) -> None:
    line = "Jun 01 12:00:00 n pluto[5]: EXPECTATION FAILED: st != NULL (f() +3 state.c)\n"
    code, out, err = explain(line)
    assert (code, out) == (3, "")
    assert "pluto found a fault in itself (EXPECTATION FAILED)" in err


NOTHING = (
    '"office" #2: something nobody knows', '"office": added IKEv2 connection',
    "Nov 28 10:00:00 gw pluto[1]: listening for IKE messages",
)  # fmt: skip


@pytest.mark.parametrize("text", NOTHING)
def test_of_lines_that_nobody_knows_nothing_is_said(text: str, explain: Explain) -> None:
    code, out, err = explain(text + "\n")
    assert (code, out, err.count("\n")) == (3, "", 1)


def test_json_tells_outcome_reason_and_what_is_ours(explain: Explain) -> None:
    found = json.loads(explain((FIELD / "16.txt").read_text(), "--json")[1])["log"]
    assert [(x["name"], x["outcome"], x["attempts"], x["reason"], x["ours"]) for x in found] == [
        ("greA", "failed", 1, "authentication", "no-private-key")
    ]


def test_code_sentence_and_advice_of_a_connection_that_was_not_loaded_agree(
    explain: Explain,
) -> None:
    line = "\"office\": failed to add connection: failed to resolve 'gw.example.com'"
    (found,) = json.loads(explain(f"Nov 29 01:00:00 gw pluto[7]: {line}\n", "--json")[1])["log"]
    assert found["ours"] == "peer-name-unresolved"
    assert "name" in found["sentence"]
    assert found["advice"].startswith("Look up the name")


def test_packets_that_fit_no_connection_are_told_by_their_address(explain: Explain) -> None:
    knock = "initial Main Mode message received on 192.0.2.1:500 but no connection has been authori"
    code, out, _ = explain(f"packet from 198.51.100.9:500: {knock}\n" * 3)
    assert code == 0
    assert out.count("packets from 198.51.100.9") == 1
    assert "no loaded connection fits it" in out


def test_pairs_of_subnets_are_told_together(explain: Explain) -> None:
    lines = [
        f'"multi/{i}x1" #{i + 1}: CREATE_CHILD_SA failed with error notification TS_UNACCEPTABLE'
        for i in range(1, 4)
    ]
    out = explain("\n".join(lines))[1]
    assert "✗ multi/1x1, multi/2x1, multi/3x1" in out


def test_what_a_peer_chose_reaches_the_terminal_cleaned(explain: Explain) -> None:
    hostile = "a\x1b]0;x\x07\u202eb" + "C" * 5000
    out = explain(f'"office" #1: authentication failed: no certificate matched {hostile}\n')[1]
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert len(out) < 1000


@pytest.mark.parametrize("line", (FIELD / "07.txt").read_text().splitlines())
def test_each_way_to_say_that_the_peer_is_dead_is_known(line: str, explain: Explain) -> None:
    assert "The peer stopped answering" in explain(line + "\n")[1]


NOTHING_SHOWS = (
    (
        '"office" #3: send on eth1 from 192.0.2.1:500 to 192.0.2.7:500 using UDP failed in x',
        "This machine could not send its packet.", "firewall",
    ),
    (
        '"office" #1: ignoring informational payload INVALID_ID_INFORMATION, msgid=0, length=12',
        "It seems that the peer refused an identity, or subnets (INVALID_ID_INFORMATION).",
        "Compare leftid, rightid, leftsubnet and rightsubnet",
    ),
)  # fmt: skip


@pytest.mark.parametrize(("line", "cause", "advice"), NOTHING_SHOWS)
def test_of_what_may_be_up_it_is_not_said_that_it_failed(
    line: str, cause: str, advice: str, explain: Explain
) -> None:
    code, out, _ = explain(f"{line}\n")
    words = " ".join(out.split())
    assert code == 0
    assert f"These lines don't show whether it is up. {cause}" in words
    assert advice in words


CRASH = "Nov 28 10:00:01 gw pluto[7]: ABORT: ASSERTION FAILED: st != NULL (in f() at state.c:7)"
STARTED = "Nov 28 10:00:02 gw pluto[8]: Starting Pluto (Libreswan Version 5.4) pid:8"


def test_a_crash_of_the_service_is_told_with_what_follows(explain: Explain) -> None:
    killed = "Nov 28 10:00:01 gw systemd[1]: ipsec.service: Failed with result 'signal'."
    code, out, _ = explain(f"{killed}\n{CRASH}\n{STARTED}\n")
    assert code == 0
    assert "The IPsec service (pluto) crashed. Then it was started again." in out
    assert "the line ABORT: ASSERTION FAILED: st != NULL" in out
    came_up = '"office" #2: initiator established Child SA using #1; IPsec tunnel [x]'
    out = explain(f"{came_up}\n{CRASH}\n")[1]
    assert "Its SAs ended. The IPsec service (pluto) crashed." in out
    found = json.loads(explain(f"{came_up}\n{CRASH}\n", "--json")[1])
    assert (found["service"]["fate"], found["log"][0]["outcome"]) == ("crashed", "lost")


def test_a_mere_start_of_the_service_is_told_where_nothing_else_is(explain: Explain) -> None:
    assert "The IPsec service (pluto) was started." in explain(STARTED)[1]
    out = explain(f"{STARTED}\n{BEGUN}\n")[1]
    assert "✗" not in out
    assert "was started" not in out


V2_UP = """\
"site" #1: initiating IKEv2 connection
"site" #1: initiator established IKE SA; authenticated peer using authby=secret
"site" #2: initiator established Child SA using #1; IPsec tunnel [10.0.0.0/8===10.1.0.0/16]
"""


@pytest.mark.parametrize(
    "end",
    [
        "deleting established Child SA using IKE SA #1",  # 4.10
        "sent INFORMATIONAL request to delete established Child SA using IKE SA #1",  # 5.2
    ],
)
def test_of_an_end_without_a_cause_it_is_not_said_that_it_was_by_hand(
    end: str, explain: Explain
) -> None:
    """With rekey=no, pluto logs nothing more than this line when a lifetime ends."""
    _, out, _ = explain(f'{V2_UP}"site" #2: {end}\n')
    assert "somebody took them down, or their lifetime ran out" in out
    (found,) = json.loads(explain(f'{V2_UP}"site" #2: {end}\n', "--json")[1])["log"]
    assert found["reason"] is None
    rekey = '"site" #3: initiating rekey to replace Child SA #2\n'
    refused = '"site" #3: CREATE_CHILD_SA failed with error notification NO_PROPOSAL_CHOSEN\n'
    _, out, _ = explain(f'{V2_UP}{rekey}{refused}"site" #2: {end}\n')
    assert "Its lifetime ran out, and it was not renewed." in out
    assert "taken down" not in out


def test_what_pluto_logs_at_its_start_is_no_answer_to_a_command(explain: Explain) -> None:
    started = "Nov 29 01:00:00 gw pluto[7]: "
    lines = ["FIPS Mode: NO", *V2_UP.splitlines()]
    _, out, _ = explain("".join(f"{started}{line}\n" for line in lines))
    assert "the answer to" not in out
    assert out.startswith("Log lines of 1 connection")
