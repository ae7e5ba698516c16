# SPDX-License-Identifier: MIT
from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from ipsecwatch.dbus.frames import (
    LARGEST_KNOWN,
    MAX_FIELDS,
    MAX_KNOWN,
    Frames,
    Handling,
    Header,
    by_size,
)
from tests.support import raw_bus

LARGEST = 100


def message(size: int, path: str = "/") -> bytes:
    body = raw_bus.body("ay", bytes(size)) if size else b""
    fields = {"path": path} | ({"signature": "ay"} if size else {})
    return raw_bus.message(7, fields, body=body)


def fed(data: bytes, cuts: list[int]) -> bytes:
    """Return what Frames passes on of a byte stream in pieces; ``cuts`` has their sizes."""
    frames, out, at = Frames(by_size(LARGEST)), b"", 0
    for cut in [*cuts, len(data)]:
        out += frames.feed(data[at : at + cut])
        at += cut
        if at >= len(data):
            break
    return out


@given(
    verdicts=st.lists(st.sampled_from(Handling), min_size=1, max_size=8),
    cuts=st.lists(st.integers(1, 300), max_size=30),
)
def test_each_message_gets_its_own_verdict_wherever_the_stream_is_cut(
    verdicts: list[Handling], cuts: list[int]
) -> None:
    whole = [message(n % 3 * 40, path=f"/a{n}") for n in range(len(verdicts))]
    expected = b""
    for verdict, (n, made) in zip(verdicts, enumerate(whole), strict=True):
        if verdict is Handling.PASS:
            expected += made
        elif verdict is Handling.WITHOUT_BODY:
            head = made[: len(made) - (n % 3 and n % 3 * 40 + 4)]  # 4 for the length of the array
            expected += head[:4] + bytes(4) + head[8:]
    rest = iter(verdicts)
    frames, out, data = Frames(lambda _: next(rest)), b"", b"".join(whole)
    for cut in [*cuts, len(data)]:
        out += frames.feed(data[:cut])
        data = data[cut:]
        if not data:
            break
    assert out == expected


@given(
    sizes=st.lists(st.sampled_from([0, 1, 50, 96, 97, 5000]), min_size=1, max_size=6),
    cuts=st.lists(st.integers(1, 300), max_size=30),
)
def test_bodies_that_are_too_large_are_left_out_wherever_the_stream_is_cut(
    sizes: list[int], cuts: list[int]
) -> None:
    expected = b""
    for size in sizes:
        whole = message(size)
        if size + 4 > LARGEST:  # 4 for the length of the array
            whole = whole[: -(size + 4)]
            whole = whole[:4] + bytes(4) + whole[8:]
        expected += whole
    assert fed(b"".join(message(size) for size in sizes), cuts) == expected


def test_a_message_with_too_large_a_header_is_left_out_as_a_whole() -> None:
    assert fed(message(5) + message(5, path="/" + "a" * MAX_FIELDS) + message(6), []) == (
        message(5) + message(6)
    )


def test_the_other_byte_order_is_understood() -> None:
    head = b"B\1\0\1" + (200).to_bytes(4, "big") + (1).to_bytes(4, "big") + (8).to_bytes(4, "big")
    passed = fed(head + b"12345678" + bytes(200) + message(1), [])
    assert passed == head[:4] + bytes(4) + head[8:] + b"12345678" + message(1)


def judged(data: bytes, verdict: Handling = Handling.PASS) -> tuple[list[Header], bytes]:
    """Return the headers that a judge with this verdict saw, and the bytes that were passed on."""
    seen: list[Header] = []

    def judge(header: Header) -> Handling:
        seen.append(header)
        return verdict

    return seen, Frames(judge).feed(data)


FIELDS = {"path": "/a", "interface": "a.b", "member": "Do", "destination": "a.b", "sender": ":1.7"}


def test_the_judge_is_told_what_the_header_says() -> None:
    body = raw_bus.body("as", ["x", "y"])
    call = raw_bus.message(9, FIELDS | {"signature": "as"}, body=body)
    (header,), passed = judged(call)
    assert header == Header(1, 0, "Do", ":1.7", "as", len(body), plain=True)
    assert passed == call


def test_headers_that_differ_in_more_than_the_serial_are_told_apart() -> None:
    one, other = (raw_bus.message(9, FIELDS | {"member": m}) for m in ("Do", "So"))
    again = raw_bus.message(10, FIELDS | {"member": "Do"})
    loud = raw_bus.message(9, FIELDS, flags=1)
    full = raw_bus.message(9, FIELDS, body=bytes(8))
    found, _ = judged(one + other + again + loud + full)
    assert [(h.member, h.flags, h.body) for h in found] == [
        ("Do", 0, 0), ("So", 0, 0), ("Do", 0, 0), ("Do", 1, 0), ("Do", 0, 8),
    ]  # fmt: skip


def test_however_many_headers_differ_few_are_remembered() -> None:
    frames = Frames(by_size(LARGEST))
    tracemalloc.start()
    try:
        for n in range(2 * MAX_KNOWN):
            frames.feed(message(0, path=f"/{n:05}" + "a" * 60_000))
        for n in range(5 * MAX_KNOWN):
            frames.feed(message(0, path=f"/{n:05}" + "a" * 500))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * MAX_KNOWN * LARGEST_KNOWN


def test_what_is_skipped_leaves_no_trace() -> None:
    call = raw_bus.message(9, FIELDS | {"signature": "ay"}, body=raw_bus.body("ay", bytes(50)))
    assert judged(call * 3, Handling.SKIP)[1] == b""


def test_a_field_of_a_type_that_no_field_has_is_noticed() -> None:
    call = raw_bus.message(9, FIELDS, odd=True)
    call = call.replace(b"\x01s\0", b"\x01v\0", 1)
    (header,), passed = judged(call)
    assert not header.plain
    assert passed == call


@given(st.binary(max_size=300))
def test_whatever_comes_in_is_no_error(data: bytes) -> None:
    judged(b"l" + data)
    judged(raw_bus.message(9, FIELDS)[:16] + data)
