# SPDX-License-Identifier: MIT
"""Texts that people take for libreswan's, and that aren't."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING

import pytest

from ipsecwatch.cli import main
from ipsecwatch.cli.explain import other_programs
from tests.support.corpus import needs_corpus, outputs
from tests.support.recordings import ROOT, statuses

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = {
    "strongSwan": (
        "Status of IKE charon daemon (strongSwan 5.9.8, Linux 6.1.0-9-amd64, x86_64):\n  uptime",
        "Security Associations (0 up, 1 connecting):\n   hq[4]: CONNECTING, 192.0.2.7[%any]...x",
        "aaa: #22, CONNECTING, IKEv2, c6c7cf1a30907e40_i* 0000000000000000_r\n  local '%any'",
        "initiating Main Mode IKE_SA work[1] to 192.0.2.7\ngenerating ID_PROT request 0 [ SA V V ]",
        "Jul  4 14:22:33 lt NetworkManager[7]: initiating Main Mode IKE_SA work[1] to 192.0.2.7",
        "establishing connection 'work' failed",
    ),
    "strongSwan's old pluto": (
        """\
000 Status of IKEv1 pluto daemon (strongSwan 4.5.2):
000 "net": 10.1.0.0/16===192.0.2.1[@a]...192.0.2.7[@b]===10.2.0.0/16; erouted; eroute owner: #2
""",
        """\
> 000 "net":   newest ISAKMP SA: #1; newest IPsec SA: #2; eroute owner: #2
> 000 #2: "net" STATE_QUICK_I2 (sent QI2, IPsec SA established); EVENT_SA_REPLACE in 9s; newest
""",
    ),
    "racoon": ("Apr 11 10:00:51 nas racoon: ERROR: phase1 negotiation failed due to time up.",),
    "ipsec verify": (
        "Verifying installed system and configuration files\n\nVersion check and ipsec [OK]",
    ),
    "ip xfrm state": (
        "src 192.0.2.1 dst 192.0.2.7\n\tproto esp spi 0x12d3f8a1 reqid 16389 mode tunnel\n",
    ),
    "ipsec.conf": ("config setup\n    protostack=netkey\n\nconn hq\n    left=192.0.2.1\n",),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_of_another_kind_is_called_so(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in TEXTS[kind]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main.run(["explain"]) == 3
        out, err = capsys.readouterr()
        assert out == ""
        assert kind in err


@pytest.mark.parametrize("kind", TEXTS)
def test_verbs_that_read_files_say_so_too(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i, text in enumerate(TEXTS[kind]):
        file = tmp_path / str(i)
        file.write_text(text)
        assert main.run(["status", "--file", str(file)]) == 3
        assert kind in capsys.readouterr().err


OPENSWAN = (
    """\
000 "acme": 192.0.2.7<192.0.2.7>...192.0.2.9<192.0.2.9>; prospective erouted; eroute owner: #0
000 "acme":   policy: PSK+ENCRYPT+TUNNEL+UP+IKEv2ALLOW+SAREFTRACK+lKOD+rKOD; prio: 32,24;
000 #20: "acme":500 STATE_MAIN_I1 (sent MI1, expecting MR1); EVENT_RETRANSMIT in 4s; nodpd
""",
    """\
Mar  3 09:12:01 fw pluto[7]: Starting Pluto (Openswan Version 2.6.32; Vendor ID OE) pid:7
Mar  3 09:12:02 fw pluto[7]: "acme" #1: initiating Main Mode
""",
    """\
"acme" #1: received Vendor ID payload [Openswan (this version) 2.6.32 ]
"acme" #1: STATE_MAIN_I2: sent MI2, expecting MR2
""",
)


@pytest.mark.parametrize("text", OPENSWAN)
def test_openswan_is_explained_but_called_so(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main.run(["explain"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "… acme" in out
    assert "This is a text of Openswan, not of libreswan." in out
    assert "not a whole status" not in out
    assert "libreswan," not in out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main.run(["explain", "--json"]) == 0
    assert "Openswan" in json.loads(capsys.readouterr().out)["remarks"][0]


def test_two_answers_in_a_text_are_called_so_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(text: str) -> int:
        both = text + text.replace("erouted; ", "unrouted; ")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(both.encode())))
        return main.run(["explain"])

    assert run(OPENSWAN[0]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "2 answers" in out
    assert out.count("This is a text of Openswan, not of libreswan.") == 2
    assert "libreswan," not in out
    assert run(TEXTS["strongSwan's old pluto"][0]) == 3
    assert "strongSwan's old pluto" in capsys.readouterr().err


def test_recorded_statuses_are_of_no_other_program() -> None:
    for path in ROOT.glob("*/*.jsonl.gz"):
        text = statuses(path)[-1].stdout
        assert not other_programs.is_openswan(text)
        assert not other_programs.is_old_status(text)


def test_words_of_a_peer_make_no_other_program_of_it() -> None:
    words = '#1: "a" STATE_MAIN_I1 (Starting Pluto (Openswan Version 2.6'
    text = f'#2: "rw"[1] 192.0.2.7, username={words}, type=ESP, add_time=1700000000, inBytes=3\n'
    assert not other_programs.is_openswan(text)
    assert not other_programs.is_old_status(text)


@needs_corpus
def test_no_release_of_libreswan_is_taken_for_another_program() -> None:
    for output in outputs():
        text = output.text
        assert not other_programs.is_old_status(text), output
        assert not other_programs.is_openswan(text), output
