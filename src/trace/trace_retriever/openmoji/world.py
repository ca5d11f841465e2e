"""The little world of the made benchmark: its pictures, its facts, and what training never sees."""

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np

from trace_retriever.errors import DataError
from trace_retriever.io.files import read_json, write_json
from trace_retriever.openmoji.edits import GONE, OPERATIONS
from trace_retriever.openmoji.scenes import CELLS, DIRECTIONS, SplitRule

RELATIONS = ("friend", "boss", "rival", "guest", "twin")
TRACE_WORDS = ("reference", "change", "target", "step", "anchor", "object", GONE)
REQUEST_WORDS = (*OPERATIONS, "with", "to", "and", "of", "thing", "at", "the", "a", "note", "where")
PUNCTUATION = (",", ";", ":", ".", "?")
FILE = "openmoji.json"


@dataclass(frozen=True)
class World:
    """Everything about the benchmark that is not a record.

    Attributes:
        seed: what it was drawn with.
        glyphs: name → OpenMoji code point file name, such as `1F980`.
        facts: (name, relation) → name.
        placements: (name, cell) pairs that appear in test only.
        operations: pairs of operations, such as `move+swap`, that appear in test only.
        chains: pairs of relations, such as `friend+boss`, whose chaining appears in test only.
        prompt_words: the words of the instructions.
        picture_pixels: side of the square pictures.
    """

    seed: int
    glyphs: dict[str, str]
    facts: dict[tuple[str, str], str]
    placements: frozenset[tuple[str, int]]
    operations: frozenset[str]
    chains: frozenset[str]
    prompt_words: tuple[str, ...]
    picture_pixels: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The pictures' names."""
        return tuple(self.glyphs)

    @cached_property
    def rule(self) -> SplitRule:
        """Which scene belongs to which split."""
        return SplitRule(self.placements)

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """Every word that a record, an instruction or a true trace can hold, each once."""
        words = (
            *self.names,
            *CELLS,
            *DIRECTIONS,
            *RELATIONS,
            *TRACE_WORDS,
            *REQUEST_WORDS,
            *PUNCTUATION,
            *sorted(self.prompt_words),
        )
        return tuple(dict.fromkeys(words))

    def fact(self, name: str, relation: str) -> str:
        """A fact in words, such as `crab friend dog`."""
        return f"{name} {relation} {self.facts[name, relation]}"

    def save(self, root: Path) -> None:
        """Write `openmoji.json`."""
        write_json(
            root / FILE,
            {
                "seed": self.seed,
                "glyphs": self.glyphs,
                "names": list(self.glyphs),
                "facts": [[name, relation, value] for (name, relation), value in self.facts.items()],
                "placements": [[name, cell] for name, cell in sorted(self.placements)],
                "operations": sorted(self.operations),
                "chains": sorted(self.chains),
                "prompt_words": list(self.prompt_words),
                "picture_pixels": self.picture_pixels,
            },
        )

    @classmethod
    def load(cls, root: Path) -> "World":
        """Read `openmoji.json` of a made data set.

        Raises:
            DataError: the data set was not made here, or its `openmoji.json` is damaged.
        """
        if not (root / FILE).is_file():
            raise DataError(
                "not a made data set: no openmoji.json",
                where=root,
                remedy="use a checkpoint backbone, or prepare.source openmoji",
            )
        try:
            return cls._read(read_json(root / FILE))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"damaged: {type(error).__name__}: {error}",
                where=root / FILE,
                remedy="run `trace prepare` again",
            ) from None

    @classmethod
    def _read(cls, raw: Any) -> "World":
        return cls(
            seed=raw["seed"],
            glyphs={name: raw["glyphs"][name] for name in raw["names"]},
            facts={(name, relation): value for name, relation, value in raw["facts"]},
            placements=frozenset((name, cell) for name, cell in raw["placements"]),
            operations=frozenset(raw["operations"]),
            chains=frozenset(raw["chains"]),
            prompt_words=tuple(raw["prompt_words"]),
            picture_pixels=raw["picture_pixels"],
        )


def build_world(
    seed: int, glyphs: dict[str, str], prompt_words: tuple[str, ...], picture_pixels: int, held_out: float
) -> World:
    """Draw the facts and what is kept for test.

    Args:
        seed: of every draw.
        glyphs: name → code, in order.
        prompt_words: the words of the instructions.
        picture_pixels: side of the square pictures.
        held_out: share of placements, operation pairs and relation chains that appear in test only.
    """
    rng = np.random.default_rng([seed, 1])
    names = tuple(glyphs)
    facts = {}
    for relation in RELATIONS:
        for number, name in enumerate(names):
            step = int(rng.integers(1, len(names)))  # never the thing itself
            facts[name, relation] = names[(number + step) % len(names)]
    placements = [(name, cell) for name in names for cell in range(len(CELLS))]
    operations = ["+".join(sorted(pair)) for pair in combinations_with_replacement(OPERATIONS, 2)]
    chains = [f"{one}+{two}" for one in RELATIONS for two in RELATIONS]
    return World(
        seed=seed,
        glyphs=glyphs,
        facts=facts,
        placements=frozenset(_share(placements, held_out / 2, rng)),
        operations=frozenset(_share(operations, held_out, rng)),
        chains=frozenset(_share(chains, held_out, rng)),
        prompt_words=prompt_words,
        picture_pixels=picture_pixels,
    )


def _share(items: list[Any], share: float, rng: np.random.Generator) -> list[Any]:
    count = max(1, round(share * len(items)))
    return [items[int(number)] for number in rng.choice(len(items), count, replace=False)]
