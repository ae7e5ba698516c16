# SPDX-License-Identifier: MIT
"""Tests of the example hooks, run as ``ipsecwatch monitor --exec`` runs them."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, ClassVar

import pytest

from ipsecwatch.cli.monitor.catching_up import Transition
from ipsecwatch.cli.monitor.hooks import environment
from ipsecwatch.tunnel import Reason, TunnelState
from tests.support.paths import TOP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOOKS = TOP / "packaging/examples/hooks"
ODD = 'off"ice $HOME'
UP = Transition(ODD, TunnelState.DOWN, TunnelState.UP, Reason.NONE, 1.0, 1, "up", "run")
DOWN = Transition(ODD, TunnelState.UP, TunnelState.DOWN, Reason.PEER_DEAD, 2.0, 2, "down", "run")


def run(name: str, transition: Transition, **settings: str) -> None:
    more = {key.encode(): value.encode() for key, value in settings.items()}
    told = {**environment(transition), **more}
    done = subprocess.run([HOOKS / name], env=told, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


ANSWERS = {b"DATA": b"354 go\r\n", b"QUIT": b"221 bye\r\n"}


class FakeMailServer(socketserver.StreamRequestHandler):
    """A fake SMTP server, which keeps the lines of the mails that it receives."""

    mail: ClassVar[list[str]] = []

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            self.wfile.write(
                {b"DATA": b"354 go\r\n", b"QUIT": b"221 bye\r\n"}.get(word, b"250 .\r\n")
            )
            if word == b"DATA":
                while (text := self.rfile.readline()) != b".\r\n":
                    self.mail.append(text.decode().rstrip())
                self.wfile.write(b"250 .\r\n")


class FakeWebService(BaseHTTPRequestHandler):
    """A fake web service, which keeps what is posted to it."""

    posted: ClassVar[list[dict[str, str]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posted.append(json.loads(body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    with server:
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_a_mail_is_sent_for_a_loss_and_none_when_it_is_over() -> None:
    with serving(socketserver.TCPServer(("127.0.0.1", 0), FakeMailServer)) as port:
        run("mail", DOWN, PORT=str(port))
        run("mail", UP, PORT=str(port))
    mail = FakeMailServer.mail
    assert f"Subject: IPsec tunnel {ODD}: down" in mail
    assert "The peer stopped answering." in mail
    assert len([line for line in mail if line.startswith("Subject:")]) == 1


def test_a_web_service_gets_what_happened_as_json() -> None:
    with serving(HTTPServer(("127.0.0.1", 0), FakeWebService)) as port:
        for transition in (DOWN, UP):
            run("webhook", transition, URL=f"http://127.0.0.1:{port}/", no_proxy="*")
    down, up = (each["text"] for each in FakeWebService.posted)
    assert down.startswith(f"IPsec tunnel {ODD}: down. The peer stopped answering. Check")
    assert up == f"IPsec tunnel {ODD}: up"


@pytest.mark.parametrize(("transition", "verb"), [(DOWN, "replace"), (UP, "delete")])
def test_a_route_comes_and_goes_with_a_loss(
    transition: Transition, verb: str, tmp_path: Path
) -> None:
    ip = tmp_path / "ip"
    ip.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/said\n')
    ip.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    run("backup-route", transition, PATH=path, NETWORK="10.1.0.0/16", GATEWAY="192.0.2.9")
    said = (tmp_path / "said").read_text()
    assert said == f"route {verb} 10.1.0.0/16 via 192.0.2.9 metric 50\n"
