"""What the server and the process that computes for it say to each other, over a pipe of theirs alone."""

import socket
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from os import dup
from typing import Any, NamedTuple

from trace_retriever.config.serve import ServeSettings
from trace_retriever.engine.encoded import Encoded, Reason


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


class Line:
    """One end of the pipe; sends whole messages from any thread, receives them in one.

    What is sent is pickled, as between any two processes of Python's: no other process has an end of it.

    Args:
        end: of a socket pair; closed with this.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._connection = Connection(dup(end.fileno()))
        self._sending = threading.Lock()

    def send(self, message: Down | Up) -> None:
        """Send a message; blocks while the pipe is full.

        Raises:
            OSError: the other end is gone.
        """
        with self._sending:
            self._connection.send(message)

    def receive(self) -> Any:
        """The next message; None at the end of all."""
        try:
            return self._connection.recv()
        except (EOFError, OSError):
            return None

    def hang_up(self) -> None:
        """Have both ends receive the end of all."""
        with suppress(OSError):  # it has ended already
            self._end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it; nobody receives any more."""
        self._connection.close()
        self._end.close()
