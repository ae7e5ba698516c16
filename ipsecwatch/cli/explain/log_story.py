# SPDX-License-Identifier: MIT
"""Explains what pluto's log shows about one connection: what happened to it, and what to do.

log_cause.py explains the one line that shows the cause.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.explain import log_cause
from ipsecwatch.libreswan.local_failures import LocalFailure, local_failure
from ipsecwatch.libreswan.log_attempts import Outcome, Story, stories
from ipsecwatch.reasons import ReasonText
from ipsecwatch.report import Role
from ipsecwatch.sanitize import clean
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ipsecwatch.libreswan.log_attempts import Said
    from ipsecwatch.libreswan.log_text import LogText
    from ipsecwatch.tunnel import Tunnel

Facts = list[tuple[str, str]]


def with_reasons(tunnels: Sequence[Tunnel], log: LogText) -> list[Tunnel]:
    """Return the tunnels of a status, with the reasons that log lines in the same text show.

    A tunnel gets one, with the log line as its detail, only if it is CONNECTING or STUCK by the
    status, and its outcome by the log is FAILED.
    """
    told = {s.name: s for s in stories(log.lines) if s.outcome is Outcome.FAILED}
    return [_with_reason(t, told.get(t.key)) for t in tunnels]


def _with_reason(t: Tunnel, story: Story | None) -> Tunnel:
    why = reason(story) if story is not None else None
    if story is None or not why or t.state not in (TunnelState.CONNECTING, TunnelState.STUCK):
        return t
    return replace(t, reason=why, detail=line(story))


def facts(story: Story) -> Facts:
    """Return the facts about one connection: what happened, its outcome, what to do, the line."""
    return [
        ("happened", _happened(story)),
        ("at the end", end(story)),
        ("what to do", advice(story)),
        ("the line", clean(line(story), 200)),
    ]


def name(story: Story) -> str:
    """Return a connection's name, or words in place of it where the text doesn't name it."""
    return clean(story.name) if story.name else "a connection that the text doesn't name"


def line(story: Story) -> str:
    """Return the text of the log line that explains a connection's outcome; "": there is none."""
    said = cause(story)
    if said is not None:
        return said.line.text
    return story.refusal.text if story.outcome is Outcome.NOT_LOADED and story.refusal else ""


def cause(story: Story) -> Said | None:
    """Return what the log line shows that explains a connection's outcome; None: there is none."""
    if story.outcome in (Outcome.FAILED, Outcome.UNCLEAR, Outcome.RENEWAL_FAILED):
        return story.failure
    return story.loss if story.outcome is Outcome.LOST else None


def reason(story: Story) -> Reason | None:
    """Return the reason for a connection's outcome; None where it isn't known."""
    said = cause(story)
    if said is None or log_cause.is_unclear(said) or _is_either(story):
        return None
    return said.finding.reason


def _is_either(story: Story) -> bool:
    """Return whether the peer refused an identity or subnets, and nothing shows which.

    That is so for INVALID_ID_INFORMATION where the outcome is UNCLEAR.
    """
    if story.outcome is not Outcome.UNCLEAR or story.failure is None:
        return False
    return log_cause.named(story.failure.line.said.text) == "INVALID_ID_INFORMATION"


def local_code(story: Story) -> str | None:
    """Return the code, of those in local_failures.py, of the failure here that is the cause.

    Return None where the cause is no such failure.
    """
    ours = _own_failure(story)
    return ours.code if ours else None


def _own_failure(story: Story) -> LocalFailure | None:
    """Return the failure on this machine that is the cause; None: the cause is no such failure."""
    said = cause(story)
    return local_failure(said.line.said.text) if said else _refusal(story)


