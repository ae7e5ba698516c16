# SPDX-License-Identifier: MIT
"""Tests of the metrics of all tunnels, with Prometheus's tools and strict parsers."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from ipsecwatch.cli.metrics import families
from ipsecwatch.cli.metrics.exposition import Format, write
from ipsecwatch.client import Snapshot, View
from ipsecwatch.report import LogState, PlutoState
from ipsecwatch.sanitize import clean
from ipsecwatch.tunnel import Reason, TunnelState
from tests.cli.test_main import ipsecwatch
from tests.support.bus_service import serving
from tests.support.metrics_readers import openmetrics
from tests.support.tunnels import tunnel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.dbus_daemon import PrivateBus

STUCK: dict[str, Any] = {"reason": Reason.NO_ANSWER, "attempts": 3}


def view(name: str, state: TunnelState, path: str = "", **more: Any) -> View:  # noqa: ANN401
    path = path or f"/org/ipsecwatch1/tunnel/{name}"
    filled = {"reason": Reason.NONE, "children": 1, **more}
    return View(path, name, state, state, since=1.7e9, since_mono=1.0, **filled)


def snapshot(*views: View, **more: Any) -> Snapshot:  # noqa: ANN401
    about = {"pluto_version": "4.10", "missed": 2, "last_poll": 1.7e9, "log": LogState.JOURNAL}
    seen: dict[str, Any] = {"pluto_state": PlutoState.RUNNING, **about, **more}
    return Snapshot("run", 7, tunnels={v.path: v for v in views}, **seen)


def read(text: str) -> dict[tuple[str, ...], float]:
    """Return the values in a text in OpenMetrics' format, by metric name and label values.

    Assert that no metric is there twice.
    """
    found = [s for f in openmetrics(text) for s in f.samples]
    assert len({(s.name, *sorted(s.labels.items())) for s in found}) == len(found)
    return {(s.name.removeprefix("ipsecwatch_"), *s.labels.values()): s.value for s in found}


def numbers(seen: Snapshot) -> dict[tuple[str, ...], float]:
    return read(write(families(seen), Format.OPENMETRICS))


def test_each_tunnel_is_told_whatever_its_state() -> None:
    told = numbers(snapshot(*(view(f"t-{state}", state) for state in TunnelState)))
    for state in TunnelState:
        name = f"t-{state}"
        assert [s for s in TunnelState if told["tunnel_state", name, s]] == [state]
        assert told["tunnels", state] == 1
    assert told["tunnel_up", "t-up"] == 1
    assert told["tunnel_up", "t-down"] == told["tunnel_up", "t-partial"] == 0


def test_what_is_not_known_is_nan_or_left_out_and_never_0() -> None:
    told = numbers(
        snapshot(
            view("a", TunnelState.UNKNOWN, since_known=False),
            log=None,
            pluto_version="",
            missed=None,
            last_poll=None,
        )
    )
    assert math.isnan(told["tunnel_up", "a"])
    names = {name for name, *_ in told}
    assert names.isdisjoint({
        "tunnel_state_timestamp_seconds", "libreswan_info", "last_answer_timestamp_seconds",
        "missed_sas_total", "log_state",
    })  # fmt: skip


def test_pluto_and_the_service_are_told_of() -> None:
    told = numbers(snapshot())
    assert told["up",] == told["libreswan_info", "4.10"] == told["log_state", "journal"] == 1
    assert [s for s in PlutoState if told["pluto_state", s]] == ["running"]
    assert told["transitions_total",] == 7
    assert told["missed_sas_total",] == 2


def test_clients_of_a_template_are_counted_and_make_no_series() -> None:
    clients = [view(f"rw[{n}]", TunnelState.UP) for n in range(1, 40)]
    told = numbers(snapshot(view("rw", TunnelState.WAITING, instances=39), *clients))
    assert {labels[0] for name, *labels in told if name.startswith("tunnel_")} == {"rw"}
    assert told["tunnel_clients", "rw"] == 39
    assert told["tunnels", "up"] == 39


def test_names_that_were_cut_to_the_same_text_are_told_apart() -> None:
    cut = "a" * 255 + "…"
    told = numbers(snapshot(view(cut, TunnelState.UP, "/x/one"), view(cut, TunnelState.UP, "/x/b")))
    assert told["tunnel_up", "one"] == told["tunnel_up", "b"] == 1


def test_a_tunnel_has_a_bounded_number_of_series() -> None:
    tunnels = [view(f"t{n}", TunnelState.STUCK, **STUCK) for n in range(100)]
    per_tunnel = [n for n in numbers(snapshot(*tunnels)) if n[0].startswith("tunnel_")]
    assert len(per_tunnel) == 100 * (len(TunnelState) + 7)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool isn't installed")
def test_promtool_has_nothing_to_say_against_the_older_format() -> None:
    seen = snapshot(
        *(view(f"t-{state}", state, **STUCK) for state in TunnelState),
        view('"; drop\\ {x="y"}', TunnelState.UP),
    )
    text = write(families(seen), Format.PROMETHEUS)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    broken = text.replace("_total", "")
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=broken, capture_output=True, text=True, check=False
    )
    assert "counter metrics should have" in checked.stderr


async def test_the_verb_tells_of_a_live_service(system_bus: PrivateBus, tmp_path: Path) -> None:
    hostile = clean('x"} 1\n# EOF\x1b[2J\u202e')
    async with serving() as service:
        stuck = tunnel("b", TunnelState.STUCK, **STUCK)
        await service.look(tunnel("a", TunnelState.UP), stuck, tunnel(hostile, TunnelState.DOWN))
        done = await asyncio.to_thread(ipsecwatch, "metrics")
        file = tmp_path / "ipsecwatch.prom"
        kept = await asyncio.to_thread(ipsecwatch, "metrics", "--output", file)
    assert (done.returncode, done.stderr) == (0, "")
    told = read(done.stdout)
    assert told["tunnel_up", "a"] == told["tunnel_reason", "b", "no-answer"] == 1
    assert told["tunnel_attempts", "b"] == 3
    assert told["tunnel_up", hostile] == 0
    assert done.stdout.isascii()
    assert (kept.returncode, kept.stdout) == (0, "")
    assert 'ipsecwatch_tunnel_up{tunnel="a"} 1\n' in file.read_text()
    assert "# TYPE ipsecwatch_build_info gauge" in file.read_text()


def test_a_file_is_replaced_whole_and_tells_that_nobody_answered(tmp_path: Path) -> None:
    file = tmp_path / "ipsecwatch.prom"
    file.write_text("ipsecwatch_up 1\n")
    before = file.stat().st_ino
    nobody = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/none"}
    done = ipsecwatch("metrics", "--output", file, **nobody)
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert "\nipsecwatch_up 0\n" in file.read_text()
    assert file.stat().st_ino != before
    assert file.stat().st_mode & 0o777 == 0o644
    assert os.listdir(tmp_path) == [file.name]


def test_a_file_that_cannot_be_written_is_one_line_and_a_hint(tmp_path: Path) -> None:
    nobody = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/none"}
    done = ipsecwatch("metrics", "--output", tmp_path / "none/x.prom", **nobody)
    assert done.returncode == 3
    assert done.stderr.startswith(f"ipsecwatch: cannot write {tmp_path}/none/x.prom: No such file")
    assert done.stderr.count("\n") == 1
    done = ipsecwatch("metrics", "--output", "a" * 300, **nobody)
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert ": File name too long. " in done.stderr


async def test_an_instance_has_series_of_its_own(system_bus: PrivateBus) -> None:
    async with serving(instance="lab") as service:
        await service.look(tunnel("a", TunnelState.UP))
        done = await asyncio.to_thread(ipsecwatch, "metrics", "--instance", "lab")
        checked = await asyncio.to_thread(ipsecwatch, "check", "--instance", "lab", "a")
    assert read(done.stdout)["tunnel_up", "a", "lab"] == 1
    assert 'ipsecwatch_up{service="lab"} 1\n' in done.stdout
    assert checked.stdout.startswith("IPSEC OK - 1 tunnel")


def test_neither_a_device_nor_a_link_is_replaced_by_a_file(tmp_path: Path) -> None:
    nobody = {"DBUS_SYSTEM_BUS_ADDRESS": f"unix:path={tmp_path}/none"}
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    link.symlink_to(file)
    done = ipsecwatch("metrics", "--output", pipe, **nobody)
    assert (done.returncode, pipe.is_fifo()) == (3, True)
    assert "it is no regular file" in done.stderr
    ipsecwatch("metrics", "--output", link, **nobody)
    assert link.is_symlink()
    assert file.read_text().startswith("# HELP ipsecwatch_up ")
