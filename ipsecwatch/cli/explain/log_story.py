# SPDX-License-Identifier: MIT
"""Explains a piece of pluto's log: what happened to each connection, and what to do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli.display import terminal
from ipsecwatch.libreswan.local_failures import local_failure
from ipsecwatch.libreswan.log_attempts import Outcome, Story, stories
from ipsecwatch.libreswan.log_lines import Began, LogEvent, LossKind, Proof, Weight
from ipsecwatch.libreswan.notifications import notifications
from ipsecwatch.reasons import REASON_TEXTS, ReasonText
from ipsecwatch.report import Role
from ipsecwatch.sanitize import clean
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.libreswan.log_attempts import Said
    from ipsecwatch.libreswan.log_text import LogText, PacketLine
    from ipsecwatch.tunnel import Tunnel

Facts = list[tuple[str, str]]

_FEW: Final = 12
"""Connections with one outcome, and peers without a connection, that are shown one by one."""


def lines_of(log: LogText, paint: terminal.Paint, wide: int) -> list[str]:
    """Return the explanation of a text's log lines; empty where none is known."""
    out: list[str] = []
    told = _alike(stories(log.lines))
    for alike in told[:_FEW]:
        state = _STATES[alike[0].outcome]
        names = ", ".join(map(_name, alike))
        first, *further = terminal.wrap(names, wide - 2)
        out.append(f"{paint.state(state, terminal.mark(state))} {paint.bold(first)}")
        out += [f"  {paint.bold(x)}" for x in further]
        out += [*terminal.facts(facts(alike[0]), paint, wide), ""]
    for outcome, group in _more([s for alike in told[_FEW:] for s in alike]):
        names = ", ".join(_name(s) for s in group)
        out += [f"  {paint.bold(f'{len(group)} more')}"]
        out += [*terminal.facts([("named", names), ("are", _SHORT[outcome])], paint, wide), ""]
    for title, rows in _unwanted_packets(log.packets):
        out += [f"  {paint.bold(title)}", *terminal.facts(rows, paint, wide), ""]
    if out and log.guessed:
        return out + terminal.facts([("note", _GUESSED)], paint, wide)
    return out[:-1]


_GUESSED: Final = "The text had lost its line ends. Where each line begins is a guess."


def heading(log: LogText) -> str:
    """Return in one line what the log lines are about; "" where nothing is known of them."""
    told = stories(log.lines)
    numbers = [(o, sum(s.outcome is o for s in told)) for o in Outcome]
    counts = ", ".join(f"{n} {_SHORT[o]}" for o, n in numbers if n)
    if told:
        return f"Log lines of {len(told)} connection{'s' * (len(told) > 1)}: {counts}"
    return "Log lines about packets of no connection" if _unwanted_packets(log.packets) else ""


def as_json(log: LogText) -> list[dict[str, Any]]:
    """Return the same as objects for JSON."""
    return [
        {
            "name": story.name or None,
            "outcome": story.outcome.name.lower().replace("_", "-"),
            "attempts": story.attempts,
            "reason": _reason(story),
            "ours": _local_code(story),
            "sentence": _end(story),
            "advice": _advice(story),
            "line": clean(_line(story), 400) or None,
            "facts": [[a, b] for a, b in facts(story) if b],
        }
        for story in stories(log.lines)
    ]


def with_reasons(tunnels: Sequence[Tunnel], log: LogText) -> list[Tunnel]:
    """Return tunnels with the reasons that the log beside their status shows.

    Only a tunnel that isn't up, and is being tried, gets a reason.
    """
    told = {s.name: s for s in stories(log.lines) if s.outcome is Outcome.FAILED}
    return [_with_reason(t, told.get(t.key)) for t in tunnels]


def _with_reason(t: Tunnel, story: Story | None) -> Tunnel:
    reason = _reason(story) if story is not None else None
    if story is None or not reason or t.state not in (TunnelState.CONNECTING, TunnelState.STUCK):
        return t
    return replace(t, reason=reason, detail=_line(story))


def facts(story: Story) -> Facts:
    """Return the facts about one connection."""
    return [
        ("happened", _happened(story)),
        ("at the end", _end(story)),
        ("what to do", _advice(story)),
        ("the line", clean(_line(story), 200)),
    ]


