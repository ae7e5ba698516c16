# SPDX-License-Identifier: MIT
"""Explains ipsecwatch's own words: the states of a tunnel, and the reasons why one isn't up."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from ipsecwatch.cli.display import terminal
from ipsecwatch.reasons import IPSEC, REASON_TEXTS, words_for
from ipsecwatch.states import Reason, TunnelState

STATE_MEANINGS: Final = {
    TunnelState.UNKNOWN: "pluto could not be asked, or its answer can't be trusted, so the "
    "tunnel's state isn't known. The last known state is shown as well.",
    TunnelState.UP: "Every pair of subnets of the tunnel has an established Child SA: its traffic "
    "can pass.",
    TunnelState.PARTIAL: "Some pairs of subnets have an established Child SA, and others have "
    "none: a part of the traffic can pass.",
    TunnelState.STUCK: "It has been trying to come up for 30 seconds or longer (stuck_after in the "
    "settings), and didn't.",
    TunnelState.CONNECTING: "It is being negotiated, or should be up and will be tried again.",
    TunnelState.WAITING: "Nothing is being negotiated: the first packet for the other side starts "
    "it, or it waits for peers to connect.",
    TunnelState.DOWN: "It is loaded, nothing of it is established, and pluto wasn't asked to bring "
    "it up.",
}
"""The meaning of each state of a tunnel, for people; a test checks that none is missing."""

_MORE: Final = {
    Reason.NO_ANSWER: "A peer that refuses our ike= proposal looks the same: it says so in a "
    "packet that anybody could have sent, and pluto ignores it. pluto's log has "
    "NO_PROPOSAL_CHOSEN then.",
    Reason.AUTHENTICATION: "Either side may be the one that refused: the log shows which.",
    Reason.CHILD_MISSING: "The IKE SA is established, but carries no traffic without a Child SA.",
}
"""More about some reasons: explained() adds it to the reason's sentence."""


@dataclass(frozen=True, slots=True)
class OwnWord:
    """An explained word: what kind of word it is, its meaning, and what to do ("": nothing)."""

    kind: str
    word: str
    meaning: str
    advice: str = ""


def own_words(word: str) -> list[OwnWord]:
    """Return the tunnel state of this name, and the reason of this name, explained.

    [] where it is neither. Upper and lower case are the same, and "-" may also be "_" or a blank.
    """
    spelt = word.strip().lower().replace("_", "-").replace(" ", "-")
    found = [
        OwnWord("state of a tunnel", s, told) for s, told in STATE_MEANINGS.items() if s == spelt
    ]
    return found + [explained(r) for r in REASON_TEXTS if r == spelt]


def explained(reason: Reason, unit: str = IPSEC) -> OwnWord:
    """Return a reason explained: its sentence with what _MORE adds to it, and what to do.

    ``unit`` is the systemd unit that runs pluto, for advice; "": none is known to.
    """
    told = words_for(reason, unit)
    meaning = f"{told.sentence} {_MORE.get(reason, '')}".strip()
    return OwnWord("reason", reason.value, meaning, told.advice)


def table() -> dict[str, Any]:
    """Return what the installed file ``reasons.json`` contains, for other programs.

    It has the texts for people by the codes that ``--json`` and D-Bus have: ``reasons`` (sentence
    and advice), ``states`` (meaning), and ``ours`` (sentence and advice for failures whose cause is
    on this machine).
    """
    from ipsecwatch.libreswan.local_failures import LOCAL_FAILURES  # a single word doesn't need it

    return {
        "format": 1,
        "reasons": {reason.value: asdict(told) for reason, told in REASON_TEXTS.items()},
        "states": {state.value: told for state, told in STATE_MEANINGS.items()},
        "ours": {f.code: {"sentence": f.sentence, "advice": f.advice} for f in LOCAL_FAILURES},
    }


def listed(*, as_json: bool) -> str:
    """Return all reasons with their sentences and advice, as text for people.

    ``as_json``: return all that table() has instead, states and local failures included, as JSON.
    """
    if as_json:
        import json

        return json.dumps(table(), indent=1)
    paint, wide = terminal.Paint(terminal.colour_wanted()), terminal.columns()
    out = []
    for reason, told in REASON_TEXTS.items():
        rows = [("means", told.sentence), ("what to do", told.advice)]
        out += [paint.bold(reason.value), *terminal.facts(rows, paint, wide), ""]
    return "\n".join(out[:-1])
