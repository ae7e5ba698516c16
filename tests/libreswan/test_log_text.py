# SPDX-License-Identifier: MIT
"""Tests of how log lines are found by their prefixes in texts that people paste."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.libreswan import log_text
from ipsecwatch.libreswan.log_attempts import Outcome, stories
from ipsecwatch.libreswan.log_lines import interpret, parse_line
from ipsecwatch.tunnel import Reason
from tests.support.mangled_text import MANGLED
from tests.support.paths import FIXTURES
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from pathlib import Path

LINE = '"office" #2: IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED'

PREFIXES = {
    "none": "",
    "whack": "002 ",
    "whack, a comment": "000 ",
    "whack, a state": "218 ",
    "whack in libreswan's own test outputs": "1v2 ",
    "syslog": "Nov 28 10:00:01 gw pluto[123]: ",
    "syslog, one digit": "Nov  8 10:00:01 gw pluto[123]: ",
    "syslog with a priority": "<86>Nov 28 10:00:01 gw pluto[123]: ",
    "syslog without a host": "Nov 28 10:00:01 pluto[123]: ",
    "another language": "nov. 28 10:00:01 gw pluto[123]: ",
    "short-precise": "Nov 28 10:00:01.123456 gw pluto[123]: ",
    "rsyslog": "2026-11-28T10:00:01.123456+01:00 gw pluto[123]: ",
    "short-iso": "2026-11-28T10:00:01+0100 gw pluto[123]: ",
    "short-full": "Sat 2026-11-28 10:00:01 UTC gw pluto[123]: ",
    "with-unit": "Sat 2026-11-28 10:00:01 CET gw ipsec.service[123]: ",
    "short-monotonic": "[   12.345678] gw pluto[123]: ",
    "short-unix": "1795860001.123456 gw pluto[123]: ",
    "RFC 5424": "<30>1 2026-11-28T10:00:01.123Z gw pluto 123 - - ",
    "RFC 5424 with data": '<30>1 2026-11-28T10:00:01Z gw pluto 123 - [a@1 b="c" d="e"] ',
    "a logfile": "Nov 28 10:00:01.123456: ",
    "an old logfile": "Nov 28 10:00:01: ",
    "an identifier alone": "pluto[123]: ",
    "grep -n": "123:",
    "grep -n of syslog": "123:Nov 28 10:00:01 gw pluto[123]: ",
    "grep of files": "/var/log/secure:Nov 28 10:00:01 gw pluto[123]: ",
    "grep -n of files": "pluto.log:7:Nov 28 10:00:01.123456: ",
    "grep -C": "124-Nov 28 10:00:01 gw pluto[123]: ",
    "quoted": "> ",
    "quoted twice": "> > 002 ",
    "quoted without blanks": ">>",
    "indented": "        ",
    "a tab": "\t",
    "a list": "* ",
    "code": "`",
    "a container": "ipsec-vpn-server  | ",
    "kubectl": "2026-11-28T10:00:01.123456789Z stdout F ",
    "journalctl -o verbose": "    MESSAGE=",
    "a viewer": "28/11/2026, 10:00:01 AM gw pluto[123]: ",
    "colour": "\x1b[1;33m",
    "colour that lost its ESC": "[0;1;39m",
    "colour as less shows it": "^[[1;33m",
    "logread of OpenWrt": "Sat Nov 28 10:00:01 2026 authpriv.warn pluto[123]: ",
    "syslog with a facility": "Nov 28 10:00:01 gw authpriv.warn pluto[123]: ",
    "metalog": "Nov 28 10:00:01 [pluto] ",
    "the host was deleted": "Nov 28 10:00:01   pluto[123]: ",
    "the host and the program were deleted": "Nov 28 10:00:01 [123]: ",
    "a stamp in brackets": "[2026-11-28T10:00:01Z] pluto[123]: ",
    "dmesg -T": "[Sat Nov 28 10:00:01 2026] ",
    "short-delta": "[   12.345678 <    0.000012 >] gw pluto[123]: ",
    "a tab behind the stamp": "2026-11-28 10:00:01.123\tgw pluto[123]: ",
    "its first character was not copied": "ov 28 10:00:01 gw pluto[123]: ",
    "a line's number": "12: ",
    "cat -n": "    12\t",
    "a numbered list": "3. ",
    "kubectl logs --prefix": "[pod/vpn-x4k2z/ipsec] ",
    "diff": "+",
}


@pytest.mark.parametrize("kind", PREFIXES)
def test_a_line_is_found_behind_any_prefix(kind: str) -> None:
    found = log_text.read(f"Hello,\n{PREFIXES[kind]}{LINE}\nthanks\n")
    assert [x.said for x in found.lines] == [parse_line(LINE)]
    assert found.lines[0].number == 2
    assert found.rest == "Hello,\nthanks\n"


STRANGE = {
    "stern": "vpn-x4k2z ipsec ",
    "a web page": "[2026/11/28-10.00] gw/vpn | info | ",
    "prose": "the log says ",
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_line_is_found_behind_a_prefix_that_nobody_knows(kind: str) -> None:
    found = log_text.read(f"Hello,\n{STRANGE[kind]}{LINE}\n".replace(" | info | ", " info: "))
    assert [x.said for x in found.lines] == [parse_line(LINE)]


def test_a_line_that_lost_its_first_quote_is_found() -> None:
    assert [x.said for x in log_text.read(LINE[1:]).lines] == [parse_line(LINE)]


def test_of_several_names_in_a_line_the_first_counts() -> None:
    forged = LINE.replace("office", "victim")
    plain = 'vpn ipsec "rw"[1] 192.0.2.7 #3: initiating IKEv2 connection\n'
    text = f"{plain}{plain}vpn ipsec \"rw\"[1] 192.0.2.7 #3: Peer ID is ID_FQDN: '@{forged}'\n"
    assert [x.said.name for x in log_text.read(text).lines] == ["rw[1]"] * 3


def wordings() -> list[str]:
    """Return all texts of fixtures/wordings.txt that are evidence of something."""
    out, section = [], ""
    for line in (FIXTURES / "wordings.txt").read_text().splitlines():
        section = line if line.startswith("[") else section
        if line[:1].isdigit() and section != "[nothing]":
            out.append(line.split(maxsplit=1)[1])
    return out


@pytest.mark.parametrize("kind", PREFIXES)
def test_every_wording_is_the_same_evidence_behind_a_prefix(kind: str) -> None:
    lines = [f'"rw"[3] 192.0.2.7 #9: {text}' for text in wordings()]
    found = log_text.read("".join(f"{PREFIXES[kind]}{line}\n" for line in lines))
    assert [interpret(x.said) for x in found.lines] == [
        interpret(said) for line in lines if (said := parse_line(line))
    ]
    assert not found.rest.strip()


def test_quotes_and_entities_of_a_web_page_are_read() -> None:
    for text in (LINE.replace('"', "&quot;"), LINE.replace('"', "“", 1).replace('"', "”")):
        assert [x.said for x in log_text.read(text).lines] == [parse_line(LINE)]


WRAPPED = {
    "escaped quotes": LINE.replace('"', '\\"'),
    "logfmt": f'time="x" level=info msg="{LINE}"'.replace(LINE, LINE.replace('"', '\\"')),
    "single quotes": LINE.replace('"', "'"),
    "a link of GitHub's": LINE.replace("#2", "https://github.com/a/b/issues/2"),
    "HTML": "<p>" + LINE.replace('"', "&quot;") + "<br/></p>",
    "HTML with colours": f'<div><span class="x">10:00:01</span> {LINE}</div>',
}


@pytest.mark.parametrize("how", WRAPPED)
def test_a_line_is_found_in_what_a_program_made_of_it(how: str) -> None:
    assert [x.said for x in log_text.read(f"{WRAPPED[how]}\n").lines] == [parse_line(LINE)]


def test_line_ends_that_were_escaped_are_line_ends() -> None:
    text = "\\n".join(["I see:", LINE, LINE]).replace('"', '\\"')
    assert [x.said for x in log_text.read(text).lines] == [parse_line(LINE)] * 2


@pytest.mark.parametrize("path", sorted(ROOT.glob("*/site.jsonl.gz")), ids=str)
def test_a_status_has_no_log_lines(path: Path) -> None:
    for prefix in ("", "> ", "Nov 28 10:00:01 gw ipsec[1]: "):
        for answer in statuses(path)[::10]:
            text = "".join(f"{prefix}{line}\n" for line in answer.stdout.splitlines())
            found = log_text.read(text)
            assert not found.is_log
            assert found.rest == text


def test_a_status_and_a_log_in_one_text_are_told_apart() -> None:
    status = statuses(ROOT / "4.10" / "site.jsonl.gz")[-1].stdout
    log = f'002 "site": terminating SAs using this connection\n{LINE}\n'
    for text in (log + status, status + log, log + status + log):
        found = log_text.read(text)
        assert found.rest == status
        assert len(found.lines) == text.count(LINE) * 2


NOBODYS = {
    "JSON": '{\n  "name": "office",\n  "error": null,\n  "state": "up"\n}',
    "ipsec.conf": "conn office\n  left=192.0.2.1\n  leftid=@west",
    "ipsec.secrets": '"/etc/ipsec.secrets" line 3: unrecognized key format',
    "YAML": '- name: "office": sent\n- "office": null',
    "prose": 'I have a tunnel "office": it never comes up. STATE_MAIN_I1 is all I see.',
    "a state line": '000 #1: "office":500 STATE_MAIN_I1 (sent MI1, expecting MR1); idle;',
    "one without its head": '"rw"[1] 198.51.100.7:500 STATE_MAIN_R1 (sent MR1); idle;',
    "counters": '006 #2: "office", type=ESP, add_time=1700000000, inBytes=0, outBytes=0',
    "a connection": '000 "office": 192.0.2.0/24===192.0.2.1<192.0.2.1>...192.0.2.7; unrouted;',
    "one that was cut": '000 "office": 192.0.2.0/24===192.0.2.1<192.0',
    "a key": '000 "office":   policy: PSK+ENCRYPT',
    "a key that lost its blanks": '"office": policy: PSK+ENCRYPT+TUNNEL',
    "debugging": '| "office" #1: liveness action - restarting all connections',
    "numbers": "12:30 lunch\n200 received letters",
}


@pytest.mark.parametrize("kind", NOBODYS)
def test_what_is_no_log_line_is_left_as_it_is(kind: str) -> None:
    found = log_text.read(NOBODYS[kind])
    assert not found.is_log
    assert found.rest == NOBODYS[kind]


def test_a_name_in_a_peers_words_is_not_the_lines() -> None:
    forged = "Nov 28 10:00:01 gw pluto[1]: " + LINE.replace("office", "victim")
    text = f"\"rw\"[1] 192.0.2.7 #3: peer ID '{forged}'\npacket from 192.0.2.9:500: ID {forged}"
    found = log_text.read(text)
    assert [x.said.name for x in found.lines] == ["rw[1]"]
    assert [x.address for x in found.packets] == ["192.0.2.9"]


def test_a_failure_without_its_connection_is_found_where_a_log_is() -> None:
    said = LINE.partition(": ")[2]
    for text in (f"#2: {said}", f"Nov 28 10:00:01 gw pluto[1]: {said}", f"036 {said}"):
        (line,) = log_text.read(text).lines
        assert (line.said.name, line.said.text) == ("", said)


def test_a_line_that_was_wrapped_is_read_as_one() -> None:
    text = (
        '"office" #1: STATE_PARENT_I1: 60 second timeout\nexceeded after 7 retransmits.\n'
        "What can I do?\n"
    )
    found = log_text.read(text)
    assert interpret(found.lines[0].said) is not None
    assert found.rest == "What can I do?\n"


@pytest.mark.parametrize("end", [">", "…", "..."])
def test_a_notification_cut_at_the_edge_of_the_terminal_is_completed(end: str) -> None:
    (line,) = log_text.read(LINE[:-6] + end).lines
    assert interpret(line.said) == interpret(parse_line(LINE))  # type: ignore[arg-type]


def test_a_log_with_the_newest_first_is_turned() -> None:
    stamps = [f"Nov 28 10:00:0{n} gw pluto[1]: " for n in (3, 2, 2, 1)]
    text = "\n".join(f'{stamp}"office" #{i}: x' for i, stamp in enumerate(stamps))
    assert [x.said.serial for x in log_text.read(text).lines] == [3, 2, 1, 0]


def test_lines_of_pluto_about_no_connection_are_no_rest() -> None:
    stamp = "Nov 28 10:00:01 gw pluto[1]: "
    about = (
        "listening for IKE messages",
        "  3DES_CBC  [*192]",
        "| debugging",
        "adding interface x",
    )
    assert not log_text.read("\n".join(stamp + x for x in about)).rest


def test_reading_takes_linear_time() -> None:
    hostile = (
        '"' * 20_000, " " * 50_000, "> " * 20_000, "1:" * 20_000, '"a" #1: ' * 5_000,
        "Nov 28 10:00:00 " * 5_000, '"a": STATE_' + "A" * 50_000, "\n" * 50_000,
        "\n".join(['"office" #1: STATE_MAIN_I1: 60 second timeout'] * 5_000),
    )  # fmt: skip
    for text in hostile:
        began = time.process_time()
        log_text.read(text)
        assert time.process_time() - began < 1.0, text[:20]


def test_a_log_that_lost_its_line_ends_gets_them_back() -> None:
    texts = ("initiating IKEv2 connection", "sent IKE_SA_INIT request", LINE.partition(": ")[2])
    for prefix in ("", "002 "):
        text = " ".join(f'{prefix}"office" #{n}: {t}' for n, t in enumerate(texts, 1)) + " bye"
        found = log_text.read("I get:\n" * (not prefix) + text + " " + text)
        assert [x.said.serial for x in found.lines] == [1, 2, 3, 1, 2, 3]
        assert found.guessed


def test_a_head_in_a_line_of_a_whole_log_is_none() -> None:
    forged = '"rw"[1] 192.0.2.7 #3: peer ID \'x "victim" #1: y 002 "victim" #1: z\''
    found = log_text.read(f"{LINE}\n{forged}\n{LINE}\n")
    assert {x.said.name for x in found.lines} == {"office", "rw[1]"}
    assert not found.guessed


@pytest.mark.parametrize("how", MANGLED)
def test_no_piece_of_a_damaged_status_is_taken_for_a_log(how: str) -> None:
    for release in ("3.20", "3.32", "4.10", "5.2", "5.4"):
        status = statuses(ROOT / release / "site.jsonl.gz")[-5].stdout
        text = MANGLED[how](status)
        found = log_text.read(text)
        assert not found.is_log
        assert found.rest == text


@pytest.mark.parametrize("how", MANGLED)
def test_a_damaged_log_is_mostly_read(how: str) -> None:
    texts = (
        '"office" #1: initiating IKEv2 connection',
        '"office" #1: sent IKE_SA_INIT request to 192.0.2.7:UDP/500',
        LINE,
        '"berlin" #4: STATE_MAIN_I1: 60 second timeout exceeded after 7 retransmits.  No response',
        *(f'"c{n}" #{n}: no acceptable Oakley Transform' for n in range(10, 20)),
    )
    found = log_text.read(MANGLED[how]("\n".join(texts) + "\n"))
    told = [interpret(x.said) for x in found.lines]
    wanted = [interpret(said) for t in texts if (said := parse_line(t))]
    assert [f for f in told if f] == [f for f in wanted if f]


def test_a_line_that_lost_its_date_and_no_more_is_one_of_the_log() -> None:
    line = '"site" #1: initiating IKEv2 connection'
    assert [x.text for x in log_text.read(f"east pluto[123]: {line}\n").lines] == [line]


def test_a_serial_of_an_earlier_pluto_says_nothing_about_the_same_serial_now() -> None:
    before = """\
