# SPDX-License-Identifier: MIT
"""Tests of ``ipsecwatch explain``: what it prints, and its exit code."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsecwatch.cli import main
from ipsecwatch.cli.display.terminal import Paint, width
from ipsecwatch.cli.explain import describe, overview
from ipsecwatch.libreswan.status import parse
from ipsecwatch.report import Poll
from ipsecwatch.tracking.tracker import Tracker
from tests.bench import gateway
from tests.support.corpus import needs_corpus, outputs
from tests.support.paths import FIXTURES
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from pathlib import Path

    from ipsecwatch.tunnel import TunnelState


@cache
def recorded(name: str, nth: int) -> str:
    return statuses(ROOT / f"{name}.jsonl.gz")[nth].stdout


UP = recorded("4.10/site", 10)


def told(text: str, wide: int = 100) -> str:
    """Return what explain prints about a text, with wrapped lines joined again."""
    report = parse(text)
    lines = overview.lines_of(report, overview.tunnels_of(report), Paint(False), wide)
    return re.sub(r"\n {15}(?=\S)", " ", "\n".join(lines))


class Screen(NamedTuple):
    """What one run of the command printed, and its exit code."""

    code: int
    out: str
    err: str


Run = Callable[..., Screen]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs ``ipsecwatch explain`` with arguments and standard input."""

    def run_(*arguments: str | Path, text: str | bytes = "") -> Screen:
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        code = main.run(["explain", *map(str, arguments)])
        return Screen(code, *capsys.readouterr())

    return run_


# --- Verdicts ---------------------------------------------------------------------------------


def verdicts(text: str) -> list[tuple[str, TunnelState]]:
    """Return the name and state of each tunnel, as explain finds them in a text."""
    return sorted((t.name, t.state) for t in overview.tunnels_of(parse(text)))


def tracked(text: str) -> list[tuple[str, TunnelState]]:
    """Return the name and state of each tunnel, as the tracker finds them in its first poll."""
    tracker = Tracker()
    tracker.observe(Poll(0.0, 0.0, parse(text, "status")))
    return sorted((t.name, t.state) for t in tracker.tunnels.values())


def test_tunnels_are_as_the_service_finds_them() -> None:
    for path in sorted(ROOT.glob("*/*.gz")):
        for answer in statuses(path)[::5]:
            if answer.stdout:
                assert verdicts(answer.stdout) == tracked(answer.stdout), path


@needs_corpus
def test_tunnels_of_any_release_are_as_the_service_finds_them() -> None:
    for output in outputs():
        if output.command == "status":
            assert verdicts(output.text) == tracked(output.text), output.path


