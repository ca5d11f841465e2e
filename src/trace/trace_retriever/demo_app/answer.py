"""From a question to an answer: words and picture put together, encoded, searched."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from trace_retriever.demo_app.errors import NoAnswer
from trace_retriever.demo_app.examples import Example, collect
from trace_retriever.demo_app.instruct import choose_instruction
from trace_retriever.demo_app.pictures import Brought
from trace_retriever.demo_app.pools import Entry, Pools
from trace_retriever.demo_app.question import Question
from trace_retriever.engine.encoded import Encoded, Reason
from trace_retriever.errors import ImageError
from trace_retriever.io.files import read_json
from trace_retriever.io.images import resolve_inside
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.text import clean_text
from trace_retriever.model.items import Item
from trace_retriever.serving.errors import Busy, DeadlineExceeded
from trace_retriever.serving.retrieve import Retriever
from trace_retriever.serving.worker import Worker
from trace_retriever.store.embeddings import ABOUT


@dataclass(frozen=True)
class Answer:
    """What a question found.

    Attributes:
        asked: the words as the model read them, instruction included; None for a picture alone.
        encoded: trace, route and vectors.
        hits: best first.
        pool_size: among how many.
        targets: what the example's author wanted; empty for a visitor's own question.
        encode_ms, search_ms: milliseconds, waiting for others included.
    """

    asked: str | None
    encoded: Encoded
    hits: Sequence[Entry]
    pool_size: int
    targets: frozenset[str]
    encode_ms: float
    search_ms: float

    @property
    def rank(self) -> int | None:
        """The best place of a target among the results, from 1; None where none is among them."""
        places = [place for place, hit in enumerate(self.hits, 1) if hit.did in self.targets]
        return places[0] if places else None


class Demo:
    """Everything the page shows, over one data set, its vectors and one model.

    Args:
        layout: the data set.
        retriever: its candidates, with vectors of the worker's model.
        worker: what encodes; started and drained by the application.

    Raises:
        DataError: a file of the data set is missing or broken.
    """

    def __init__(self, layout: Layout, retriever: Retriever, worker: Worker) -> None:
        self.layout, self.worker = layout, worker
        self.pools = Pools(layout, retriever)
        self.examples = collect(layout, self.pools.pairs, self.pools.split)
        self._prompt: int | None = read_json(retriever.sources.embeddings / ABOUT).get("prompt_index", 0)

    @cached_property
    def first_pool(self) -> str:
        """The pool that is chosen at first: one that is asked with picture and words, and shows pictures."""
        ranked = sorted(self.pools.pairs, key=lambda pair: (pair.task not in (7, 8), not pair.is_complex))
        return ranked[0].name

    async def ask(self, question: Question, brought: Brought | None = None) -> Answer:
        """Search for what was asked.

        Args:
            question: the words, or a picture of the data set, or both.
            brought: the visitor's own picture, in place of the data set's.

        Raises:
            NoAnswer: nothing was asked, there is no such pool or picture, too many ask, or it takes too long.
            ImageError: the data set's picture is broken.
        """
        self.pools.pair(question.pool)  # an unknown pool is an error before anything is encoded
        image = brought.image if brought else self.picture(question.picture) if question.picture else None
        if image is None and not question.text:
            raise NoAnswer(
                "Nothing was asked.",
                remedy="type some words, choose a picture, or do both; or take an example",
            )
        asked = self.words(question, has_picture=image is not None)
        start = time.perf_counter()
        encoded = await self._encode(Item(asked, image), question.reason)
        middle = time.perf_counter()
        vector = encoded.vector(question.reason)
        hits = await run_in_threadpool(self.pools.search, vector, question.count, question.pool)
        end = time.perf_counter()
        return Answer(
            asked=asked,
            encoded=encoded,
            hits=hits,
            pool_size=self.pools.size(question.pool),
            targets=frozenset() if brought else self._targets(question),
            encode_ms=1000 * (middle - start),
            search_ms=1000 * (end - middle),
        )

    def words(self, question: Question, *, has_picture: bool) -> str | None:
        """What the model reads: instruction and words, both cleaned as M-BEIR's; None for neither."""
        instruction = question.instruction or self.instruction(question, has_picture=has_picture)
        return " ".join(filter(None, (clean_text(instruction), clean_text(question.text)))) or None

    def instruction(self, question: Question, *, has_picture: bool) -> str:
        """The data set's instruction for such a question; "" where the embeddings were made without."""
        if self._prompt is None:
            return ""
        pair = self.pools.pair(question.pool)
        has_text = bool(question.text)
        chosen = choose_instruction(self.pools.pairs, pair, has_text=has_text, has_picture=has_picture)
        return self.layout.instructions.prompt(chosen, self._prompt)

    def picture(self, reference: str) -> Path:
        """The file of a picture that a reference names.

        Raises:
            NoAnswer: there is no such picture.
            ImageError: its path leaves the data set.
        """
        kind, _, name = reference.partition(":")
        if kind == "example":
            example = self.examples.get(name)
            path = example.query.query_img_path if example else None
        else:
            entry = self.pools.find(name)
            path = entry.picture if entry else None
        if not path:
            raise NoAnswer(
                "There is no such picture.", status=HTTPStatus.NOT_FOUND, remedy="choose one from the page"
            )
        return resolve_inside(self.layout.root, path)

    async def _encode(self, item: Item, reason: Reason) -> Encoded:
        try:
            return await self.worker.encode(item, reason=reason)
        except ImageError as error:
            if isinstance(item.image, Path):
                raise
            raise NoAnswer(f"This picture cannot be used: {error.problem}.", remedy="crop it") from None
        except Busy:
            raise NoAnswer(
                "Too many people are asking just now.",
                status=HTTPStatus.SERVICE_UNAVAILABLE,
                remedy="try again in a few seconds",
            ) from None
        except DeadlineExceeded:
            raise NoAnswer(
                "The model did not come to an end in time.",
                status=HTTPStatus.GATEWAY_TIMEOUT,
                remedy="try again, or let it encode at once",
            ) from None

    def _targets(self, question: Question) -> frozenset[str]:
        """What the example wants, as long as the question is still the example's."""
        example = self.examples.get(question.example)
        same = example is not None and question == example_question(example, question)
        return frozenset(example.query.pos_cand_list) if example and same else frozenset()


def example_question(example: Example, like: Question | None = None) -> Question:
    """The question of an example; reason and count as in another one."""
    return Question(
        pool=example.pair.name,
        text=" ".join(example.text.split()),
        picture=f"example:{example.name}" if example.query.query_img_path else "",
        example=example.name,
        **({"reason": like.reason, "count": like.count} if like else {}),  # type: ignore[arg-type]
    )
