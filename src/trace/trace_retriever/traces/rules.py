"""The coarse filter: the paper's rules for traces, one function each, in the order they are asked."""

import hashlib
import re
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trace_retriever.config.filter import CoarseParams
from trace_retriever.io.progress import progress
from trace_retriever.mbeir.pool_index import as_ints
from trace_retriever.mbeir.records import Trace
from trace_retriever.traces.examples import Example
from trace_retriever.traces.lazy import take
from trace_retriever.traces.prompts import is_composed
from trace_retriever.traces.words import ngrams, salient, token_count, without_label, words


@dataclass(frozen=True, slots=True)
class Case:
    """A trace with what the rules hold it against.

    Attributes:
        target: the target's text or description; None where it has none.
        source: the description of the query's own picture; None where it has none.
    """

    trace: Trace
    example: Example
    target: str | None
    source: str | None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A trace that was dropped: by which stage (coarse or fine), by which rule, and a detail for people."""

    qid: str
    pair: str
    stage: str
    rule: str
    detail: str

    def record(self) -> dict[str, str]:
        """The line of `dropped.jsonl`."""
        return {
            "qid": self.qid,
            "pair": self.pair,
            "stage": self.stage,
            "rule": self.rule,
            "detail": self.detail,
        }


Rule = Callable[[Case, CoarseParams], str | None]

_TAG = re.compile(r"</?\s*(reasoning|answer|think)\s*>|<\|[^|<>]*\|>", re.IGNORECASE)
_BOILERPLATE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\bas an? (ai|artificial|large|language|vision)\b",
        r"\b(i am|i'm) (sorry|unable|not able|afraid)\b",
        r"\bi (cannot|can't|can not|could not|couldn't|won't) "
        r"(see|view|help|assist|provide|identify|determine|answer|comply)\b",
        r"\b(no|not) (image|picture|photo) (is |was )?(provided|attached|given|visible)\b",
        r"\b(insufficient|not enough) (information|context) (is |was )?(provided|given|to)\b",
        r"\b(the|given) (ground.?truth|target (image|picture|text|item) (is|was) (given|provided|shown))\b",
        r"\blet me know if\b",
        r"\b(here is|here's) (the|your|a) (reasoning|answer|trace)\b",
        r"\b(lorem ipsum|insert .{1,20} here|to be determined)\b",
    )
)


def no_tags(case: Case, _: CoarseParams) -> str | None:
    """Each tag once and in order is checked where the answer is parsed; here, none may be left in a part."""
    found = _TAG.search(f"{case.trace.reasoning} {case.trace.answer}")
    return f"holds {found.group(0)}" if found else None


def reasoning_length(case: Case, params: CoarseParams) -> str | None:
    """Paper: 16 to 256 tokens."""
    return _length(case.trace.reasoning, params.reasoning_min, params.reasoning_max)


def answer_length(case: Case, params: CoarseParams) -> str | None:
    """Paper: 2 to 64 tokens."""
    return _length(case.trace.answer, params.answer_min, params.answer_max)


def _length(text: str, least: int, most: int) -> str | None:
    count = token_count(text)
    return None if least <= count <= most else f"{count} tokens, allowed are {least} to {most}"


def no_repetition(case: Case, params: CoarseParams) -> str | None:
    """No word sequence occurs too often: the mark of a decoder that went in circles."""
    said = words(case.trace.text)
    counts = Counter(ngrams(said, params.repeat_ngram))
    if not counts:
        return None
    sequence, count = counts.most_common(1)[0]
    return f"{' '.join(sequence)!r} occurs {count} times" if count > params.repeat_max else None


def latin_script(case: Case, params: CoarseParams) -> str | None:
    """No other languages, told by their script."""
    letters = [char for char in case.trace.text if char.isalpha()]
    foreign = sum(not _is_latin(char) for char in letters)
    if foreign <= params.foreign_share * len(letters):
        return None
    return f"{foreign} of {len(letters)} letters are not Latin"


def _is_latin(char: str) -> bool:
    return char.isascii() or unicodedata.name(char, "").startswith(
        ("LATIN", "MODIFIER", "FEMININE", "MASCULINE")
    )


def no_refusal(case: Case, _: CoarseParams) -> str | None:
    """No refusals, apologies or phrases about the task instead of the query."""
    for pattern in _BOILERPLATE:
        if found := pattern.search(case.trace.text):
            return f"says {found.group(0)!r}"
    return None


def salient_word(case: Case, _: CoarseParams) -> str | None:
    """The answer holds a content word of the query's words or of the target; passed where neither has any."""
    wanted = salient(case.example.words) | salient(case.target or "")
    if not wanted or wanted & salient(case.trace.answer):
        return None
    return "the answer shares no content word with the query or the target"


def not_the_source(case: Case, _: CoarseParams) -> str | None:
    """Composed retrieval: the answer is more than the source picture's caption."""
    if not case.source or not is_composed(case.example.pair):
        return None
    same = words(without_label(case.trace.answer)) == words(case.source)
    return "the answer is the caption of the source picture" if same else None


RULES: dict[str, Rule] = {
    "tags": no_tags,
    "reasoning_length": reasoning_length,
    "answer_length": answer_length,
    "repeated_ngrams": no_repetition,
    "other_language": latin_script,
    "refusal": no_refusal,
    "salient_word": salient_word,
    "source_caption": not_the_source,
}
DUPLICATE = "duplicate"


@dataclass(frozen=True)
class Screened:
    """What the coarse filter made of some traces.

    Attributes:
        kept: the cases that broke no rule, in order.
        dropped: the others, each under the first rule that it broke.
        broken: rule → how many traces break it, whether or not an earlier one dropped them.
    """

    kept: Sequence[Case]
    dropped: list[Dropped]
    broken: dict[str, int]


def screen(cases: Sequence[Case], params: CoarseParams) -> Screened:
    """Hold each trace against all rules; of duplicates the first stays."""
    kept = array("q")
    dropped: list[Dropped] = []
    broken = dict.fromkeys((*RULES, DUPLICATE), 0)
    seen: dict[bytes, str] = {}
    for place, case in enumerate(progress(cases, "rules", total=len(cases), unit="trace")):
        found = {name: detail for name, rule in RULES.items() if (detail := rule(case, params)) is not None}
        if not found:
            first = seen.setdefault(_identity(case), case.trace.qid)
            if first != case.trace.qid:
                found = {DUPLICATE: f"same trace, words and picture as query {first}"}
        for name in found:
            broken[name] += 1
        if found:
            name, detail = next(iter(found.items()))
            dropped.append(Dropped(case.trace.qid, case.trace.pair, "coarse", name, detail))
        else:
            kept.append(place)
    return Screened(take(cases, as_ints(kept)), dropped, broken)


def _identity(case: Case) -> bytes:
    """What makes two traces duplicates: one pair and split, the same query, the same words in the trace."""
    example = case.example
    asked, said = words(example.words), words(case.trace.text)
    whole = (example.pair.name, example.split, asked, str(example.query.image), said)
    return hashlib.blake2b(repr(whole).encode(errors="surrogatepass"), digest_size=16).digest()
