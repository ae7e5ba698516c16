# SPDX-License-Identifier: MIT
"""Explains what pluto's log lines show about one connection: what happened to it, and what to do.

A Story (libreswan/log_attempts.py) is what the log lines of a text show about one connection; its
outcome is how that ended. log_cause.py explains the one line that shows the cause.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ipsecwatch.cli.explain import describe, log_cause
from ipsecwatch.libreswan.local_failures import LocalFailure, local_failure
from ipsecwatch.libreswan.log_attempts import Outcome, Story, stories
from ipsecwatch.libreswan.log_lines import LossKind
from ipsecwatch.reasons import ReasonText
from ipsecwatch.report import Role
from ipsecwatch.sanitize import clean
from ipsecwatch.tunnel import Reason, TunnelState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ipsecwatch.libreswan.log_attempts import Said
    from ipsecwatch.libreswan.log_text import LogText
    from ipsecwatch.tunnel import Tunnel

Facts = list[tuple[str, str]]


def with_reasons(tunnels: Sequence[Tunnel], log: LogText) -> list[Tunnel]:
    """Return the tunnels of a status, with the reasons that log lines in the same text show.

    A tunnel gets the reason from the log, and the log line as its detail, if it is CONNECTING,
    STUCK or PARTIAL by the status, and a connection of it that has no Child SA has the outcome
    FAILED and a known reason by the log. Any other tunnel is returned as it is. If the log lines
    are of several machines, it isn't known which of them has the status, so all are.
    """
    all_ = stories(log.lines) if tunnels else []
    if any(s.host or s.apart for s in all_):
        return list(tunnels)
    told = [s for s in all_ if s.outcome is Outcome.FAILED and reason(s)]
    order = {x.number: n for n, x in enumerate(log.lines)}  # not that of the text, if it's reversed
    failed = {s.name: s for s in sorted(told, key=lambda s: _explains(s, order), reverse=True)}
    return [_with_reason(t, failed) for t in tunnels]


def _explains(story: Story, order: Mapping[int, int]) -> tuple[int, int]:
    """Return a sort key: of failed connections, the one that says most has the highest.

    It is the one whose line has the highest weight, and of several, the one that failed last.
    ``order`` has the place of each log line in time, by its number in the text.
    """
    assert story.failure is not None  # the outcome is FAILED
    return story.failure.finding.weight, order[story.failure.line.number]


def _with_reason(t: Tunnel, failed: Mapping[str, Story]) -> Tunnel:
    """Return a tunnel with the reason of one of the failed connections; without one, as it is.

    ``failed`` has these by their names; the one that says most is first.
    """
    if t.state not in (TunnelState.CONNECTING, TunnelState.STUCK, TunnelState.PARTIAL):
        return t
    names = {t.key, *(c.full_name for c in describe.without_child(t))}
    story = next((s for name, s in failed.items() if name in names), None)
    why = reason(story) if story is not None else None
    return replace(t, reason=why, detail=line(story)) if story is not None and why else t


def facts(story: Story) -> Facts:
    """Return the facts about one connection, as four pairs of a label and a paragraph.

    They say what happened before, how it stands at the end of the text, what to do, and which log
    line explains that. A paragraph is "" where there is nothing to say.
    """
    return [
        ("happened", _happened(story)),
        ("at the end", end(story)),
        ("what to do", advice(story)),
        ("the line", clean(line(story), 200)),
    ]


def name(story: Story) -> str:
    """Return a connection's name; where the text doesn't name it, return words that say so.

    Where the text has lines of several machines, ``(on MACHINE)`` follows.
    """
    told = clean(story.name) if story.name else "a connection that the text doesn't name"
    if story.apart:
        return f"{told} (on another machine, or after a restart)"
    return f"{told} (on {clean(story.host, 60)})" if story.host else told


def line(story: Story) -> str:
    """Return the log line that explains a connection's outcome, as pluto printed it.

    For NOT_LOADED it is the line that says why. Return "" where no line explains the outcome.
    """
    said = cause(story)
    if said is not None:
        return said.line.text
    return story.refusal.text if story.outcome is Outcome.NOT_LOADED and story.refusal else ""


def cause(story: Story) -> Said | None:
    """Return the log line that shows why a negotiation failed or the SAs ended, with its meaning.

    Return None where the connection's outcome is neither a failure nor a loss, such as UP, OPEN or
    NOT_LOADED.
    """
    if story.outcome in (Outcome.FAILED, Outcome.UNCLEAR, Outcome.RENEWAL_FAILED):
        return story.failure
    return story.loss if story.outcome is Outcome.LOST else None


def reason(story: Story) -> Reason | None:
    """Return the reason why a connection's negotiation failed, or why its SAs ended.

    Return None where its outcome is neither of these, or where the log line doesn't show the cause.
    """
    said = cause(story)
    if said is None or log_cause.is_unclear(said) or _is_either(story):
        return None
    return said.finding.reason


def _is_either(story: Story) -> bool:
    """Return whether the peer refused an identity or subnets, and nothing shows which of them.

    That is so where the outcome is UNCLEAR and the failure's line has INVALID_ID_INFORMATION.
    """
    if story.outcome is not Outcome.UNCLEAR or story.failure is None:
        return False
    return log_cause.named(story.failure.line.said.text) == "INVALID_ID_INFORMATION"


def local_code(story: Story) -> str | None:
    """Return the code of the failure on this machine that caused the outcome: ``no-secret``.

    local_failures.py has these codes. Return None where the cause isn't one of these failures.
    """
    ours = _own_failure(story)
    return ours.code if ours else None


def _own_failure(story: Story) -> LocalFailure | None:
    """Return the failure on this machine that caused the outcome, a refusal to load included.

    Return None where the cause is none of the failures in local_failures.py.
    """
    said = cause(story)
    return local_failure(said.line.said.text) if said else _refusal(story)


def _refusal(story: Story) -> LocalFailure | None:
    """Return the failure for which pluto refused to load a connection.

    It is looked up in local_failures.py by pluto's words for it, first by themselves, then after
    ``failed to add connection: ``. Return None where the outcome isn't NOT_LOADED.
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
    """Return in words that a connection came up, and that its SAs ended before its last attempt.

    The cause follows if it is known. Return "" where no SAs ended, where the connection never came
    up, and where the end of its SAs is the outcome itself (LOST).
    """
    if story.loss is None or story.outcome is Outcome.LOST or not story.came_up:
        return ""
    why = "" if log_cause.is_unclear(story.loss) else log_cause.sentence(story.loss)
    return f"Then its SAs ended. {why}".strip()


