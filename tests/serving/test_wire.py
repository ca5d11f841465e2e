"""Messages between the two processes of a server, whole again however they were cut."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from trace_retriever.serving.wire import Answer, Ask, Down, Forget, Line, Turn, Unpacker, Up, packed

PATCHES = np.arange(96, dtype=np.float32).reshape(4, 24)
ASK = Ask(1, [5, 6, 7], "sha256:0", (2, 2), PATCHES, "auto", None)
SENT: list[Down | Up] = [
    ASK,
    Forget(1),
    Turn((1, 2), 3, 4, True),
    Answer(2, ValueError("why")),
]


def same(found: list[Any]) -> bool:
    ask, *others = found
    assert (ask.number, ask.ids, ask.grid) == (1, [5, 6, 7], (2, 2))
    np.testing.assert_array_equal(ask.patches, PATCHES)
    return others[:2] == SENT[1:3] and str(others[2].outcome) == "why" and len(others) == 3


@pytest.fixture
def ends() -> Iterator[tuple[Line, Line]]:
    lines = [Line(end) for end in socket.socketpair()]
    yield lines[0], lines[1]
    for line in lines:
        line.close()


@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_messages_come_whole_however_they_were_cut(size: int) -> None:
    whole = b"".join(part for message in SENT for part in packed(message))
    unpacker = Unpacker()
    parts = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert same([message for part in parts for message in unpacker.feed(part)])


def test_arrays_are_not_copied_to_be_sent() -> None:
    *_, last = packed(ASK)
    assert isinstance(last, memoryview)
    assert np.shares_memory(np.frombuffer(last, np.float32), PATCHES)


def test_what_is_received_may_be_written_to() -> None:
    (ask,) = Unpacker().feed(b"".join(packed(ASK)))
    patches = ask.patches
    patches += 1  # torch takes no memory that is read only without a warning


def test_more_than_the_pipe_holds_and_the_end(ends: tuple[Line, Line]) -> None:
    one, other = ends
    assert other.receive(wait=False) == []
    large = ASK._replace(patches=np.zeros((1000, 1000), np.float32))
    sending = threading.Thread(target=one.send, args=(large, *SENT))
    sending.start()
    found: list[Any] = []
    while len(found) < 5:
        found += other.receive(wait=True) or []
    sending.join(60)
    assert found[0].patches.shape == (1000, 1000)
    assert same(found[1:])
    one.hang_up()
    assert other.receive(wait=True) is None
    with pytest.raises(OSError, match="Broken pipe"):
        other.send(Forget(1))
