"""What the server and the process that computes for it say to each other, over a pipe of theirs alone."""

import pickle
import socket
import struct
from contextlib import suppress
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from trace_retriever.config.serve import ServeSettings
from trace_retriever.engine.encoded import Encoded, Reason

PROTOCOL = 5  # of pickle, the first that leaves arrays where they are
SIZE = struct.Struct("!Q")
CHUNK = 1 << 18  # bytes that are sent as one or received at once, at most


class Load(NamedTuple):
    """First of all: which model, where; settings of `trace serve`."""

    model: str
    device: str
    dtype: str
    settings: ServeSettings


class Ask(NamedTuple):
    """A prompt to be computed; a picture's patches float32 [P, D], as numpy has them."""

    number: int
    ids: list[int]
    digest: str | None
    grid: tuple[int, int] | None
    patches: Any
    reason: Reason
    trace_tokens: int | None


class Forget(NamedTuple):
    """Nobody waits for it any more."""

    number: int


class Ready(NamedTuple):
    """The model is loaded and warm."""


class Failed(NamedTuple):
    """Computing has failed, or never began; the process ends."""

    error: Exception


class Answer(NamedTuple):
    """What a prompt became."""

    number: int
    outcome: Encoded | Exception


class Turn(NamedTuple):
    """A unit was computed: prompts whose turn it was, and how things stand with rows that reason."""

    entered: tuple[int, ...]
    reasoning: int
    slots_used: int
    crowded: bool


Down = Load | Ask | Forget
Up = Ready | Failed | Answer | Turn


def packed(message: Down | Up) -> list[bytes | memoryview]:
    """A message as parts to be sent one after the other; arrays are parts of their own and not copied.

    First how many parts there are and how long each of the others is, eight bytes a number, big end first;
    then what pickle writes; then the arrays.
    """
    arrays: list[pickle.PickleBuffer] = []
    content = pickle.dumps(message, PROTOCOL, buffer_callback=arrays.append)
    parts: list[bytes | memoryview] = [content, *(array.raw() for array in arrays)]
    return [b"".join(map(SIZE.pack, (len(parts), *map(len, parts)))), *parts]


class Unpacker:
    """Messages out of bytes, however these were cut on their way.

    They are unpickled, as between any two processes of Python's: no other process has an end of the pipe.
    """

    def __init__(self) -> None:
        self._got = bytearray()

    def feed(self, part: bytes) -> list[Any]:
        """The messages that are whole with this part."""
        self._got += part
        messages = []
        while (ends := self._ends()) and len(self._got) >= ends[-1]:
            content, *arrays = (self._got[start:end] for start, end in pairwise(ends))
            messages.append(pickle.loads(content, buffers=arrays))  # noqa: S301 - see above
            del self._got[: ends[-1]]
        return messages

    def _ends(self) -> list[int]:
        """Where the head and each part of the first message end; empty while its head is not there."""
        if len(self._got) < SIZE.size:
            return []
        (parts,) = SIZE.unpack_from(self._got)
        head = (parts + 1) * SIZE.size
        if len(self._got) < head:
            return []
        sizes = (SIZE.unpack_from(self._got, (number + 1) * SIZE.size)[0] for number in range(parts))
        return list(accumulate(sizes, initial=head))


class Line:
    """The computing side's end of the pipe, which waits where there is nothing to do.

    Args:
        end: of a socket pair; closed with this.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._unpacker = Unpacker()

    def send(self, *messages: Down | Up) -> None:
        """Send messages, small ones as one; blocks while the pipe is full.

        Raises:
            OSError: the other end is gone.
        """
        parts = [part for message in messages for part in packed(message)]
        for part in [b"".join(parts)] if sum(map(len, parts)) <= CHUNK else parts:
            self._end.sendall(part)

    def receive(self, *, wait: bool) -> list[Any] | None:
        """The messages that have come; None at the end of all.

        Args:
            wait: for one at least.
        """
        while True:
            try:
                part = self._end.recv(CHUNK, 0 if wait else socket.MSG_DONTWAIT)
            except BlockingIOError:
                return []
            except OSError:
                return None
            if not part:
                return None
            if (messages := self._unpacker.feed(part)) or not wait:
                return messages

    def hang_up(self) -> None:
        """Have both ends receive the end of all."""
        with suppress(OSError):  # it has ended already
            self._end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it."""
        self._end.close()
