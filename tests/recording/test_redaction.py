# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ipsecwatch import recording
from ipsecwatch.libreswan import log_lines
from ipsecwatch.libreswan.status import Reader, parse
from ipsecwatch.recording import words
from ipsecwatch.recording.placeholders import Kind
from ipsecwatch.recording.redaction import Redactor
from ipsecwatch.recording.vocabulary import WORDS
from ipsecwatch.report import LogLine
from ipsecwatch.tracking.observation import observe_tunnels
from ipsecwatch.tracking.tracker import Tracker
from tests.support import corpus, hostile_text, private_values
from tests.support.paths import TESTS, TOP
from tests.support.private_values import PLAIN, SECRETS, USERS
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RECORDINGS = [
    *sorted(ROOT.rglob("*.jsonl.gz")),
    *sorted((TOP / "ipsecwatch/recording/demo").glob("*.gz")),
    *sorted((corpus.SHARED / "recordings/minimal").glob("*.gz")),
    *sorted((corpus.SHARED / "field").glob("*.jsonl")),
]
ANSWERS = sorted(p for p in (TESTS / "fixtures/answers").rglob("*") if p.suffix == ".txt")
WORDINGS = [
    line[6:]
    for line in (TESTS / "fixtures/wordings.txt").read_text().splitlines()
    if line and line[0] not in "#["
]
UP = {
    dialect: statuses(ROOT / f"{dialect}/site.jsonl.gz")[10].stdout for dialect in ("4.10", "5.4")
}


def twice(text: str) -> str:
    """Return a text as the verb redacts it: it is read twice, first to learn its values."""
    redactor = Redactor()
    redactor.text(text)
    redactor.again()
    return redactor.text(text)


# --- Nothing private is left ----------------------------------------------------------------


@corpus.needs_corpus
def test_nothing_that_the_corpus_has_of_anybody_is_left(thorough: bool) -> None:
    found = 0
    for output in corpus.outputs(strict=False)[:: 1 if thorough else 5]:
        values = private_values.found(output.text)
        found += len(values)
        assert not private_values.left(values, twice(output.text)), output.path
    assert found > (20_000 if thorough else 4_000)


