"""What the computing thread does next: a forward over prompts or a decoding step, and then it looks again.

A prompt's forward decides the route and answers what is simple, so prompts go first. Traces have a share of
their own all the same: after so many forwards in a row a step is due, or under enough traffic no trace would
ever end. A prompt thus waits for what is being computed and for one step at most, a trace for so many
forwards between two tokens.
"""

from typing import Literal

Unit = Literal["prompts", "step"]


class Turns:
    """Takes turns by that rule.

    Args:
        forwards: over prompts in a row while rows write, at most.
    """

    def __init__(self, forwards: int) -> None:
        self._most = forwards
        self._in_a_row = 0

    def next(self, *, prompts: bool, rows: bool) -> Unit | None:
        """What is done now; None if there is nothing to do.

        Args:
            prompts: whether one waits.
            rows: whether one writes, or waits for a slot.
        """
        if rows and not (prompts and self._in_a_row < self._most):
            self._in_a_row = 0
            return "step"
        self._in_a_row += prompts
        return "prompts" if prompts else None
