# SPDX-License-Identifier: MIT
"""A table of what happens in a bed, and of the signals that must follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from tests.bed.bed import WHACK

STUCK_AFTER: Final = 10.0
"""The setting ``stuck_after`` in guest/etc/ipsecwatch, in seconds."""
TIMEOUT: Final = 10.0
"""The setting ``timeout``: for how many seconds the service waits for an answer of pluto."""
POLLED: Final = 5.0 + 1.0
"""How many seconds after pluto's log line the signal may come if the service is only polling: the
interval between polls, and a second."""
WOKEN: Final = 0.5
"""How many seconds after pluto's log line the signal may come if something wakes the service."""


class Way(StrEnum):
    """How the service notices that it should poll."""

    WOKEN = "woken"
    """By pluto's log in the journal and by systemd, as after an installation."""
    FILE = "file"
    """By the file to which pluto logs, and by systemd."""
    OTHER = "other"
    """By the log of a pluto in another unit, which the settings don't name."""
    KERNEL = "kernel"
    """By the kernel's XFRM events only, with the drop-in for them and without pluto's log."""
    POLLED = "polled"
    """By nothing but the regular polls, and by pluto's socket when it comes or goes."""

    @property
    def unit(self) -> str:
        """The unit that runs west's pluto."""
        return "vpn.service" if self is Way.OTHER else "ipsec.service"

    @property
    def hears(self) -> bool:
        """Whether the service reads pluto's log, and so announces the log's reasons."""
        return self in (Way.WOKEN, Way.FILE, Way.OTHER)

    @property
    def within(self) -> float:
        """How many seconds after pluto's log line the signal may come."""
        return POLLED if self is Way.POLLED else WOKEN


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is done, and the signal that must follow.

    ``do`` is a line of shell that is run on west; "" if the step before causes this one, too. The
    step is over when a signal says that ``tunnel`` has changed to ``state``, a regular expression.
    A step without a state is over when the shell has ended and pluto has logged ``cause``; then no
    signal may have come.
    """

    do: str
    state: str = ""
    tunnel: str = ""
    told: str = ""
    """The signal that must come before TunnelStateChanged, such as "TunnelUp"; "" for none."""
    reason: str = ""
    """The reason that the signal must have, if the service reads pluto's log; "" for any."""
    cause: str = ""
    """A regular expression for the line of pluto or systemd from whose time on the signal is due:
    the first such line. Without one, the signal is due when the shell begins."""
    last: bool = False
    """Whether the last such line before the signal counts instead, since there is one for each
    Child SA."""
    delay: float = 0.0
    """How many seconds after that the signal is due."""
    within: float = 0.0
    """How late the signal may be in seconds, if that is more than the way's ``within``."""
    says: str = ""
    """A regular expression for what the line of shell must print."""
    ways: tuple[Way, ...] = tuple(Way)
    """The ways in which the signal is checked; in other ways, only the line of shell is run."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps that are played from a bed on which no tunnel is up, to check signals and journal."""

    name: str
    steps: tuple[Step, ...]
    ways: tuple[Way, ...] = (Way.WOKEN, Way.POLLED)
    short: bool = False
    """Whether it is also played by the test command."""
    barren: bool = False
    """Whether no tunnel comes up in it, so that it can be played without ESP in the kernel."""


def _named(name: str) -> str:
    """Return a regular expression for the beginning of pluto's lines about a connection."""
    return f'^"{name}[^"]*"'


def _up(name: str, do: str = "") -> Step:
    """Return the step that brings a tunnel up."""
    # An instance's name, as in "road"[1], is followed by its peer's address.
    cause = rf"{_named(name)}.* #\d+: .*(established Child SA|IPsec SA established)"
    return Step(do or f"/opt/bed/up {name}", "up", name, "TunnelUp", cause=cause, last=True)


def _gone(name: str) -> str:
    """Return a regular expression for the line that each release logs when a Child SA is gone.

    That line says how much it carried.
    """
    return rf"{_named(name)}.* #\d+: ESP traffic information"