@pytest.mark.parametrize("path", ANSWERS, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_nothing_that_a_whole_answer_has_of_anybody_is_left(path: Path) -> None:
    text = path.read_text("utf-8", "surrogateescape")
    assert not private_values.left(private_values.found(text), twice(text))


def alike(text: str, kind: str) -> None:
    """Assert that texts with any planted private value of a kind are the same once redacted."""
    plain = twice(private_values.planted(text, kind, PLAIN[kind]))
    for secret in SECRETS[kind]:
        assert _blurred(twice(private_values.planted(text, kind, secret))) == _blurred(plain), (
            secret
        )


def _blurred(text: str) -> str:
    """Return a redacted text without the kinds and numbers of its placeholders."""
    text = re.sub(
        r"@?(?:CN=dn|host|mail|key|id|text|num)\d+(?:@mail\.example|\.example)?", "·", text
    )
    return re.sub(r"@#·|@·", "·", text)


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("dialect", UP)
def test_a_redacted_status_is_the_same_whatever_somebody_is_called(dialect: str, kind: str) -> None:
    text = UP[dialect]
    assert private_values.planted(text, kind, "x!") != text or kind in ("cert", "label", "banner")
    alike(text, kind)


@corpus.needs_corpus
@pytest.mark.parametrize("kind", SECRETS)
def test_a_redacted_text_of_the_corpus_is_the_same_whatever_somebody_is_called(
    kind: str, thorough: bool
) -> None:
    planted = 0
    for output in corpus.outputs(strict=False)[:: 40 if thorough else 120]:
        if private_values.planted(output.text, kind, PLAIN[kind]) != output.text:
            planted += 1
            alike(output.text, kind)
    assert planted


@pytest.mark.parametrize("user", [*USERS, "failed", "no", "Smith: Authentication Failed", "a' b"])
@pytest.mark.parametrize("wording", [w for w in WORDINGS if "paula" in w])
def test_a_user_of_any_name_is_hidden_where_a_user_stands(wording: str, user: str) -> None:
    lines = [f'"office"[2] 192.0.2.7 #3: {wording.replace("paula", name)}' for name in (user, "zz")]
    hidden, plain = (twice(line) for line in lines)
    assert hidden == plain


PRIVATE = ("paula", "@east", "@west", "east", "road.example", "192.0.2.", "10.0.0.", "/etc/ipsec.d",
           "eth0", "eth1", "site", "multi", "f4c8ab88", "7dd1715e", "*AQO", "*AwE",
           "west")  # fmt: skip

NO_FORM = "redacted, it is no evidence any more. Is its form in recording/message_table.py?"


@pytest.mark.parametrize("wording", WORDINGS)
def test_nothing_private_of_a_wording_is_left_and_it_means_the_same(wording: str) -> None:
    line = f'"office"[2] 192.0.2.7 #3: {wording}'
    hidden = twice(line)
    assert not [
        p for p in ("office", *PRIVATE) if re.search(rf"\b{re.escape(p)}|^{re.escape(p)}", hidden)
    ]
    plain, redacted = map(log_lines.parse_line, (line, hidden))
    assert plain is not None
    assert redacted is not None
    assert (redacted.base, redacted.serial) == ("conn1", plain.serial)
    for phase1 in (False, True):
        meant = log_lines.interpret(plain, phase1=phase1)
        assert log_lines.interpret(redacted, phase1=phase1) == meant, NO_FORM


def test_pluto_s_words_stay_where_they_are_pluto_s_though_somebody_is_called_so() -> None:
    redactor = Redactor()
    for word in sorted(WORDS):
        redactor.known.get(Kind.USER, word)
    for wording in WORDINGS:
        line = f'"office" #3: {wording}'
        said, hidden = log_lines.parse_line(line), log_lines.parse_line(redactor.line(line))
        assert said is not None
        assert hidden is not None
        assert log_lines.interpret(hidden) == log_lines.interpret(said), f"{wording}: {NO_FORM}"


@pytest.mark.parametrize("dialect", hostile_text.DIALECTS)
@pytest.mark.parametrize("slot", hostile_text.SLOTS)
def test_a_hostile_peer_s_text_is_hidden_and_moves_nobody(dialect: str, slot: str) -> None:
    for nasty in hostile_text.NASTY:
        if "\n" in nasty or len(nasty) > 4096:
            continue
        text = hostile_text.status(dialect, {slot: f"zz{nasty}qqq"})
        redactor = Redactor()
        hidden = redactor.text(text)
        assert "qqq" not in hidden, nasty
        plain = hostile_text.verdicts(parse(text))
        names = {words.connection(key, redactor.known): key for key in hostile_text.OTHERS}
        seen = _verdicts(hidden, names)
        assert {k: seen[k][:2] for k in plain} == {k: v[:2] for k, v in plain.items()}, nasty


def _verdicts(text: str, names: dict[str, str]) -> dict[str, tuple[str, bool]]:
    seen = observe_tunnels(parse(text), frozenset(), frozenset())
    return {
        name: (seen[key].state.value, seen[key].trying) if key in seen else ("gone", False)
        for key, name in names.items()
    }


# --- States, reasons and times hold -----------------------------------------------------------


def story(entries: Iterable[recording.Entry]) -> list[tuple[object, ...]]:
    """Replay a recording; return its transitions as (time, name, old state, new state, reason)."""
    tracker, reader = Tracker(), Reader()
    told: list[tuple[object, ...]] = []
    for entry in recording.settled(entries):
        if isinstance(entry, LogLine):
            tracker.add_log_line(entry)
        elif isinstance(entry, recording.RecordedAnswer) and entry.command == "status":
            found = recording.poll(entry, reader)
            told += [
                (c.at, c.tunnel.name, str(c.old), str(c.new), str(c.reason))
                for c in tracker.observe(found)
            ]
    return told


def renamed(name: str, redactor: Redactor) -> str:
    base, bracket, instance = name.partition("[")
    return words.connection(base, redactor.known) + bracket + instance


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda p: f"{p.parent.name}-{p.name[:-9]}")
def test_a_redacted_recording_tells_the_same_story_and_nothing_private(
    path: Path, tmp_path: Path
) -> None:
    redactor = Redactor()
    copy = tmp_path / "copy.jsonl"
    head, entries = recording.read(path)
    text: list[str] = []
    with recording.Writer(copy) as out:
        out.write(redactor.head(head.raw))
        for entry in entries:
            raw = entry.raw if isinstance(entry, recording.RecordedAnswer) else _raw(entry)
            text.append(str(raw.get("stdout", "")))
            out.write(redactor.entry(raw))
    plain = story(recording.read(path)[1])
    assert plain
    mapped = [(at, renamed(str(name), redactor), *rest) for at, name, *rest in plain]
    assert sorted(story(recording.read(copy)[1])) == sorted(mapped)
    hidden = copy.read_text()
    values = private_values.found(text[len(text) // 2]) - {"main"}
    assert not private_values.left(values, hidden)


def _raw(entry: LogLine | recording.Note) -> dict[str, object]:
    if isinstance(entry, LogLine):
        return {"at": entry.at, "journal": entry.text, "identifier": entry.identifier}
    return {"at": entry.at, "note": entry.text}


def test_of_a_recording_all_fields_are_redacted_and_unknown_ones_left_out() -> None:
    redactor = Redactor()
    head = redactor.head(
        {
            "format": 1,
            "kind": "x",
            "libreswan": "4.10",
            "interval": 1.0,
            "title": "acme",
            "who": "me",
        }
    )
    assert head == {"format": 1, "interval": 1.0, "kind": recording.KIND, "libreswan": "4.10",
                    "redacted": True, "title": "text1"}  # fmt: skip
    entry = redactor.entry(
        {
            "at": 1.5, "mono": 2.0, "command": "status", "exit": None, "via": "whack", "took": 0.1,
            "stdout": "acme", "stderr": 'whack: Pluto is not running (no "/acme/pluto.ctl")',
            "error": "not allowed to ask pluto: /acme/pluto.ctl", "host": "acme", "note": "acme",
            "journal": "acme", "identifier": "acme", "unit": "acme.service", "timed_out": True,
        }
    )  # fmt: skip
    assert "acme" not in json.dumps(entry)
    assert entry["stderr"] == 'whack: Pluto is not running (no "/path1")'
    assert entry["error"] == "not allowed to ask pluto: /path1"
    assert (entry["at"], entry["timed_out"], entry["via"]) == (1.5, True, "whack")
    assert "host" not in entry


VERSIONS = {
    "5.4": "5.4", "v4.0rc1": "v4.0rc1", "5.4-59-g0c4e3eccfb": "5.4-59-g0c4e3eccfb",
    "v5.3-12-g0c4e3eccfb-main-dirty": "v5.3-12-g0c4e3eccfb-main-dirty",
    "5.0-acme": "5.0-text1", "5.0~acme+3": "5.0~text1", "acme-5.0": "text1",
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_of_a_version_stays_what_libreswan_made(version: str) -> None:
    assert Redactor().head({"libreswan": version})["libreswan"] == VERSIONS[version]
    hidden = Redactor().line(f"pluto_version={version}, audit-log=yes")
    assert hidden == f"pluto_version={VERSIONS[version]}, audit-log=yes"


# --- What stands for what ---------------------------------------------------------------------

SAME = {
    'a name without quotes': ('"office" #1: x', "office IKE proposals", "conn1 IKE proposals"),
    "subnets= and an instance": ('"office/1x2"[3]: x', '"office" #1: x', '"conn1" #1: '),
    "a UUID": (
        '"4f5e7b0c-95b4-4d3e-8a57-0c6a1e3f0a11": x',
        '"4f5e7b0c-95b4-4d3e-8a57-0c6a1e3f0a11" #1: x',
        '"00000000-0000-4000-8000-000000000001" #1: ',
    ),
    "a group": (
        '"clear#192.0.2.0/24-(0--6--7)"[1] ...192.0.2.9 #1: x',
        '"clear#192.0.2.0/24"[2] ...192.0.2.9 #4: x',
        '"conn1#198.18.0.1/24"[2] ...198.18.0.2 #4: ',
    ),
    "an address and its subnet": ("10.0.0.0/8", "10.0.0.0/24", "198.18.0.1/24"),
    "IPv6": ("[2001:db8:7::1]:4500", "2001:db8:7::1/64", "2001:db8::1/64"),
    "a host name and an identity": (
        "Peer ID is FQDN: '@gw.acme.example'", "gw.acme.example", "host1.example"
    ),
    "an SPI": ('#2: "a" esp.deadbeef@192.0.2.1 Traffic: ', "SA(0xdeadbeef)", "SA(0x5b1c0001)"),
    "a user": ("XAUTH: User main: Attempting to login", "main", "user1"),
}  # fmt: skip


@pytest.mark.parametrize("what", SAME)
def test_the_same_value_becomes_the_same_placeholder_in_lines_of_any_kind(what: str) -> None:
    first, then, hidden = SAME[what]
    redactor = Redactor()
    redactor.line(first)
    assert redactor.line(then).startswith(hidden)


def test_a_placeholder_is_never_the_value_itself() -> None:
    assert Redactor().line('"conn1" #1: x').startswith('"conn2" #1: ')


def test_what_was_replaced_is_counted_by_kind() -> None:
    redactor = Redactor()
    redactor.text(
        '"a" #1: XAUTH: User paula: Attempting to login\n"a" #2: Peer ID is FQDN: \'CN=x\''
    )
    assert redactor.counts() == {Kind.CONNECTION: 1, Kind.USER: 1, Kind.DN: 1}


PASTED = {
    "Nov 28 14:33:20 gw pluto[4711]: \"acme\" #1: initiating IKEv2 connection":
        'Nov 28 14:33:20 host1.example pluto[1]: "conn1" #1: initiating IKEv2 connection',
    "> 000 #2: \"acme\":500 STATE_QUICK_I2 (IPsec SA established); EVENT_SA_REPLACE in 9s;":
        '> 000 #2: "conn1":500 STATE_QUICK_I2 (IPsec SA established); EVENT_SA_REPLACE in 9s;',
    '002 "acme" #1: initiating IKEv2 connection': '002 "conn1" #1: initiating IKEv2 connection',
    "root@gw:~# ipsec whack --status": "mail1@mail.example ipsec whack --status",
    "user main is up, says 4711": "user text1 is text2, text3 num1",
    "| PSK: 63 6f 72 72 65 63 74": "| PSK: text1",
    '"a" #1: ACME_paula_main: no': '"conn1" #1: text1: no',
    "192.0.2.45[@west]...192.0.2.23[@east]===10.2.0.0/24; erouted;":  # wrapped off its head
        "198.18.0.1[@host1.example]...198.18.0.2[@host2.example]===198.18.0.3/24; erouted;",
    "000 algorithm ESP encrypt: name=AES_CBC,":  # wrapped, as the next
        "000 algorithm ESP encrypt: text1=AES_CBC,",
    "000 State Information: DDoS cookies not required, Accepting new IKE": None,
    "WARNING: ipsec auto has been deprecated": "WARNING: ipsec auto has been deprecated",
    "rightid=@bank leftid=paula@acme.de": "rightid=@host1.example leftid=mail1@mail.example",
    "ocsp-uri=http://ocsp.acme.de, ocsp-trust-name=auto":
        "ocsp-uri=http://uri1.example, ocsp-trust-name=cert1",
    "packet from 192.0.2.7:500: initial Main Mode message received": None,
}  # fmt: skip


@pytest.mark.parametrize("line", PASTED)
def test_a_pasted_line_is_redacted_behind_whatever_was_put_in_front_of_it(line: str) -> None:
    wanted = PASTED[line] or line.replace("192.0.2.7", "198.18.0.1")
    assert Redactor().line(line) == wanted


FRAMES = ["    ", "\t", "        ", "> ", "> > ", "> \t", "  | ", "│ ", "  > > ", "\x1b[0;1m"]


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("dialect", UP)
def test_a_status_is_redacted_alike_however_it_is_indented_or_quoted(
    dialect: str, frame: str
) -> None:
    lines = UP[dialect].split("\n")
    framed = "\n".join(frame + line for line in lines)
    kept = "" if "\x1b" in frame else frame
    assert twice(framed).split("\n") == [
        kept + line for line in twice("\n".join(lines)).split("\n")
    ]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_log_is_redacted_alike_however_it_is_indented_or_quoted(frame: str) -> None:
    line = 'Nov  2 10:00:01 gateway pluto[12]: "server"[1] 192.0.2.7 #1: initiating Main Mode'
    for log in (line, line[35:]):
        assert twice(frame + log).endswith(twice(log))


HEADS = {
    "syslog": "Nov  2 10:00:01 {} pluto[12]: ",
    "syslog with its priority": "<30>Nov  2 10:00:01 {} pluto[12]: ",
    "logread of a router": "Mon Nov  2 10:00:01 2026 daemon.warn {} pluto[12]: ",
    "journalctl -o short-iso": "2026-11-02T10:00:01+0100 {} pluto[12]: ",
    "journalctl -o short-full": "Mon 2026-11-02 10:00:01 CET {} pluto[12]: ",
    "journalctl -o short-unix": "1793613601.123456 {} pluto[12]: ",
    "journalctl -o short-monotonic": "[  813.123456] {} pluto[12]: ",
    "a program in a folder": "Nov  2 10:00:01 {} postfix/smtpd[12]: ",
    "a program in parentheses": "Nov  2 10:00:01 {} (systemd)[12]: ",
}


@pytest.mark.parametrize("machine", ["acme", "gateway", "4711", "FWZH", "server.acme.example"])
@pytest.mark.parametrize("head", HEADS)
def test_a_machine_is_hidden_where_a_log_names_it_though_it_is_called_like_a_word_of_pluto_s(
    head: str, machine: str
) -> None:
    line = Redactor().line(f'{HEADS[head].format(machine)}"acme" #1: initiating Main Mode')
    before, _, behind = HEADS[head].partition("{}")
    assert line.startswith(f"{before}host1.example ")
    if " pluto" in behind:
        assert line.endswith('pluto[1]: "conn1" #1: initiating Main Mode')


@pytest.mark.parametrize("said", ["FIPS Mode: NO", "EXPECTATION FAILED: 1 == 2"])
def test_pluto_s_own_log_file_names_no_machine(said: str) -> None:
    redactor = Redactor()
    redactor.line(f"Nov  2 10:00:01.123456: {said}")
    assert redactor.known.counts().get(Kind.HOST) is None


TYPED = {
    "conn {}": "conn conn1",
    "conn {} # ours": "conn conn1 # text1",
    "    also={}": "    also=conn1",
    "# ipsec auto --up {}": "# ipsec auto --up conn1",
    "# ipsec auto --add --asynchronous {}": "# ipsec auto --add --asynchronous conn1",
    "# ipsec up {}": "# ipsec up conn1",
    "# /usr/sbin/ipsec down {}; exit": None,
    "# ipsec whack --name {} --initiate": "# ipsec whack --name conn1 --initiate",
    "# ipsec whack --initiate --name {}": "# ipsec whack --initiate --name conn1",
    "    left={}": "    left=host1.example",
    "    rightid={}": "    rightid=id1",
    '    rightid="CN={}"': '    rightid="CN=dn1"',
    "    leftcert = {}": "    leftcert = cert1",
    "    leftxauthusername={}": "    leftxauthusername=user1",
    "    modecfgdomains={}": "    modecfgdomains=host1.example",
    "    interface={}": "    interface=if1",
    "leftid={} rightid=@{}": None,
}


@pytest.mark.parametrize("name", ["acme", "server", "gateway", "secret", "tunnel"])
@pytest.mark.parametrize("line", TYPED)
def test_a_name_that_is_a_word_of_pluto_s_is_hidden_where_somebody_typed_it(
    line: str, name: str
) -> None:
    hidden = Redactor().line(line.replace("{}", name))
    assert hidden == (TYPED[line] or hidden)
    assert name not in hidden


@pytest.mark.parametrize("name", ["server", "gateway", "secret", "tunnel"])
@pytest.mark.parametrize("key", ["user=", "XAUTHuser=", "password:", "a:username=", "uid=x="])
def test_a_value_is_hidden_behind_a_key_of_names_though_it_is_a_word_of_pluto_s(
    key: str, name: str
) -> None:
    assert name not in Redactor().line(f'"a" #1: unheard-of {key}{name}')
    assert name not in Redactor().line(f'"a" #1: unheard-of {key}x+{name}')


@pytest.mark.parametrize(
    "line",
    ["conn %default", "    right=%any", "    rightid=%fromcert", "# ipsec auto --status",
     "# ipsec whack --status", "ipsec start", "    auto=start"],
)  # fmt: skip
def test_what_libreswan_reads_stays_where_somebody_typed_it(line: str) -> None:
    assert Redactor().line(line) == line


def test_a_name_may_end_in_subnet_pairs_without_end() -> None:
    assert Redactor().line(f'"{"/1x1" * 64}" #1: x').startswith('"conn1/1x1" #1: ')
    text = f'"a{"/1x1" * 5000}": 1.2.3.4...5.6.7.8; unrouted; eroute owner: #0\n'
    assert "5.6.7.8" not in Redactor().text(text)


def test_a_line_that_pluto_cut_is_one_still() -> None:
    cut = f'"a": 192.0.2.1[CN={"x" * 1000}'
    text = UP["4.10"].replace('"site": ', f"{cut}...192.0.2.7[CN=y", 1)
    plain, hidden = (parse(t).connections for t in (text, twice(text)))
    assert [len(c.topologies) for c in plain] == [len(c.topologies) for c in hidden]


def test_an_answer_without_a_report_stays_one() -> None:
    why = 'whack: Pluto is not running (no "/x")'
    answer = recording.RecordedAnswer(
        1.0, "status", "", why, 1, None, 0.0, timed_out=False, error=None, raw={}
    )
    hidden = replace(answer, stderr=Redactor().text(answer.stderr))
    assert recording.poll(hidden, Reader()).pluto is recording.poll(answer, Reader()).pluto
