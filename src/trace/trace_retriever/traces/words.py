"""Words of a text as the rules, the probe and the leakage measure see them."""

import re
from collections.abc import Iterator, Sequence

_WORD = re.compile(r"\w+(?:['’-]\w+)*")  # noqa: RUF001 (both apostrophes occur in text)
_TOKEN = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")  # noqa: RUF001
_LABEL = re.compile(r"^\s*(?:target|answer|final answer)\s*:\s*", re.IGNORECASE)

_STOPWORDS = """
a an and any are as at be been being but by can could did do does for from had has have he her here his
how i if in into is it its may me more most my no not of on one or our same she should so some such than
that the their them then there these they this those to under up upon was we were what when where which
while who whom whose why will with would you your find image images picture pictures photo text target
answer show shows showing
"""
STOPWORDS = frozenset(_STOPWORDS.split())


def words(text: str) -> list[str]:
    """The words of a text in lower case, punctuation left out."""
    return _WORD.findall(text.casefold())


def token_count(text: str) -> int:
    """Length of a text in words and punctuation marks; close to what a language model's tokens count."""
    return len(_TOKEN.findall(text))


def salient(text: str) -> set[str]:
    """Words that carry meaning: two letters or more, no function word, a plural as its singular."""
    return {_singular(word) for word in words(text) if len(word) > 1 and word not in STOPWORDS}


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def ngrams(items: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """All runs of `n` neighbours."""
    return zip(*(items[start:] for start in range(n)), strict=False)


def without_label(answer: str) -> str:
    """An answer without a leading `target :` or `answer :`."""
    return _LABEL.sub("", answer)


def phrases(text: str) -> list[list[str]]:
    """The words of each stretch between punctuation marks; empty stretches left out."""
    return [found for part in re.split(r"[^\w\s'’-]+", text.casefold()) if (found := _WORD.findall(part))]  # noqa: RUF001