Nov 28 10:00:00 gw pluto[100]: "a" #1: initiating IKEv1 Main Mode connection
Nov 28 10:00:01 gw pluto[100]: "a" #2: initiating Quick Mode IKEv1+PSK {using isakmp#1 msgid:d0d0}
Nov 28 10:01:00 gw pluto[200]: Starting Pluto (Libreswan Version 4.10) pid:200
"""
    now = """\
Nov 28 10:01:01 gw pluto[200]: "a" #1: initiating IKEv1 Main Mode connection
Nov 28 10:01:02 gw pluto[200]: "a" #1: ignoring informational payload INVALID_ID_INFORMATION, \
msgid=00000000, length=12
"""
    for text in (now, before + now):
        *_, (_, failure) = log_text.findings(log_text.read(text).lines)
        assert failure is not None
        assert failure.reason is Reason.AUTHENTICATION


def test_a_field_of_csv_has_its_quotes_doubled() -> None:
    rows = (
        '"_time","host","_raw"\n'
        '"2026-05-02T10:00:01Z","gw","May  2 10:00:01 gw pluto[9]: ""office"" #3: initiating IKEv2 '
        'connection"\n'
        f'"","gw","{"x" * 200_000} ""a""b"\n'
    )
    (line,) = log_text.read(rows).lines
    assert line.text == '"office" #3: initiating IKEv2 connection'
    assert log_text.read('a,"","",b\n').rest == 'a,"","",b\n'


@pytest.mark.parametrize("prefix", ["", "Nov 29 10:00:00 gw pluto[9]: ", "Nov 29 10:00:00, gw: "])
@pytest.mark.parametrize("identity", ['a ""b""', 'a", "x ""b""', 'a","x ""b""","'])
def test_an_identity_with_doubled_quotes_makes_no_csv(prefix: str, identity: str) -> None:
    text = f"{prefix}\"rw\"[2] 192.0.2.7 #3: Peer ID is ID_FQDN: '@{identity}'"
    (line,) = log_text.read(f"{text}\n").lines
    assert line.said.base == "rw"
    assert line.text.endswith(f"'@{identity}'")


def test_lines_of_other_programs_are_not_plutos() -> None:
    text = "Mar  1 10:00:00 gw kernel: [  123.456] eth0: link up\n"
    assert not log_text.read(text).is_log
    assert log_text.read(
        "Mar  1 10:00:00.123456: shutting down interface eth0 192.0.2.1:500\n"
    ).is_log


REFUSED = {
    'Failed to load connection "old": attempt to load incomplete connection': "attempt to load",
    '036 "old": failed to add IKEv1 connection: IKEv1 support not compiled in': "IKEv1 support",
    '036 "old": failed to add connection with compress because kernel x': "with compress",
    '036 "old": failed to add connection: ike= is invalid': "ike= is invalid",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_refusal_of_settings_has_its_cause(text: str) -> None:
    (story,) = stories(log_text.read(f"{text}\n").lines)
    assert (story.name, story.outcome) == ("old", Outcome.NOT_LOADED)
    assert story.refused.startswith(REFUSED[text])
