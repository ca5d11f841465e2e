"""The words that a model knows, for models that know few of them: what to say of others."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from trace_retriever.openmoji.scenes import CELLS, DIRECTIONS
from trace_retriever.openmoji.world import FILE, PUNCTUATION, RELATIONS, World

if TYPE_CHECKING:
    from trace_retriever.model.bundle import TraceModel

FEW = 2000  # a vocabulary that fits on a page
SAY = {
    "without": "remove",
    "minus": "remove",
    "no": "remove",
    "delete": "remove",
    "drop": "remove",
    "exchange": "swap",
    "change": "replace",
    "into": "with",
    "put": "add",
    "plus": "add",
    "middle": "center",
    "centre": "center",
    "above": "north",
    "below": "south",
}
"""What people say → the benchmark's word for it."""
IDLE = frozenset({"the", "a", "it", "same", "this", "picture", "but", "of", "one"})


@dataclass(frozen=True)
class Unknown:
    """Words of a request that the model does not know.

    Attributes:
        words: as they were typed, each once.
        instead: the request in words that it knows, or None where none suggests itself.
    """

    words: tuple[str, ...]
    instead: str | None


class Words:
    """A model's vocabulary as far as a visitor has to know of it.

    Args:
        model: whose tokenizer.
        dataset: root of the data set, which may say what its words are.
    """

    def __init__(self, model: "TraceModel", dataset: Path) -> None:
        self._tokenizer = model.tokenizer
        self._dataset = dataset

    @cached_property
    def known(self) -> frozenset[str]:
        """All words that are tokens of their own; empty for a large vocabulary, which spells any word."""
        names: dict[str, int] = self._tokenizer.get_vocab()
        if self._tokenizer.unk_token_id is None or len(names) > FEW:
            return frozenset()
        return frozenset(names) - set(self._tokenizer.all_special_tokens) - set(PUNCTUATION)

    @cached_property
    def groups(self) -> Mapping[str, tuple[str, ...]]:
        """The known words under headings; nothing for a large vocabulary."""
        if not self.known:
            return {}
        if not (self._dataset / FILE).is_file():
            return {"words": tuple(sorted(self.known))}
        things = sorted(World.load(self._dataset).names)
        groups = {"things": things, "places": CELLS, "directions": DIRECTIONS, "relations": RELATIONS}
        named = {word for group in groups.values() for word in group}
        groups["other words"] = sorted(self.known - named)
        kept = {name: tuple(w for w in group if w in self.known) for name, group in groups.items()}
        return {name: group for name, group in kept.items() if group}

    def unknown(self, text: str) -> Unknown | None:
        """The words of a text that the model cannot read; None if it knows them all."""
        typed = self._split(text)
        strange = tuple(dict.fromkeys(word for word, known in typed if not known))
        if not strange:
            return None
        return Unknown(strange, self._instead(typed))

    def _split(self, text: str) -> list[tuple[str, bool]]:
        """The words of a text, each with whether the model knows it."""
        if not self.known:
            return []
        read = self._tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, split_special_tokens=True
        )
        unknown = self._tokenizer.unk_token_id
        return [
            (text[start:end], token != unknown)
            for token, (start, end) in zip(read["input_ids"], read["offset_mapping"], strict=True)
        ]

    def _instead(self, typed: list[tuple[str, bool]]) -> str | None:
        said = [self._nearest(word.lower(), known) for word, known in typed]
        if None in said:
            return None
        kept = [word for word in said if word]
        return " ".join(kept) if len(kept) > 1 or len(typed) == len(kept) > 0 else None

    def _nearest(self, word: str, known: bool) -> str | None:
        """A word that the model knows in place of one; "" where none is needed, None where none is near."""
        if word in IDLE:
            return ""
        if known:
            return word
        if SAY.get(word) in self.known:
            return SAY[word]
        near = get_close_matches(word, sorted(self.known), n=1, cutoff=0.75)
        return near[0] if near else None
