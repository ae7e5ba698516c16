# SPDX-License-Identifier: MIT
from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from dbus_fast import Message, MessageType, Variant
from hypothesis import given
from hypothesis import strategies as st

from ipsecwatch.dbus.marshal import (
    METHOD_RETURN,
    SIGNAL,
    array,
    assembled,
    entry,
    followed,
    header_fields,
    joined,
    marshal,
)

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES = st.one_of(
    st.tuples(st.just("s"), st.text(st.characters(exclude_characters="\0", codec="utf-8"))),
    st.tuples(st.just("u"), st.integers(0, (1 << 32) - 1)),
    st.tuples(st.just("t"), st.integers(0, (1 << 64) - 1)),
    st.tuples(st.just("b"), st.booleans()),
)
DICTIONARIES = st.dictionaries(st.text("abcXYZ", min_size=1, max_size=9), VALUES, max_size=5)


def variants(values: dict[str, tuple[str, Any]]) -> dict[str, Variant]:
    return {name: Variant(*value) for name, value in values.items()}


def entries(values: dict[str, tuple[str, Any]]) -> bytes:
    return joined([entry(signature, name, v) for name, (signature, v) in values.items()])


@given(word=st.text("ab", max_size=20), values=DICTIONARIES)
def test_a_dictionary_of_pieces_is_what_the_library_makes(
    word: str, values: dict[str, tuple[str, Any]]
) -> None:
    assert array(marshal("s", word), entries(values)) == marshal("sa{sv}", word, variants(values))
    pieces = followed(array(marshal("s", word), entries(values)), marshal("as", ["x"]))
    assert pieces == marshal("sa{sv}as", word, variants(values), ["x"])


@given(objects=st.dictionaries(st.text("ab_", min_size=1, max_size=9), DICTIONARIES, max_size=4))
def test_dictionaries_within_dictionaries_are_what_the_library_makes(
    objects: dict[str, dict[str, tuple[str, Any]]],
) -> None:
    plain = {f"/{name}": variants(values) for name, values in objects.items()}
    pieces = [array(marshal("o", f"/{name}"), entries(values)) for name, values in objects.items()]
    assert array(marshal("st", "run", 7), joined(pieces)) == marshal("sta{oa{sv}}", "run", 7, plain)
    nested = [
        array(marshal("o", f"/{name}"), array(marshal("s", "i"), entries(values)))
        for name, values in objects.items()
    ]
    assert array(b"", joined(nested)) == marshal(
        "a{oa{sa{sv}}}", {path: {"i": values} for path, values in plain.items()}
    )


def make_signal(body: list[Any]) -> tuple[Message, bytes]:
    message = Message.new_signal("/a/b", "org.example.A", "Happened", "ts", body)
    fields = {"path": "/a/b", "interface": "org.example.A", "member": "Happened"}
    return message, header_fields(**fields, signature="ts")


def make_reply(body: list[Any]) -> tuple[Message, bytes]:
    kind = MessageType.METHOD_RETURN
    message = Message(
        message_type=kind, destination=":1.23", reply_serial=99, signature="ts", body=body
    )
    return message, header_fields(reply_serial=99, destination=":1.23", signature="ts")


@pytest.mark.parametrize(("kind", "make"), [(SIGNAL, make_signal), (METHOD_RETURN, make_reply)])
def test_a_message_put_together_is_what_the_library_sends(
    kind: int, make: Callable[[list[Any]], tuple[Message, bytes]]
) -> None:
    for text in "", "a", "ab", "abc", "abcdefg":
        body = [1, text]
        message, fields = make(body)
        message.serial = 5
        assert assembled(kind, 5, fields, marshal("ts", *body)) == message._marshall(False)