SITUATIONS = {
    "up": ("4.10/site", 10, [
        "libreswan 4.10, 1 tunnel: 1 up",
        "● site",
        "here         192.0.1.0/24 behind 192.1.2.45, as @west",
        "there        192.0.2.0/24 behind 192.1.2.23, as @east",
        "is           up",
        "IKE SA       #1 is established; 4s old; new keys in 7h 42m",
        "Child SA     #2 is established; 4s old; 336 bytes in, 336 bytes out; new keys in 7h 43m",
    ]),
    "up, of an old release": ("3.20/site", 12, [
        "libreswan 3.20, 1 tunnel: 1 up",
        "Child SA     #2 is established; 672 bytes in, 672 bytes out; renewed in",
        "IKE SA       #1 is established; renewed in 47m 22s",
    ]),
    "a user": ("4.10/xauth", 20, ["840 bytes in, 840 bytes out; user paula; renewed in"]),
    "several subnets": ("4.10/multi", 25, [
        "here         192.0.11.0/24, 192.0.12.0/24 behind 192.1.2.45",
        "is           up: all 4 pairs of subnets",
    ]),
    "calling nobody": ("5.4/hole", 60, [
        "libreswan 5.4, 1 tunnel: 1 connecting",
        "is           connecting. We sent the first request and have no usable answer yet",
        ("IKE SA       #1 is at “sent IKE_SA_INIT request”; unanswered for 21s or longer; asks "
        "again in 9s"),
        "likely       The peer does not answer.",
        "what to do   Check its address, that UDP 500 and 4500 pass in both directions",
    ]),
    "a wrong secret": ("3.20/wrongpsk", 30, [
        "is           connecting. We sent our proof of identity; the peer's verdict is awaited",
        "likely       The key, certificate or identity was refused.",
        "what to do   Compare leftid, rightid and the secret or certificate on both sides.",
    ]),
    "between two tries": ("5.4/wrongpsk", 40, [
        "at this moment nothing is being negotiated. pluto pauses between attempts",
        "what to do   Read the log of the IPsec service: journalctl -u ipsec",
    ]),
    "gone, and not back": ("5.4/dpd-cut", 80, ["at this moment nothing", "It was up before"]),
    "no Child": ("5.4/badesp", 30, [
        "is           connecting: the IKE SA is up, and there is no Child SA yet",
        "likely       The two sides accepted each other, but no tunnel was set up.",
        "what to do   Compare leftsubnet, rightsubnet, esp= and pfs= on both sides.",
    ]),
    "no address of ours": ("5.4/unoriented", 10, [
        "is           down. No address of this machine fits left= or right=",
        "what to do   Check that the interface of left= is up",
    ]),
    "a peer's name that doesn't resolve": ("minimal/dns-waiting", 1, [
        "there        10.2.1.0/24 behind later.example, as @east",
        "is           down. The peer's name later.example does not resolve.",
        "what to do   Check this machine's DNS and network",
    ]),
    "a Child SA that is left over": ("minimal/stale-child-up", 3, [
        "Child SA     #31 is established, but its connection uses no Child SA",
    ]),
    "on demand": ("4.10/route", 5, ["waiting: the first packet for the other side starts it"]),
    "a server": ("5.4/cp-server", 18, [
        "libreswan 5.4, 17 tunnels: 2 waiting, 15 down",
        "a template for any peer; no peer is connected",
        "○ 15 more",
        "are          down: they are loaded, and pluto wasn't asked to bring them up",
        "note         To bring one up: ipsec up NAME",
    ]),
    "opportunistic": ("4.10/oe", 40, [
        "3 waiting",
        "IKE SA       #4 is at “STATE_V2_PARENT_I1”: we sent the first request and have",
        "packets from 192.1.2.45/32 to 192.1.2.66/32 pass in the clear (oe-failing)",
    ]),
    "down, of an old release": ("4.10/site", 0, [
        "1 down", "note         To bring one up: ipsec auto --up site",
    ]),
}  # fmt: skip


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_situation_is_told_in_plain_words(situation: str) -> None:
    name, nth, sentences = SITUATIONS[situation]
    screen = told(recorded(name, nth))
    for sentence in sentences:
        assert sentence in screen, screen


def test_of_many_tunnels_only_those_with_something_to_tell_are_told_one_by_one() -> None:
    screen = told(gateway.status(40))
    assert "libreswan 4.10, 40 tunnels: 40 up" in screen
    assert "● all 40" in screen
    assert screen.count("\n") < 12
    # A tunnel whose peer hasn't answered a request has a line of its own.
    lines = gateway.status(40).split("\n")
    nth = next(i for i, line in enumerate(lines) if line.startswith("000 #1: "))
    silent = lines[nth].replace("; REKEY in", "; RETRANSMIT in 8s; REKEY in")
    screen = told("\n".join([*lines[:nth], silent, *lines[nth + 1 :]]))
    assert "● 39 more" in screen
    assert "the peer hasn't answered yet" in screen


@pytest.mark.parametrize("routing", ["fail erouted", "eroute eclipsed"])
def test_of_tunnels_that_failed_none_is_told_as_never_asked_for(routing: str) -> None:
    lines = (FIXTURES / "field/12.txt").read_text().replace("unrouted;", f"{routing};").split("\n")
    ours = [line for line in lines if '"office"' in line]
    last = lines.index(ours[-1]) + 1
    more = [line.replace('"office"', f'"{name}"') for name in "ab" for line in ours]
    screen = told("\n".join([*lines[:last], *more, *lines[last:]]))
    assert "wasn't asked" not in screen, screen
    assert screen.count("○") == 3