_STATES: Final = {
    Outcome.UP: TunnelState.UP,
    Outcome.RENEWAL_FAILED: TunnelState.PARTIAL,
    Outcome.FAILED: TunnelState.STUCK,
    Outcome.LOST: TunnelState.DOWN,
    Outcome.IKE_ONLY: TunnelState.CONNECTING,
    Outcome.OPEN: TunnelState.CONNECTING,
    Outcome.GIVEN_UP: TunnelState.STUCK,
    Outcome.NOT_LOADED: TunnelState.STUCK,
    Outcome.NOTHING: TunnelState.UNKNOWN,
}
"""The state whose sign and colour an outcome has; a log doesn't show the state itself."""

_SHORT: Final = {
    Outcome.UP: "up by these lines",
    Outcome.RENEWAL_FAILED: "up, with a failed renewal",
    Outcome.FAILED: "did not come up",
    Outcome.LOST: "ended",
    Outcome.IKE_ONLY: "half way up",
    Outcome.OPEN: "still trying where the text ends",
    Outcome.GIVEN_UP: "given up",
    Outcome.NOT_LOADED: "not loaded",
    Outcome.NOTHING: "of which nothing is told",
}


def _name(story: Story) -> str:
    return clean(story.name) if story.name else "a connection that the text doesn't name"


def _line(story: Story) -> str:
    """Return the log line that explains the outcome; "": there is none."""
    said = _cause(story)
    if said is not None:
        return said.line.text
    return story.last.text if story.outcome is Outcome.NOT_LOADED and story.last else ""


def _cause(story: Story) -> Said | None:
    """Return the line that explains how a connection is at the end of the text, or None."""
    if story.outcome in (Outcome.FAILED, Outcome.RENEWAL_FAILED):
        return story.failure
    return story.loss if story.outcome is Outcome.LOST else None


def _reason(story: Story) -> Reason | None:
    """Return the reason for the outcome; None where it isn't known."""
    cause = _cause(story)
    if cause is None or _is_unclear(cause):
        return None
    return cause.finding.reason


def _is_unclear(loss: Said) -> bool:
    """Return whether pluto uses these words for several causes."""
    return loss.finding.end is LossKind.AMBIGUOUS


def _is_silence(said: Said) -> bool:
    """Return whether a negotiation ended because nobody answered."""
    return said.finding.event is LogEvent.FAILURE and said.finding.weight is Weight.SILENCE


def _local_code(story: Story) -> str | None:
    """Return the code of our own failure, where that is the cause."""
    cause = _cause(story)
    text = cause.line.said.text if cause else _refusal(story)
    ours = local_failure(text) if text else None
    return ours.code if ours else None


def _refusal(story: Story) -> str:
    """Return the line that pluto prints when it refuses a connection's settings, or ""."""
    if story.outcome is not Outcome.NOT_LOADED:
        return ""
    return f"failed to add connection: {story.refused}"


# --- What happened ----------------------------------------------------------------------------


def _happened(story: Story) -> str:
    told = [_attempts(story), _ups(story), _before(story)]
    return " ".join(filter(None, told))


def _attempts(story: Story) -> str:
    if not story.attempts:
        return f"Its peer is {clean(story.peer, 60)}." if story.peer else ""
    to = f" with {clean(story.peer, 60)}" if story.peer else ""
    if story.attempts == 1:
        return f"We began a negotiation{to}."
    return f"We began {story.attempts} negotiations{to}."


def _ups(story: Story) -> str:
    if story.came_up > 1:
        return f"It came up {_times(story.came_up)}."
    if story.came_up and story.outcome is not Outcome.UP:
        return "It came up."
    return ""


def _before(story: Story) -> str:
    """Return how the last Child SA ended, where another outcome followed it."""
    if story.loss is None or story.outcome is Outcome.LOST or not story.came_up:
        return ""
    why = "" if _is_unclear(story.loss) else _sentence(story.loss)
    return f"Then its SAs ended. {why}".strip()


# --- How it ended -----------------------------------------------------------------------------


