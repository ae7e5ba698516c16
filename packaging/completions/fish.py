# SPDX-License-Identifier: MIT
"""Completion for fish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arguments import Argument, Value, arguments, words

from ipsecwatch.cli.verbs import VERBS

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """# SPDX-License-Identifier: MIT
# fish completion for ipsecwatch; made by packaging/completions

function __ipsecwatch_verb
    set -l words (commandline -opc)
    test (count $words) -ge 2; and contains -- $words[2] $argv
end

function __ipsecwatch_no_verb
    test (count (commandline -opc)) -lt 2
end

function __ipsecwatch_tunnels
    ipsecwatch status --names 2>/dev/null
end

complete -c ipsecwatch -f
complete -c ipsecwatch -n __ipsecwatch_no_verb -s h -l help -d 'show what there is'
complete -c ipsecwatch -n __ipsecwatch_no_verb -l version -d 'show the version'
"""


def script() -> str:
    """Return the completion script for fish."""
    lines = [
        f"complete -c ipsecwatch -n __ipsecwatch_no_verb -a {verb} -d {_quoted(does)}"
        for verb, does in VERBS.items()
    ]
    lines += [line for verb in VERBS for a in arguments(verb) for line in _complete(verb, a)]
    return HEAD + "\n".join(lines) + "\n"


def _complete(verb: str, a: Argument) -> Iterator[str]:
    """Yield the ``complete`` commands for an argument of a verb."""
    begin = f"complete -c ipsecwatch -n '__ipsecwatch_verb {verb}'"
    if not a.flags:
        yield from (f"{begin} {offer}" for offer in _offers(a))
        return
    short = [f"-s {flag[1:]}" for flag in a.flags if not flag.startswith("--")]
    long = [f"-l {flag[2:]}" for flag in a.flags if flag.startswith("--")]
    needs = "-r" if a.value in (Value.FILE, Value.WORD) else "-x"
    takes = [] if a.value is Value.NONE or a.optional else [needs, *_offers(a)]
    yield " ".join([begin, *short, *long, *takes, "-d", _quoted(a.help)])


def _offers(a: Argument) -> list[str]:
    """Return the options of ``complete`` that offer the values of an argument."""
    match a.value:
        case Value.CHOICE:
            return [f"-a {_quoted(' '.join(a.words))}"]
        case Value.LIST:
            return [f"-a '(__fish_append , {' '.join(a.words)})'"]
        case Value.FILE:
            return ["-F"]
        case Value.TUNNEL:
            return ["-a '(__ipsecwatch_tunnels)'"]
        case Value.WORD:
            return [f"-a {_quoted(' '.join(words()))}", "-a '(__ipsecwatch_tunnels)'", "-F"]
    return []


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
