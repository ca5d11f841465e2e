"""What the engine did, in counts that need no clock."""

from dataclasses import dataclass


@dataclass
class Counters:
    """Work since the engine was made.

    Attributes:
        items: items encoded.
        prefill_calls, prefill_slots, prefill_tokens: forwards over prompts; the positions they computed,
            padding included; and the tokens that prompts really had.
        decode_steps, decode_row_steps: forwards for one token a row; and the rows they computed, padding of
            captured graphs included.
        needed_row_steps: tokens that were fed back: the row-steps of a perfect schedule.
        pictures, picture_hits: pictures asked for; and those whose features were there already.
        truncated, garbage, late: traces cut at the token limit, given up as garbage, given up for time.
    """

    items: int = 0
    prefill_calls: int = 0
    prefill_slots: int = 0
    prefill_tokens: int = 0
    decode_steps: int = 0
    decode_row_steps: int = 0
    needed_row_steps: int = 0
    pictures: int = 0
    picture_hits: int = 0
    truncated: int = 0
    garbage: int = 0
    late: int = 0