def test_a_peer_has_been_silent_for_as_long_as_is_said() -> None:
    said = 0
    for name in ("4.10/hole", "5.4/hole", "4.10/closed", "5.4/badprop", "3.20/wrongpsk"):
        since: dict[tuple[int, str], float] = {}
        for answer in statuses(ROOT / f"{name}.jsonl.gz"):
            report = parse(answer.stdout)
            for s in report.states:
                began = since.setdefault((s.serial, s.story), answer.at)
                sentence = describe.sa(s, report.states, report.connections[0])
                if m := re.search(r"unanswered for (?:(\d+)m )?(\d+)s", sentence):
                    said += 1
                    waited = int(m[1] or 0) * 60 + int(m[2])
                    assert waited <= answer.at - began + 1, (name, sentence)
    assert said > 200


# --- What isn't there -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["4.10/site", "5.4/site", "3.20/site", "5.2/site"])
def test_a_tunnel_whose_sas_were_cut_off_is_told_by_the_connection_list(name: str) -> None:
    text = recorded(name, 12)
    assert "is           up\n" in told(text)
    cut = text[: text.index("State Information")]
    screen = told(cut)
    assert "is           up, as the connection list has it" in screen
    assert "not a whole status: cut off" in screen
    assert "The SAs aren't in the text" in screen


CONNECTIONSTATUS = """\
Connection list:

"site": 192.0.1.0/24===192.1.2.45[@west]...192.1.2.23[@east]===192.0.2.0/24; routed-tunnel; \
my_ip=unset; their_ip=unset;
"site":   host: oriented; local: 192.1.2.45; remote: 192.1.2.23; established IKE SA: #1;
"site":   policy: IKEv2+PSK+ENCRYPT+TUNNEL+PFS+UP+IKE_FRAG_ALLOW+ESN_NO+ESN_YES;
"site":   routing: routed-tunnel; owner: Child SA #2; established IKE SA: #1; \
established Child SA: #2;
"site":   conn serial: $1;

Total IPsec connections: loaded 1, active 1
"""


def test_connectionstatus_which_has_no_sas_is_told_by_its_routing() -> None:
    assert parse(CONNECTIONSTATUS).complete
    screen = told(CONNECTIONSTATUS)
    assert "is           up, as the connection list has it" in screen
    assert "The SAs aren't in the text" in screen
    down = CONNECTIONSTATUS.replace("routed-tunnel; owner: Child SA #2; ", "unrouted; ").replace(
        " established IKE SA: #1; established Child SA: #2;", ""
    )
    assert "it should be up; the text doesn't show whether it is being negotiated" in told(
        down.replace("; routed-tunnel; my", "; unrouted; my").replace("active 1", "active 0")
    )


def test_states_alone_tell_of_tunnels_by_their_names() -> None:
    lines = "".join(line + "\n" for line in UP.split("\n") if line.startswith("000 #"))
    assert "● site\n  is           up" in told(lines)


TRAFFIC = """\
006 #2: "multi/1x1", type=ESP, add_time=1700000000, inBytes=84, outBytes=2048, id='@east'
006 #3: "rw"[2] 192.0.2.7, username=paula, type=ESP, add_time=0, lease=192.0.3.10/32
"""


def test_trafficstatus_tells_of_counters() -> None:
    screen = told(TRAFFIC)
    assert "libreswan, 2 tunnels: 2 up" in screen
    assert re.search(r"#2; since \S+ \S+; 84 bytes in, 2.0 KiB out; peer's name @east", screen)
    assert (
        "#3; the text shows no counters of it; peer 192.0.2.7; user paula; address 192.0.3.10/32"
    ) in screen


def test_counters_of_the_status_are_told_if_those_of_trafficstatus_are_cut_off() -> None:
    traffic = '#2: "site", type=ESP, add_time=1700000000, inBytes=3\n'
    screen = told(UP + traffic)
    assert "336 bytes in, 336 bytes out" in screen
    assert "no counters" not in screen


BRIEF = """\
192.0.1.0/24 <==> 192.0.2.0/24\tfrom 192.1.2.45 to 192.1.2.23 (336B/2KiB)\t"site", reqid=16389
# Total IPsec connections: loaded 4, active 1
"""

POOLS = """\
address pool 192.0.3.10-192.0.3.19: 10 addresses, 2 leases, 1 in-use, 1 free (1 reusable)
    192.0.3.10 assigned to $4\x20
               "xauth"[1] 192.1.2.45
    192.0.3.11 free $0  @road
               connection $0 does not exist
"""