def _down(name: str) -> Step:
    """Return the step that takes a tunnel down by hand."""
    do = f"{WHACK} --name {name} --terminate"
    return Step(do, "waiting|down", name, "TunnelDown", "operator", _gone(name), last=True)


def _ping(west: str, east: str) -> Step:
    """Return the step that pings one address from another, without loss."""
    return Step(f"ping -c 2 -i 0.2 -W 2 -I {west} {east}", says=" 0% packet loss")


def _stuck(name: str, reason: str) -> tuple[Step, Step]:
    """Return the two steps of a tunnel that can't be set up: it connects, then gets stuck.

    ``reason`` is the reason that it must have then.
    """
    begins = rf"{_named(name)}.*: initiating IKEv2 connection"
    return (
        Step(f"/opt/bed/up {name} --asynchronous", "connecting", name, cause=begins),
        Step("", "stuck", name, "TunnelStuck", reason, begins, delay=STUCK_AFTER),
    )


_PING: Final = _ping("192.0.1.254", "192.0.2.254")
_EAST: Final = "/opt/bed/east"
_KILL_EAST: Final = (
    "systemctl kill --signal=KILL east; sleep 0.2;"
    " ip -netns east xfrm state flush; ip -netns east xfrm policy flush"
)
_DETAILS: Final = (
    "busctl --json=short call org.ipsecwatch1 /org/ipsecwatch1 org.ipsecwatch1.Manager GetDetails"
    " 'asa{sv}' 0 0"
)
_LOST: Final = "connecting|down|waiting"
_HOOK: Final = """
cat >/etc/ipsecwatch/hooks/note <<'END'
#!/bin/sh
echo "$(id -un) $IPSECWATCH_EVENT $IPSECWATCH_TUNNEL $IPSECWATCH_REASON" >>"$STATE_DIRECTORY/told"
END
chmod 755 /etc/ipsecwatch/hooks/note
systemctl start ipsecwatch-hook@note
sleep 5
"""
_HOOKED: Final = """
sleep 1
cat /var/lib/private/ipsecwatch-hooks/note/told
systemctl stop ipsecwatch-hook@note
rm -r /etc/ipsecwatch/hooks/note /var/lib/private/ipsecwatch-hooks
"""

_HEARD: Final = (Way.WOKEN, Way.FILE, Way.OTHER, Way.POLLED)