def _end(story: Story) -> str:
    """Return the outcome of a connection in sentences."""
    match story.outcome:
        case Outcome.UP:
            how = "Its keys were renewed" if story.renewed else "It came up"
            return f"{how}. Nothing in these lines says that it ended."
        case Outcome.RENEWAL_FAILED if story.failure:
            return f"It is up by these lines, but a later negotiation failed: {_why(story.failure)}"
        case Outcome.FAILED if story.failure:
            return f"{_failed(story, story.failure)} {_why(story.failure)}{_goes_on(story)}"
        case Outcome.LOST if story.loss:
            return _lost(story.loss)
        case Outcome.IKE_ONLY:
            return (
                "The peers know each other: the IKE SA is established. The text ends before a "
                "Child SA, and without one nothing travels."
            )
        case Outcome.NOT_LOADED:
            return _refused(story)
    return _open(story)


def _failed(story: Story, failure: Said) -> str:
    """Return which attempt failed, and how far it had come."""
    another = story.stage is not None and story.failed_in < story.attempts
    which = "the last attempt" if story.attempts > 1 else "it"
    if another:
        which = "the one before"
    word = "has not come up" if _is_unproved(failure) else "failed"
    after = ""
    if story.ike is not None and story.failed_in == story.attempts:
        after = ", after the IKE SA was established"
    told = f"{which[:1].upper()}{which[1:]} {word}{after}."
    return f"Another attempt is under way where the text ends. {told}" if another else told


def _is_unproved(failure: Said) -> bool:
    """Return whether anybody could have caused the line; pluto then continues its attempt."""
    by_peer = failure.finding.weight is Weight.ECHO and _side(failure) == "peer"
    return failure.finding.proof is Proof.NONE and (
        by_peer or failure.finding.weight is Weight.NETWORK
    )


def _goes_on(story: Story) -> str:
    return " pluto goes on trying by itself." if story.retries else ""


def _why(said: Said) -> str:
    """Return the cause: our own fault, or who refused and with which word."""
    text = said.line.said.text
    ours = local_failure(text)
    if ours is not None:
        other = clean(said.finding.other or "", 80)
        return f"{ours.sentence} It is {other}." if other else ours.sentence
    if (special := _special(text)) is not None:
        return special.sentence
    word = _named(text)
    note = f" ({word})" if word else ""
    told = _SIDES.get((said.finding.reason, _side(said)))
    if word == "PAYLOAD_MALFORMED" and _side(said) == "peer":
        told = "The peer could not read our message: most often the two secrets differ"
    if told is not None and _is_unproved(said):
        return f"It seems that {_lower(told)}{note}. That answer is not authenticated."
    if told is not None:
        return f"{told}{note}."
    if _is_silence(said):
        return REASON_TEXTS[Reason.NO_ANSWER].sentence
    if said.finding.reason is Reason.PEER_DELETED:
        return "The peer ended the negotiation."
    return f"{_sentence(said).rstrip('.')}{note}."


def _special(text: str) -> ReasonText | None:
    """Return the text for a line that shows more than its reason; None: it doesn't."""
    return next((told for pattern, told in _SPECIAL if pattern.match(text)), None)


def _told(pattern: str, sentence: str, advice: str) -> tuple[re.Pattern[str], ReasonText]:
    """Return a pattern with its sentence and advice."""
    return re.compile(pattern), ReasonText(sentence, advice)


_SPECIAL: Final = (
    _told(
        r"(?:[A-Z_0-9]{3,40}: )?[\w ()]{10,90}\.  Possible authentication failure",
        "The peer doesn't answer our proof of who we are: perhaps it refuses it, or the way "
        "is blocked.",
        "See what the log of the peer says; compare leftid, rightid and the secret or "
        "certificate on both sides, and let UDP 4500 and fragments pass.",
    ),
    _told(
        r"probable authentication failure \(mismatch of preshared secrets",
        "We could not read the peer's message: most often the two secrets differ.",
        "Compare the secret in ipsec.secrets on both sides, blanks and line ends included.",
    ),
    _told(
        r"no \w{2,10} public key known for '|DNS: IPSECKEY not found",
        "We have no public key for the identity that the peer has.",
        "Compare rightid= with it, and give rightrsasigkey= or rightcert=, or the certificate "
        "of its authority.",
    ),
    _told(
        r"[^'\"]{0,40}PPK",
        "The two sides do not agree on the post-quantum key (PPK).",
        "Compare ppk=, ppk-ids= and the PPKS lines in ipsec.secrets on both sides.",
    ),
    _told(
        "(?:authentication failed: )?[Pp]eer attempted ",
        "The peer proves who it is in another way than we want.",
        "Compare authby= (leftauth=, rightauth=) on both sides.",
    ),
    _told(
        r"policy dictates [\w ]{1,40}, but|local policy requires \w{1,20} Mode but peer",
        "One side wants tunnel mode, and the other transport mode.",
        "Compare type= on both sides.",
    ),
    _told(
        "we require PFS but ",
        "We want perfect forward secrecy, and the peer doesn't offer it.",
        "Compare pfs= on both sides.",
    ),
)


