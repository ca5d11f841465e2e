"""A query with what a teacher may be shown of it: instruction, words, picture, and one target."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from trace_retriever.errors import DataError
from trace_retriever.io.images import resolve_inside
from trace_retriever.mbeir.ids import query_number
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.mbeir.records import Candidate, Query
from trace_retriever.mbeir.text import candidate_text, clean_text


@dataclass(frozen=True, slots=True)
class Shown:
    """Words, a picture (checked path), or both, as a teacher sees them."""

    text: str | None
    image: Path | None


@dataclass(frozen=True, slots=True)
class Example:
    """One query and one of its targets.

    Attributes:
        instruction: the pair's prompt.
        query: the query's own words and picture, without the instruction.
        positives: the ids of all candidates that answer it.
        target: the first of them that the pool holds, or None where it holds none.
    """

    qid: str
    pair: Pair
    split: Split
    instruction: str
    query: Shown
    positives: tuple[str, ...]
    target: Shown | None

    @property
    def words(self) -> str:
        """The query's own words, "" for a picture alone."""
        return self.query.text or ""


def by_qid(example: Example) -> int:
    """The order in which examples are kept and written: by the query's integer id."""
    return query_number(example.qid)


def load_examples(
    layout: Layout,
    splits: Sequence[Split],
    *,
    prompt_index: int,
    wanted: Collection[str] | None = None,
    targets: bool = True,
) -> list[Example]:
    """The examples of some splits, ordered by query id.

    Args:
        layout: the data set.
        splits: which splits; a query id may be in one of them only.
        prompt_index: which of a pair's prompts is the instruction.
        wanted: query ids; None takes all.
        targets: whether targets are looked up in the split's global pool.

    Raises:
        DataError: a file is missing or malformed, or one query id is in two splits or pairs.
    """
    examples: dict[str, Example] = {}
    for split in splits:
        queries = [
            (pair, query)
            for pair in layout.pairs(split)
            for query in layout.queries(pair, split)
            if wanted is None or query.qid in wanted
        ]
        positives = {did for _, query in queries for did in query.pos_cand_list}
        found = layout.lookup(positives, split) if targets and positives else {}
        for pair, query in queries:
            if (earlier := examples.get(query.qid)) is not None:
                raise DataError(
                    f"qid {query.qid} is in {earlier.pair.name} ({earlier.split}) and {pair.name} ({split})",
                    where=layout.root,
                    remedy="traces are joined by qid: renumber one, or leave a split out with route.splits",
                )
            examples[query.qid] = _example(layout, query, pair, split, prompt_index, found)
    return sorted(examples.values(), key=by_qid)


def _example(
    layout: Layout, query: Query, pair: Pair, split: Split, prompt_index: int, found: dict[str, Candidate]
) -> Example:
    target = next((found[did] for did in query.pos_cand_list if did in found), None)
    return Example(
        qid=query.qid,
        pair=pair,
        split=split,
        instruction=clean_text(layout.instructions.prompt(pair, prompt_index)),
        query=_shown(layout, clean_text(query.query_txt) or None, query.query_img_path),
        positives=tuple(query.pos_cand_list),
        target=_shown(layout, candidate_text(target.txt), target.img_path) if target else None,
    )


def _shown(layout: Layout, text: str | None, image: str | None) -> Shown:
    return Shown(text, resolve_inside(layout.images, image) if image else None)
