"""What is computed next: a forward over prompts or a decoding step, and then the core looks again.

A prompt's forward decides the route and answers what is simple, so prompts go first. Traces have a share of
their own all the same: after so many tokens of prompts in a row a step is due, or under enough traffic no
trace would ever end. A prompt thus waits for what is being computed and for one step at most; a trace waits,
between two tokens, for that many tokens of prompts and one forward's more. Few prompts at a time, as below
capacity, hardly ever come to so many tokens: then they wait for no step that has not begun.
"""

from typing import Literal

Unit = Literal["prompts", "step"]


class Turns:
    """Takes turns by that rule.

    Args:
        tokens: of prompts in a row while rows write, after which a step is due.
    """

    def __init__(self, tokens: int) -> None:
        self._most = tokens
        self._in_a_row = 0

    def next(self, *, prompts: bool, rows: bool) -> Unit | None:
        """What is done now; None if there is nothing to do.

        Args:
            prompts: whether one waits.
            rows: whether one writes, or waits for a slot.
        """
        step = rows and not (prompts and self._in_a_row < self._most)
        if step or not rows:
            self._in_a_row = 0
        if step:
            return "step"
        return "prompts" if prompts else None

    def took(self, tokens: int) -> None:
        """So many tokens of prompts were computed."""
        self._in_a_row += tokens