def _named(text: str) -> str:
    """Return the notification, or NSS's error, that a line names, since explain knows it."""
    words = [m[1] for m in _WORD.finditer(text[:600])]
    if text.startswith("NSS: "):
        words.reverse()  # a certificate's subject, which is the peer's text, comes first
    return next((word for word in words if notifications(word)), "")


_WORD: Final = re.compile(r"\b(?:v[12]N_)?([A-Z]{2,20}(?:_[A-Z]{2,20}){1,4})\b")


def _sentence(said: Said) -> str:
    """Return the sentence for the reason of a line."""
    if said.finding.reason in (Reason.OTHER, Reason.NONE):
        return "The cause isn't known."
    if said.finding.reason is Reason.PLUTO_STOPPED:
        return "The IPsec service was stopped."
    return REASON_TEXTS[said.finding.reason].sentence


_BY_THE_SERVER: Final = ("XAUTH: aborting", "XAUTH: Unsuccess", "Received Cisco XAUTH")
_NOT_WE: Final = ("authentication aborted: ", "EAP AUTH failed")


def _side(said: Said) -> str:
    """Return who refused: ``peer``, ``us``, or "" where that isn't known."""
    finding, text = said.finding, said.line.said.text
    if finding.weight is Weight.ECHO:
        if finding.began is Began.EITHER:
            return "us" if text.startswith("sending ") else "peer"
        return "peer" if finding.began is Began.WE else "us"
    if finding.weight is not Weight.REFUSAL or text.startswith(_NOT_WE):
        return ""
    if text.startswith(_BY_THE_SERVER):
        return "peer"
    # Where we began, a wrong answer of the peer's is logged in other words.
    answer = finding.began is Began.WE and finding.reason is not Reason.AUTHENTICATION
    return "" if answer else "us"


_SIDES: Final = {
    (Reason.AUTHENTICATION, "peer"): "The peer refused our key, certificate or identity",
    (Reason.AUTHENTICATION, "us"): "We refused the peer's key, certificate or identity",
    (Reason.PROPOSAL, "peer"): "The peer refused our proposal: it allows none of our algorithms",
    (Reason.PROPOSAL, "us"): "We refused the peer's proposal: none of its algorithms is allowed",
    (Reason.TRAFFIC_SELECTORS, "peer"): "The peer refused the subnets that we asked for",
    (Reason.TRAFFIC_SELECTORS, "us"): "The peer asked for subnets that no connection here has",
    (Reason.CREDENTIALS, "peer"): "The peer refused our user name or password",
    (Reason.CREDENTIALS, "us"): "The user name or password of the peer's user was refused here",
    (Reason.OTHER, "peer"): "The peer refused, for a reason of its own",
    (Reason.OTHER, "us"): "We refused what the peer asked for",
}


def _lost(loss: Said) -> str:
    if _is_unclear(loss):
        return (
            "pluto ended its SAs, if it had any: by hand, or because the connection was loaded "
            "anew. The line is the same for both."
        )
    return f"Its SAs ended. {_sentence(loss)}"


def _refused(story: Story) -> str:
    ours = local_failure(story.refused) or local_failure(_refusal(story))
    return f"It was not loaded. {ours.sentence}" if ours else "It was not loaded."


def _open(story: Story) -> str:
    """Return how far a negotiation has come at the end of the text."""
    state = story.stage
    if state is None:
        return "The text ends before an answer, or a failure."
    begun = "The peer began it. " if state.role is Role.RESPONDER else ""
    again = story.retransmissions
    unheard = f" It was sent again {_times(again)}, without an answer." if again else ""
    if story.outcome is Outcome.GIVEN_UP:
        return (
            f"{begun}It was given up; these lines don't say why. Before: {state.meaning}{unheard}"
        )
    return f"{begun}The text ends here: {_lower(state.meaning)}{unheard}"


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def _lower(sentence: str) -> str:
    """Return a sentence with a small first letter, unless its first word is an abbreviation."""
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence


