"""M-BEIR's text rules: how a query's or a candidate's words are cleaned, and where the instruction goes."""

import re

from trace_retriever.mbeir.instructions import Instructions
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Query

_EDGES = re.compile(r'^[\s"]+|[\s"]+$')


def clean_text(text: str | None) -> str:
    """Clean as UniIR does: no carriage returns, no quotes or space at the ends, a capital, a full stop.

    A text that ends in `.`, `?` or `!` keeps its end. Cleaning twice is cleaning once. None and blank text
    come back as "".
    """
    text = _EDGES.sub("", (text or "").replace("\r", ""))
    if not text:
        return ""
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".?!" else f"{text}."


def query_text(
    instructions: Instructions, query: Query, pair: Pair, prompt_index: int | None = 0
) -> str | None:
    """The words a query is encoded with: the pair's prompt, a space, the query's own words, both cleaned.

    UniIR draws the prompt at random, at evaluation too; here it is chosen.

    Args:
        instructions: the data set's prompts.
        query: whose words.
        pair: the pair it belongs to, which names the prompt.
        prompt_index: which of the pair's prompts; None for no instruction.

    Returns:
        The text, or None for a picture without an instruction.

    Raises:
        DataError: the pair has no prompt with this index.
    """
    prompt = "" if prompt_index is None else clean_text(instructions.prompt(pair, prompt_index))
    return " ".join(filter(None, (prompt, clean_text(query.query_txt)))) or None


def candidate_text(text: str | None) -> str | None:
    """The words a candidate is encoded with, cleaned and without an instruction; None when it has none."""
    return clean_text(text) or None