OTHERS = {
    "briefconnectionstatus": (BRIEF, "up between 192.0.1.0/24 and 192.0.2.0/24; from 192.1.2.45"),
    "addresspoolstatus": (POOLS, "lent         192.0.3.10 to xauth[1]"),
    "shuntstatus": (
        "Bare Shunt list:\n \n192.0.2.1/32 -0-> 192.0.2.2/32 => %drop    oe-failing\n",
        "packets from 192.0.2.1/32 to 192.0.2.2/32 are dropped (oe-failing)",
    ),
    "briefstatus": (
        (
            "State Information: DDoS cookies REQUIRED, NOT ACCEPTING new IKE connections\n"
            "IKE SAs: total(3), half-open(1), open(0), authenticated(2), anonymous(0)\n"
            "IPsec SAs: total(2), authenticated(2), anonymous(0)\n"
        ),
        "IKE SAs      3 total, 1 half-open, 0 open, 2 authenticated, 0 anonymous",
    ),
    "globalstatus": ("current.states.all=2\ncurrent.states.ike=1\n", "current.states.all 2"),
}


@pytest.mark.parametrize("command", OTHERS)
def test_other_commands_are_told_too(command: str) -> None:
    text, sentence = OTHERS[command]
    assert parse(text).command == command
    screen = told(text)
    assert sentence in screen
    assert "not understood" not in screen


def test_briefstatus_tells_that_pluto_defends_itself() -> None:
    screen = told(OTHERS["briefstatus"][0])
    assert "pluto takes no new negotiations" in screen
    assert "DDoS cookies" in screen


# --- The command line -------------------------------------------------------------------------

