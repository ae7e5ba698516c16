# SPDX-License-Identifier: MIT
"""What happens in a bed, and what is to be told of it: a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.bed.bed import WHACK

STUCK_AFTER: Final = 10.0
"""As guest/etc/ipsecwatch has it."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something is done, and something follows.

    ``do`` is a line of shell on west. The step is over when ``tunnel`` has become ``state`` by a
    signal, or, without a state, when the line has ended and pluto has logged ``cause``; then it is
    seen to that nothing was told.
    """

    do: str
    state: str = ""
    tunnel: str = ""
    told: str = ""
    """The signal that tells of it besides TunnelStateChanged, if one does."""
    reason: str = ""
    cause: str = ""
    """What pluto logs of it, as a regular expression; the signal is timed against the first."""
    delay: float = 0.0
    """Seconds after that line at which it is due."""
    last: bool = False
    """It is the last such line before the signal that counts."""
    blind: bool = False
    """Nothing can wake the service: only the next poll finds it."""
    says: str = ""
    """What the line of shell is to print, as a regular expression."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps from a bed on which nothing is up, to be held against signals and journal."""

    name: str
    steps: tuple[Step, ...]
    short: bool = False
    """Part of the test command, too."""


def _up(name: str) -> Step:
    cause = f'^"{name}[/"].*(established Child SA|IPsec SA established)'
    return Step(f"/opt/bed/up {name}", "up", name, "TunnelUp", cause=cause, last=True)


def _down(name: str) -> Step:
    cause = f'^"{name}.*(terminating SAs|initiating delete|deleting)'
    return Step(
        f"{WHACK} --name {name} --terminate", "waiting|down", name, "TunnelDown", "operator", cause
    )


def _ping(west: str, east: str) -> Step:
    return Step(f"ping -c 2 -i 0.2 -W 2 -I {west} {east}", says=" 0% packet loss")


def _stuck(name: str, reason: str) -> Step:
    return Step(
        f"/opt/bed/up {name} --asynchronous", "stuck", name, "TunnelStuck", reason,
        f'^"{name}".*initiating', STUCK_AFTER,
    )  # fmt: skip


_PING: Final = _ping("192.0.1.254", "192.0.2.254")
_EAST: Final = "/opt/bed/east"
_KILL_EAST: Final = (
    "systemctl kill --signal=KILL east; sleep 0.2;"
    " ip -netns east xfrm state flush; ip -netns east xfrm policy flush"
)
_DEAD: Final = '^"dpd".*(liveness|DPD|no response|retransmission|Connection refused|ESP traffic)'
_DETAILS: Final = (
    "busctl --json=short call org.ipsecwatch1 /org/ipsecwatch1 org.ipsecwatch1.Manager GetDetails"
    " 'asa{sv}' 0 0"
)

SCENARIOS: Final = (
    Scenario("site", (_up("site"), _PING, _down("site")), short=True),
    Scenario("wrong key", (_stuck("wrongkey", "authentication"),), short=True),
    Scenario("silent peer", (_stuck("silent", "no-answer"),)),
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
            Step(_KILL_EAST, "connecting|down|waiting", "dpd", "TunnelDown", "peer-dead", _DEAD),
        ),
    ),
    Scenario(
        "peer deletes",
        (
            _up("site"),
            Step(
                f"{_EAST} {WHACK} --name site --terminate", "connecting|down|waiting",
                "site", "TunnelDown", "peer-deleted", '^"site" #.*(delet|Delete)',
            ),
        ),
        short=True,
    ),
    Scenario(
        "several subnets",
        (
            _up("multi"),
            Step(
                f"{WHACK} --name multi/1x2 --terminate", "partial", "multi", "", "operator",
                '^"multi/1x2.*(terminating|delet)',
            ),
            Step(
                f"{WHACK} --name multi --terminate", "down|waiting", "multi", "TunnelDown",
                "operator", '^"multi/1x1.*(terminating|delet)',
            ),
        ),
        short=True,
    ),
    Scenario(
        "on demand",
        (
            Step(
                "ping -c 5 -i 0.5 -W 2 -I 192.0.12.254 192.0.23.254", "up", "ondemand",
                "TunnelUp", cause='^"ondemand" #.*established Child SA',
            ),
            _down("ondemand"),
        ),
    ),
    Scenario(
        "road warrior",
        (
            Step(
                f"{_EAST} /opt/bed/up road --xauthname paula"
                " --xauthpass 'secret of paula'",
                "up", "road[1]", "TunnelUp", cause=r'^"road"\[1\].*(IPsec SA established)',
            ),
            Step(_DETAILS, says="paula"),
            Step(
                f"{_EAST} {WHACK} --name road --terminate", "down", "road[1]", "TunnelDown",
                "peer-deleted", r'^"road"\[1\].*(delet|Delete)',
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
                 "[Ss]hutting down"),
            _up("site"),
        ),
        short=True,
    ),
    Scenario(
        "pluto killed",
        (
            _up("site"),
            Step("systemctl kill --signal=KILL --kill-who=main ipsec", "down|waiting", "site",
                 "TunnelDown", "pluto-stopped", "code=killed"),
            _up("site"),
        ),
    ),
    Scenario(
        "pluto stopped",
        (
            _up("site"),
            Step("systemctl kill --signal=STOP ipsec", "unknown", "site", "", "pluto-unreachable"),
            Step("systemctl kill --signal=CONT ipsec", "up", "site"),
            _down("site"),
        ),
    ),
    Scenario(
        "journal suspended",
        (
            Step("systemctl kill --signal=STOP systemd-journald"),
            Step("/opt/bed/up site", "up", "site", "TunnelUp",
                 cause='^"site".*established Child SA', blind=True),
            Step("systemctl kill --signal=CONT systemd-journald"),
            _down("site"),
        ),
    ),
    Scenario(
        "service killed",
        (
            _up("site"),
            Step("systemctl kill --signal=KILL ipsecwatch"),
            Step(f"{WHACK} --name site --terminate", "down|waiting", "site", "TunnelDown"),
            _up("site"),
        ),
        short=True,
    ),
    Scenario(
        "service upgraded",
        (_up("site"), Step("dpkg --install /host/ipsecwatch.deb"), _PING, _down("site")),
    ),
    Scenario(
        "carrier lost",
        (
            _up("dpd"),
            Step("/opt/bed/wire off", "connecting|down|waiting", "dpd", "TunnelDown", "peer-dead",
                 _DEAD),
        ),
    ),
)  # fmt: skip