# --- How it ended -----------------------------------------------------------------------------


def end(story: Story) -> str:
    """Return in sentences how a connection stands where the text ends, with the cause if known."""
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
    """Return sentences about a failed negotiation, without its cause.

    They say that it failed, or only that it has not come up, where anybody could have sent the
    refusal; that the IKE SA was established before; and that a new attempt is in progress where the
    text ends. What isn't so is left out.
    """
    another = story.stage is not None and story.failed_in < story.attempts
    which = "the last attempt" if story.attempts > 1 else "it"
    if another:
        which = "the one before"
    word = "has not come up" if log_cause.is_unproved(failure) else "failed"
    after = ""
    if _ike_is_up(story):
        after = ", after the IKE SA was established"
    told = f"{which[:1].upper()}{which[1:]} {word}{after}."
    return f"Another attempt is in progress where the text ends. {told}" if another else told


def _goes_on(story: Story) -> str:
    return " pluto goes on trying by itself." if story.retries else ""


def _lost(loss: Said) -> str:
    if loss.finding.end is LossKind.UNEXPLAINED and log_cause.is_unclear(loss):
        return (
            "pluto ended its SAs: somebody took them down, or their lifetime ran out. The line is "
            "the same for both."
        )
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
    """Return in sentences how far a negotiation has come where the text ends.

    They also say that the peer began it, how often our message was sent again, and, for GIVEN_UP,
    that it was given up. Where no message of a negotiation is in the text, they say only that the
    text ends before an answer.
    """
    state = story.stage
    if state is None:
        return "The text ends before an answer, or a failure."
    begun = "The peer began it. " if state.role is Role.RESPONDER else ""
    again = story.retransmissions
    resent = f" It was sent again {_times(again)}, without an answer." if again else ""
    if story.outcome is Outcome.GIVEN_UP:
        return f"{begun}It was given up; these lines don't say why. Before: {state.meaning}{resent}"
    return f"{begun}The text ends here: {log_cause.lower(state.meaning)}{resent}"


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


# --- What to do -------------------------------------------------------------------------------


def advice(story: Story) -> str:
    """Return what to do about a connection's outcome; "" where there is no advice for it."""
    said = cause(story)
    ours = _own_failure(story)
    if ours is not None:
        return ours.advice
    if _is_either(story):
        return _IDENTITY_OR_SUBNETS.advice
    if said is not None and said.finding.reason is Reason.PROPOSAL and _ike_is_up(story):
        return log_cause.advice(said).replace("ike=, ", "")  # this one was accepted
    return _sticks(story) if said is None else log_cause.advice(said)


def _ike_is_up(story: Story) -> bool:
    """Return whether the attempt that failed last had an IKE SA, so that phase 2 failed."""
    return story.ike is not None and story.failed_in == story.attempts


def _sticks(story: Story) -> str:
    """Return what is likely wrong with a negotiation whose outcome is OPEN or GIVEN_UP.

    It follows from the state in which the text ends. Return "" for any other outcome, or where it
    isn't known for this state.
    """
    if story.outcome not in (Outcome.OPEN, Outcome.GIVEN_UP):
        return ""
    if story.stage is None or not story.stage.sticks:
        return ""
    if story.outcome is Outcome.GIVEN_UP:
        return f"Possible causes: {log_cause.lower(story.stage.sticks)}"
    return f"If it goes no further: {log_cause.lower(story.stage.sticks)}"
