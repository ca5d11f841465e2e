"""The page: everything a template needs, and nothing it has to work out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from trace_retriever.demo_app.answer import Answer, Demo, example_question
from trace_retriever.demo_app.errors import NoAnswer
from trace_retriever.demo_app.examples import Example
from trace_retriever.demo_app.pictures import Brought
from trace_retriever.demo_app.pools import EVERYTHING, Entry
from trace_retriever.demo_app.question import COUNTS, Question
from trace_retriever.demo_app.words import Unknown, Words
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Modality

if TYPE_CHECKING:
    from trace_retriever.errors import TraceError

CONSISTS = {Modality.TEXT: "words", Modality.IMAGE: "a picture", Modality.BOTH: "a picture and words"}
HOLDS = {Modality.IMAGE: "Pictures", Modality.BOTH: "Pictures with words", Modality.TEXT: "Words"}
REASONS = {
    "auto": "when the model wants to",
    "always": "always",
    "never": "never: encode at once",
}
BROWSED = 12
ENDS = {
    "garbage": "It wrote something that is no trace, so the search went by the vector without one.",
    "time": "It took too long over the trace, so the search went by the vector without one.",
}


@dataclass(frozen=True)
class About:
    """What the page says of the model and the data set.

    Attributes:
        name: the model's name and version, or its directory's name.
        threshold: what P(`<|emb|>`) is held against for the route; None where the first token decides.
        attribution: whom the pictures are from, and under which licence; "" where the data set does not say.
    """

    name: str
    threshold: float | None = None
    attribution: str = ""


@dataclass(frozen=True)
class View:
    """One page.

    Attributes:
        question: what stands in the form.
        brought: the visitor's picture in the form.
        answer: what was found; None before a question.
        error: what went wrong; None if nothing did.
        browse: which page of pictures to start from.
    """

    question: Question
    brought: Brought | None = None
    answer: Answer | None = None
    error: "TraceError | None" = None
    browse: int = 0

    @property
    def has_picture(self) -> bool:
        """Whether a picture stands in the form."""
        return self.brought is not None or bool(self.question.picture)


class Page:
    """Renders views of one demo.

    Args:
        demo, words, about: what is shown.
    """

    def __init__(self, demo: Demo, words: Words, about: About) -> None:
        self.demo, self.words, self.about = demo, words, about

    def render(self, view: View) -> str:
        """The page as HTML."""
        question = view.question
        return _template().render(
            view=view,
            question=question,
            answer=view.answer,
            about=self.about,
            pools=self._pools(),
            reasons=REASONS,
            counts=COUNTS,
            own_instruction=self._instruction(view),
            unknown=self._unknown(question),
            vocabulary=self.words.groups,
            trace=_lines(view.answer.encoded.trace) if view.answer else [],
            ends=ENDS,
            examples=[] if view.answer else self._examples(),
            browsed=[] if view.answer else self._browsed(view),
            picture_address=_picture_address,
            example_question=example_question,
        )

    def _pools(self) -> Mapping[str, Sequence[tuple[str, str]]]:
        """Heading → pools, each with a label."""
        groups: dict[str, list[tuple[str, str]]] = {heading: [] for heading in HOLDS.values()}
        for pair in self.demo.pools.pairs:
            label = f"{pair.name}: from {CONSISTS[pair.query_modality]}"
            groups[HOLDS[pair.candidate_modality]].append((pair.name, label))
        groups["All together"] = [(EVERYTHING, "everything that was embedded")]
        return {heading: pools for heading, pools in groups.items() if pools}

    def _instruction(self, view: View) -> str:
        try:
            return self.demo.instruction(view.question, has_picture=view.has_picture)
        except NoAnswer:  # the form still holds what was refused
            return ""

    def _unknown(self, question: Question) -> Unknown | None:
        return self.words.unknown(question.text) if question.text else None

    def _examples(self) -> Sequence[tuple[Pair, str, Sequence[Example]]]:
        """Pairs, each with its way of asking in words and its examples."""
        by_pair: dict[Pair, list[Example]] = {}
        for example in self.demo.examples.values():
            by_pair.setdefault(example.pair, []).append(example)
        return [
            (pair, f"{CONSISTS[pair.query_modality]} → {CONSISTS[pair.candidate_modality]}", examples)
            for pair, examples in by_pair.items()
        ]

    def _browsed(self, view: View) -> Sequence[Entry]:
        try:
            return self.demo.pools.pictures(view.question.pool, view.browse, BROWSED)
        except NoAnswer:
            return []


def _picture_address(reference: str) -> str:
    """Where a small copy of a picture is, by its reference."""
    kind, _, name = reference.partition(":")
    return f"/pictures/{kind}/{name}"


def _lines(trace: str) -> list[list[str]]:
    """A trace's words, a line for each of its steps."""
    lines: list[list[str]] = [[]]
    for word in trace.split():
        lines[-1].append(word)
        if word == ";":
            lines.append([])
    return [line for line in lines if line]


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("trace_retriever.demo_app"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")