def _refusal(story: Story) -> LocalFailure | None:
    """Return why pluto refused to load a connection; None where that isn't its outcome.

    What pluto gives as the reason may be a failure that is known by itself, or only as a reason.
    """
    if story.outcome is not Outcome.NOT_LOADED:
        return None
    reason = story.refused
    return local_failure(reason) or local_failure(f"failed to add connection: {reason}")


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
    """Return in words how a connection's SAs ended before its outcome.

    Return "" where they didn't, where it never came up, and where that end is the outcome itself.
    """
    if story.loss is None or story.outcome is Outcome.LOST or not story.came_up:
        return ""
    why = "" if log_cause.is_unclear(story.loss) else log_cause.sentence(story.loss)
    return f"Then its SAs ended. {why}".strip()


# --- How it ended -----------------------------------------------------------------------------


def end(story: Story) -> str:
    """Return a connection's outcome, at the end of the text, in sentences."""
    match story.outcome:
        case Outcome.UP:
            how = "Its keys were renewed" if story.renewed else "It came up"
            return f"{how}. Nothing in these lines says that it ended."
        case Outcome.RENEWAL_FAILED if story.failure:
            why = log_cause.why(story.failure)
            return f"It is up by these lines, but a later negotiation failed: {why}"
        case Outcome.FAILED if story.failure:
            why = log_cause.why(story.failure)
            return f"{_failed(story, story.failure)} {why}{_goes_on(story)}"
        case Outcome.UNCLEAR if story.failure:
            either = _is_either(story)
            why = _IDENTITY_OR_SUBNETS.sentence if either else log_cause.why(story.failure)
            return f"These lines don't show whether it is up. {why}"
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


_IDENTITY_OR_SUBNETS: Final = ReasonText(
    "It seems that the peer refused an identity, or subnets (INVALID_ID_INFORMATION). That answer "
    "is not authenticated.",
    "Compare leftid, rightid, leftsubnet and rightsubnet on both sides. The line may be about "
    "another connection to the same peer.",
)


def _failed(story: Story, failure: Said) -> str:
    """Return in words which negotiation failed, and whether that was after the IKE SA was up.

    Where another has begun since, they say that, too.
    """
    another = story.stage is not None and story.failed_in < story.attempts
    which = "the last attempt" if story.attempts > 1 else "it"
    if another:
        which = "the one before"
    word = "has not come up" if log_cause.is_unproved(failure) else "failed"
    after = ""
    if story.ike is not None and story.failed_in == story.attempts:
        after = ", after the IKE SA was established"
    told = f"{which[:1].upper()}{which[1:]} {word}{after}."
    return f"Another attempt is in progress where the text ends. {told}" if another else told


def _goes_on(story: Story) -> str:
    return " pluto goes on trying by itself." if story.retries else ""


def _lost(loss: Said) -> str:
    if log_cause.is_unclear(loss):
        return (
            "pluto ended its SAs, if it had any: somebody took it down, or the connection was "
            "loaded again. The line is the same for both."
        )
    return f"Its SAs ended. {log_cause.sentence(loss)}"


def _refused(story: Story) -> str:
    ours = _refusal(story)
    return f"It was not loaded. {ours.sentence}" if ours else "It was not loaded."


def _open(story: Story) -> str:
    """Return in words how far a negotiation has come at the end of the text."""
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
    return f"{begun}The text ends here: {log_cause.lower(state.meaning)}{unheard}"


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


# --- What to do -------------------------------------------------------------------------------


def advice(story: Story) -> str:
    """Return what to do about a connection's outcome; "": nothing is known."""
    said = cause(story)
    ours = _own_failure(story)
    if ours is not None:
        return ours.advice
    if _is_either(story):
        return _IDENTITY_OR_SUBNETS.advice
    return _sticks(story) if said is None else log_cause.advice(said)


def _sticks(story: Story) -> str:
    """Return what is likely wrong with a negotiation that is OPEN or GIVEN_UP where the text ends.

    Return "" for any other outcome, or where that isn't known.
    """
    if story.outcome not in (Outcome.OPEN, Outcome.GIVEN_UP):
        return ""
    if story.stage is None or not story.stage.sticks:
        return ""
    if story.outcome is Outcome.GIVEN_UP:
        return f"Possible causes: {log_cause.lower(story.stage.sticks)}"
    return f"If it goes no further: {log_cause.lower(story.stage.sticks)}"