SCENARIOS: Final = (
    Scenario("site", (_up("site"), _PING, _down("site")), tuple(Way), short=True),
    Scenario("wrong key", _stuck("wrongkey", "authentication"), _HEARD, short=True, barren=True),
    Scenario("silent peer", _stuck("silent", "no-answer"), _HEARD, barren=True),
    Scenario(
        "rekey",
        (
            _up("rekey"),
            Step(
                "ping -q -c 80 -i 0.4 -W 2 -I 192.0.1.254 192.0.21.254",
                cause='^"rekey" #[3-9].*(rekeyed|established).*(Child|IPsec|IKE)',
                says=" 0% packet loss",
            ),
            _down("rekey"),
        ),
    ),
    Scenario(
        "peer killed",
        (
            _up("dpd"),
            Step(_KILL_EAST, _LOST, "dpd", "TunnelDown", "peer-dead", _gone("dpd")),
        ),
    ),
    Scenario(
        "peer deletes",
        (
            _up("site"),
            Step(
                f"{_EAST} {WHACK} --name site --terminate",
                _LOST, "site", "TunnelDown", "peer-deleted", _gone("site"),
            ),
        ),
        (Way.WOKEN, Way.KERNEL),  # pluto brings it back within a tick
        short=True,
    ),
    Scenario(
        "peer deletes what it began",
        (
            _up("site", f"{_EAST} /opt/bed/up site"),
            Step(
                f"{_EAST} {WHACK} --name site --terminate",
                _LOST, "site", "TunnelDown", "peer-deleted", _gone("site"),
            ),
        ),
    ),
    Scenario(
        "several subnets",
        (
            _up("multi"),
            Step(
                f"{WHACK} --name multi/1x2 --terminate",
                "partial", "multi", "", "operator", _gone("multi/1x2"),
            ),
            _down("multi"),
        ),
        short=True,
    ),
    Scenario(
        "on demand",
        (
            _up("ondemand", "ping -c 5 -i 0.5 -W 2 -I 192.0.12.254 192.0.23.254"),
            _down("ondemand"),
        ),
    ),
    Scenario(
        "road warrior",
        (
            replace(
                _up(
                    "road",
                    f"{_EAST} /opt/bed/up road --xauthname paula --xauthpass 'secret of paula'",
                ),
                tunnel="road[1]",
            ),
            Step(_DETAILS, says="paula"),
            Step(
                f"{_EAST} {WHACK} --name road --terminate",
                "down", "road[1]", "TunnelDown", "peer-deleted", _gone("road"),
            ),
        ),
    ),
    Scenario("IKEv1 main mode", (_up("main"), _PING, _down("main"))),
    Scenario("IKEv1 aggressive mode", (_up("aggressive"), _PING, _down("aggressive"))),
    Scenario(
        "pluto restarted",
        (
            _up("site"),
            Step("systemctl restart ipsec", "down", "site", "TunnelDown", "pluto-stopped",
                 "Stopped ipsec"),
            _up("site"),
        ),
        short=True,
    ),
    Scenario(
        "pluto killed",
        (
            _up("site"),
            # It becomes unknown first, unless systemd reports the end of the unit early enough.
            Step("systemctl kill --signal=KILL --kill-who=main ipsec", "down", "site",
                 "TunnelDown", "pluto-stopped", "Failed with result", ways=(Way.WOKEN,)),
            # Without systemd's report, only the next pluto shows that this one has ended.
            Step("", "down", "site", "TunnelDown", cause=f"{_named('site')}: ",
                 ways=(Way.POLLED,)),
            _up("site"),
        ),
    ),
    Scenario(
        "pluto stopped",
        (
            _up("site"),
            Step("systemctl kill --signal=STOP ipsec", "unknown", "site", "", "pluto-unreachable",
                 delay=TIMEOUT, within=POLLED),
            Step("systemctl kill --signal=CONT ipsec", "up", "site", within=POLLED),
            _down("site"),
        ),
    ),
    Scenario(
        "journal suspended",
        (
            Step("systemctl kill --signal=STOP systemd-journald"),
            replace(_up("site"), within=POLLED),
            Step("systemctl kill --signal=CONT systemd-journald"),
            _down("site"),
        ),
        (Way.WOKEN,),
    ),
    Scenario(
        "service killed",
        (
            _up("site"),
            Step("systemctl kill --signal=KILL ipsecwatch"),
            # systemd waits 5 s (RestartSec=) before it starts it again.
            replace(_down("site"), within=POLLED + 5),
            _up("site"),
        ),
        short=True,
    ),
    Scenario(
        "service upgraded",
        (
            _up("site"),
            Step(
                "dpkg --install /host/ipsecwatch.deb >/dev/null & sleep 1;"
                f" {WHACK} --name site --terminate; wait",
                "waiting|down", "site", "TunnelDown", "operator", _gone("site"), within=POLLED,
            ),
            # dpkg is still at work then, on the one processor.
            replace(_up("site"), within=POLLED),
        ),
    ),
    Scenario(
        "hook and wait",
        (
            Step(_HOOK),
            _up("site"),
            Step("systemctl start ipsecwatch-wait@site"),
            _down("site"),
            Step(_HOOKED, says="^ipsecwatch up site none\nipsecwatch down site operator\n$"),
        ),
        (Way.WOKEN,),
    ),
    Scenario(
        "carrier lost",
        (
            _up("dpd"),
            Step("/opt/bed/wire off", _LOST, "dpd", "TunnelDown", "peer-dead", _gone("dpd")),
        ),
    ),
)  # fmt: skip
