# SPDX-License-Identifier: MIT
"""``ipsecwatch explain WORD|NAME``: explains a word, a single log line, or a tunnel by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ipsecwatch.cli import suggest
from ipsecwatch.cli.display import terminal
from ipsecwatch.cli.explain import lookup
from ipsecwatch.cli.failure import Failure
from ipsecwatch.sanitize import clean

if TYPE_CHECKING:
    from ipsecwatch.cli.explain.live import Live

GIVE: Final = "Give a file, - for stdin, a word that pluto prints, or a tunnel's name"
"""The hint where an argument can't be explained."""


def explanation(word: str, *, as_json: bool) -> str:
    """Return the explanation of ``word``: a log line, a known word, or the name of a tunnel.

    These are tried in this order. Only a text with a blank is tried as a line of pluto's log. The
    service is asked only for the name of a tunnel. Raise Failure where ``word`` is none of the
    three, or where the service doesn't answer.
    """
    if " " in word and (log_line := _log_line(word, as_json=as_json)):
        return log_line
    found = lookup.as_json(word)
    paint, wide = terminal.Paint(terminal.colour_wanted()), terminal.columns()
    if found:
        return _words_json(found) if as_json else lookup.explanation(word, paint, wide)
    return tunnel(word, "", as_json=as_json)


def tunnel(name: str, instance: str, *, as_json: bool) -> str:
    """Ask the service for the tunnel ``name``, and return the explanation of its present state.

    ``instance``: the instance of the service to ask; "": the service itself. Raise Failure where
    there is no such tunnel, or the service doesn't answer.
    """
    from ipsecwatch.cli.explain import live  # a word of pluto's needs no bus

    paint, wide = terminal.Paint(terminal.colour_wanted()), terminal.columns()
    answer = live.look_up(name, instance)
    if answer.row is None:
        raise _nothing(name, answer)
    if as_json:
        return _words_json([live.as_json(answer.row, answer.unit)])
    return live.explanation(answer.row, answer.unit, paint, wide)


def _log_line(line: str, *, as_json: bool) -> str:
    """Return the explanation of a text that may be a line of pluto's log.

    Return "" where it isn't one, or where text.is_log() says that the line shows nothing.
    """
    from ipsecwatch.cli.explain import text  # a word needs no table of log lines

    return text.explanation(line, as_json=as_json) if text.is_log(line) else ""


def _words_json(found: list[dict[str, Any]]) -> str:
    import json

    return json.dumps([{"format": 1, **each} for each in found])


def _nothing(word: str, answer: Live) -> Failure:
    """Return the Failure for a word that can't be explained, and is no tunnel by ``answer``.

    Its hint names the known words in a sentence, or known words and tunnels that are similar to
    ``word``. Where there are none, it says what can be given, and why the service doesn't answer,
    if that is so. A word with "/" or "." in it is taken for the path of a file that doesn't exist.
    """
    within = lookup.words_in(word) if " " in word else []
    if within:
        return Failure("that is a sentence", f"Words in it: explain {', '.join(within)}")
    if "/" in word or "." in word:
        return Failure(f"cannot read {clean(word, 200)}: no such file", GIVE)
    meant = suggest.question(lookup.similar(word, answer.names))
    hint = meant or GIVE
    kinds = "neither a file nor a word that pluto prints"
    if answer.trouble:
        unasked = "" if meant else f" (tunnels can't be looked up: {answer.trouble})"
        return Failure(f"{clean(word, 80)} is {kinds}", hint + unasked)
    return Failure(f"{clean(word, 80)} is {kinds}, nor a tunnel", hint)