# --- What to do -------------------------------------------------------------------------------


def _advice(story: Story) -> str:
    """Return what to do about a connection's outcome; "": nothing is known."""
    cause = _cause(story)
    text = cause.line.said.text if cause else _refusal(story)
    ours = (local_failure(text) or local_failure(story.refused)) if text else None
    if ours is not None:
        return ours.advice
    if cause is None:
        return _sticks(story)
    reason = cause.finding.reason
    if _is_unclear(cause) or reason is Reason.NONE:
        return ""
    if _is_silence(cause):
        return f"{REASON_TEXTS[Reason.NO_ANSWER].advice} {_REFUSED_SILENTLY}"
    if (special := _special(text)) is not None:
        return special.advice
    return _advice_for(_named(text)) or REASON_TEXTS[reason].advice


def _advice_for(word: str) -> str:
    """Return what to do about an error word that says more than its reason; else ""."""
    known = notifications(word)
    special = word == "PAYLOAD_MALFORMED" or any(n.number is None for n in known)
    return known[0].advice if known and special else ""


_REFUSED_SILENTLY: Final = (
    "A peer that refuses our ike= proposal may look the same, so compare that, too."
)


def _sticks(story: Story) -> str:
    """Return what is likely wrong with a negotiation that doesn't continue; else ""."""
    if story.outcome not in (Outcome.OPEN, Outcome.GIVEN_UP):
        return ""
    if story.stage is None or not story.stage.sticks:
        return ""
    if story.outcome is Outcome.GIVEN_UP:
        return f"Possible causes: {_lower(story.stage.sticks)}"
    return f"If it goes no further: {_lower(story.stage.sticks)}"


# --- The rest ---------------------------------------------------------------------------------


def _alike(told: Sequence[Story]) -> list[list[Story]]:
    """Return groups of connections: pairs of subnets of one tunnel with the same facts."""
    groups: dict[object, list[Story]] = {}
    for story in told:
        base, pair, _ = story.name.partition("/")
        same = [text for label, text in facts(story) if label != "happened"]
        if _cause(story) is not None:
            same.pop()  # the line contains the name
        key = (base, story.outcome, *same) if pair else id(story)
        groups.setdefault(key, []).append(story)
    return list(groups.values())


def _more(told: Sequence[Story]) -> list[tuple[Outcome, list[Story]]]:
    """Return the connections by outcome."""
    groups = [(o, [s for s in told if s.outcome is o]) for o in Outcome]
    return [(outcome, group) for outcome, group in groups if group]


_UNWANTED: Final = re.compile(
    r"initial (?:Main|Aggressive) Mode (?:message|packet) .{0,600}no .{0,9}connection has been auth"
    r"|initial parent SA message received .{0,200}(?:has been authorized|no suitable connection)"
    r"|(?:ISAKMP_v2_)?IKE_SA_INIT (?:request|message) .{0,200}(?:has been authorized|no suitable)"
    r"|dropping IKE_SA_INIT request .{0,200}no suitable connection"
    r"|no suitable connection for peer "
)


def _unwanted_packets(packets: Sequence[PacketLine]) -> list[tuple[str, Facts]]:
    """Return the facts about packets that fit no loaded connection, by address."""
    found: dict[str, list[PacketLine]] = {}
    for packet in packets:
        if _UNWANTED.match(packet.said):
            found.setdefault(packet.address, []).append(packet)
    rows = [
        (
            f"packets from {clean(address, 60)}",
            [
                ("happened", "It asks for a tunnel, and no loaded connection fits it."),
                ("what to do", _FITTING),
                ("the line", clean(mine[-1].text, 200)),
            ],
        )
        for address, mine in found.items()
    ]
    return rows[:_FEW]


_FITTING: Final = (
    "If it should fit one: see that this is loaded (ipsec status), and compare right= with the "
    "address, ikev2= with the IKE version, and authby= with how the peer proves who it is. "
    "From an address that you don't know it is a scan."
)