REFUSALS = {
    "stopped": ('whack: Pluto is not running (no "/run/pluto/pluto.ctl")', "is not running",
                "systemctl start ipsec"),
    "stopped, 5.2": (
        ('ERROR: ipsec whack: Pluto is not running (no "/run/pluto/pluto.ctl"): No such file or '
        "directory (errno 2)"), "is not running", "systemctl start ipsec",
    ),
    "crashed": (
        ('whack: is Pluto running?  connect() for "/run/pluto/pluto.ctl" failed (111 Connection '
        "refused)"), "is not running", "systemctl start ipsec",
    ),
    "not root": ('whack: no right to communicate with pluto (access("/run/pluto/pluto.ctl"))',
                 "may not ask", "sudo ipsec status"),
    "no such connection": ('021 no such connection or aliased connection named "x"',
                           "no connection of that name", "ipsec status"),
    "no such connection, 5.4": ('no connection or alias named "x"', "no connection of that name",
                                "ipsec status"),
    "skew": (("ignoring message from whack with bad magic 1; should be 2; Mismatched versions of "
             "userland tools."), "different releases", "systemctl restart ipsec"),
    "deaf": ("024 need --listen before --initiate", "doesn't listen yet", "systemctl status"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_why_there_is_no_answer_is_told_with_what_to_do(case: str, run: Run) -> None:
    text, sentence, advice = REFUSALS[case]
    screen = run(text=text + "\n")
    assert screen.code == 0
    assert sentence in screen.out.splitlines()[0]
    assert advice in screen.out.split("note", 1)[1]


NO_STATUS = {
    "empty": (b"", "there is nothing in it"),
    "blank": (b"\n \n000 \n", "there is nothing in it"),
    "prose": (b"Hello,\nmy tunnel does not work.\n", "not a status text"),
    "binary": (bytes(range(256)) * 64, "not a status text"),
    "a long line": (b"A" * 65536, "not a status text"),
}


@pytest.mark.parametrize("case", NO_STATUS)
def test_what_is_no_status_is_one_line_with_a_hint(case: str, run: Run) -> None:
    data, sentence = NO_STATUS[case]
    screen = run(text=data)
    assert (screen.code, screen.out) == (3, "")
    assert screen.err.startswith("ipsecwatch: ")
    assert sentence in screen.err
    assert "ipsec status > FILE" in screen.err
    assert screen.err.count("\n") == 1


def test_a_file_is_read_and_stdin_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "status").write_text(UP)
    assert run(tmp_path / "status").out == run("-", text=UP).out == run(text=UP).out


def test_what_windows_wrote_as_utf_16_is_read(run: Run) -> None:
    assert run(text=UP.encode("utf-16")).out == run(text=UP).out


def test_a_compressed_file_is_called_so(run: Run) -> None:
    screen = run(text=gzip.compress(UP.encode()))
    assert (screen.code, screen.out) == (3, "")
    assert "it is compressed" in screen.err


WORDS = {
    "STATE_MAIN_I3": "We sent our identity and proof; the peer's are awaited.",
    "established Child SA": "The tunnel is up.",
    "EVENT_v2_RETRANSMIT": "A request of ours is unanswered",
    "prospective erouted": "the first packet starts the tunnel",
    "%hold": "Packets are held while pluto negotiates.",
}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_told(word: str, run: Run) -> None:
    screen = run(word)
    assert screen.code == 0
    assert WORDS[word] in screen.out
    (first, *_) = json.loads(run("--json", word).out)
    assert WORDS[word] in first["meaning"]


ERRORS = {
    "a misspelt word": ("STATE_MAIN_I9", 3, "Did you mean STATE_MAIN_I"),
    "no word": (
        "frobnicate",
        3,
        "neither a file nor a word that pluto prints. Give a file, - for stdin",
    ),
    "no file": ("no/such/file", 3, "cannot read no/such/file: no such file. Give a file"),
    "no file here": ("status.txt", 3, "cannot read status.txt: no such file. Give a file"),
    "a folder": ("/", 3, "cannot read /: Is a directory. Give a file"),
    "nothing": ("", 2, "neither a file nor a word. Give a file"),
    "escapes": ("\x1b[31m", 3, "neither a file nor a word"),
    "too long for a name": ("x" * 5000, 3, "neither a file nor a word"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_line_with_a_hint(case: str, run: Run) -> None:
    word, code, sentence = ERRORS[case]
    screen = run(word)
    assert (screen.code, screen.out) == (code, "")
    assert sentence in screen.err
    assert screen.err.count("\n") == 1
    assert "\x1b" not in screen.err


def test_wrong_usage_is_exit_code_2(run: Run) -> None:
    screen = run("one", "two")
    assert screen.code == 2
    assert screen.err.count("\n") == 1


def test_json_has_the_same_facts(run: Run) -> None:
    found = json.loads(run("--json", text=UP).out)
    assert (found["version"], found["command"], found["complete"]) == ("4.10", "status", True)
    (site,) = found["tunnels"]
    assert (site["name"], site["state"], site["reason"]) == ("site", "up", "none")
    facts = dict(site["facts"])
    assert facts["is"] == "up"
    for label, text in facts.items():
        assert f"{label:<11}  {text}" in told(UP)
    assert found["others"] == {}
    assert found["remarks"] == []


def test_json_of_a_text_that_says_little_is_an_object_too(run: Run) -> None:
    for command, (text, _) in OTHERS.items():
        found = json.loads(run("--json", text=text).out)
        states = [t["state"] for t in found["tunnels"]]
        assert states == (["up"] if command == "briefconnectionstatus" else [])
    refused = json.loads(run("--json", text=REFUSALS["not root"][0] + "\n").out)
    assert not refused["complete"]
    assert "no right" in refused["why"]


@pytest.mark.parametrize("wide", [40, 60, 80, 100])
def test_lines_are_no_wider_than_the_terminal(wide: int) -> None:
    for name, nth, _ in SITUATIONS.values():
        report = parse(recorded(name, nth))
        for line in overview.lines_of(report, overview.tunnels_of(report), Paint(False), wide):
            assert width(line) <= wide or " " not in line.strip(), line


HOSTILE = "@e\x1b]0;pwned\x07\x1b[31m\u202ell\u2066\x9b5m<b>\x7f\r"


def test_a_peers_words_reach_the_terminal_cleaned(run: Run) -> None:
    text = UP.replace("@east", HOSTILE)
    text = text.replace("Traffic:", f"Traffic: username={HOSTILE}", 1)
    unseen = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
    for screen in (run(text=text), run(text=text.replace("\n", " ")), run(text=HOSTILE)):
        assert not unseen.search(screen.out + screen.err)


def test_a_peers_64_kib_are_cut_short(run: Run) -> None:
    screen = run(text=UP.replace("[@east]", f"[{'A' * 65536}]"))
    assert screen.code == 0
    assert "is           up" in screen.out
    assert len(screen.out) < 2000


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.binary(max_size=300), st.integers(0, len(UP)), st.integers(0, 400))
def test_whatever_is_in_a_text_there_is_something_to_tell(data: bytes, at: int, cut: int) -> None:
    noise = data.decode("utf-8", "surrogateescape")
    told(UP[:at] + noise + UP[at + cut :])


def test_whoever_reports_a_line_is_asked_for_a_redacted_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "status.txt"
    text = statuses(ROOT / "5.4/site.jsonl.gz")[10].stdout
    for strange, asked in (("", False), ("nothing that anybody knows\n", True)):
        file.write_text(text + strange)
        assert main.run(["explain", str(file)]) == 0
        assert ("ipsecwatch redact FILE NEW" in capsys.readouterr().out) is asked


def state(line: str) -> str:
    return told(f'000 #7: "vpc"{line}\n')


def test_what_only_the_stage_suggests_is_not_called_likely() -> None:
    for line in (
        ":4500 STATE_PARENT_I2 (sent IKE_AUTH request); EVENT_RETRANSMIT in 7s; idle;",
        ":4500 STATE_XAUTH_I0 (XAUTH client - awaiting CFG_request); EVENT_RETRANSMIT in 9s; idle;",
    ):
        screen = state(line)
        assert "if it stays" in screen
        assert "likely" not in screen
        assert "refused" not in screen
    screen = state(":500 STATE_PARENT_I1 (sent IKE_SA_INIT request); EVENT_RETRANSMIT in 7s; idle;")
    assert "likely       The peer does not answer." in screen


def test_a_secret_of_our_own_that_is_missing_is_no_refusal() -> None:
    """The lines are of 4.10, which has an answer to its first request, and no secret."""
    screen = state(
        ":500 STATE_V2_PARENT_I1 (sent IKE_SA_INIT request); CRYPTO_TIMEOUT in 10s; idle;"
    )
    assert "The peer has answered the first request" in screen
    assert "if it stays  Our own secret or private key is missing" in screen
    assert "Give ipsec.secrets a secret for leftid= and rightid=" in " ".join(screen.split())
    for wrong in ("likely", "refused", "UDP 500", "no usable answer"):
        assert wrong not in screen


def test_a_client_that_signs_in_is_no_scan() -> None:
    signs_in = (
        "[4] 203.0.113.4:4500 STATE_XAUTH_R0 (XAUTH responder - optional CFG exchange); idle;"
    )
    assert "scans" not in state(signs_in)
    assert "scans" in state("[4] 203.0.113.4:500 STATE_PARENT_R1 (sent IKE_SA_INIT reply); idle;")


def test_it_is_said_for_how_long_an_established_sa_has_no_answer() -> None:
    asks = UP.replace("; REKEY in", "; RETRANSMIT in {0}s; REKEY in")
    assert asks.count("{0}") == 2
    for seconds, says in (("14", "is unanswered for 16s or longer"), ("0", "silent if this lasts")):
        assert says in told(asks.replace("{0}", seconds))


def test_only_lines_that_may_be_plutos_are_to_be_reported() -> None:
    states = '#1: "a":500 established IKE SA; newest; idle;\n'
    assert "To report them" not in told(f"{states}conn a\n    left=192.0.2.1\n")
    assert "2 lines were not understood" in told(f"{states}conn a\n    left=192.0.2.1\n")
    assert "To report them" in told(f'{states}"a":   something new\n')
    assert "To report them" in told(UP.replace("000 fips mode", "000 flops mode"))


def test_a_release_that_is_too_old_is_called_so() -> None:
    screen = told(
        UP.replace("pluto_version=4.10", "pluto_version=3.15").replace("Bare Shunt", "Shunt")
    )
    assert "libreswan 3.15 is older than the oldest release that ipsecwatch knows (3.18)" in screen
    assert "not a whole status" not in screen
    assert "not understood" not in screen
    assert "is older" not in told(UP)
