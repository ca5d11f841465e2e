"""Readers of the made benchmark's language that share no code with its makers."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trace_retriever.io.jsonl import read_jsonl
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import SPLITS, Pair, Split
from trace_retriever.mbeir.records import Candidate, Query, Truth
from trace_retriever.openmoji.scenes import CELLS, Scene
from trace_retriever.openmoji.sheet import Description
from trace_retriever.openmoji.world import World

Places = dict[str, str]  # name → cell's name


def read_places(text: str) -> Places:
    """`crab left , dog top` as a mapping."""
    assert is_scene(text), text
    names, cells = zip(*(part.split() for part in text.split(" , ")), strict=True)
    assert len(set(names)) == len(set(cells)) == len(names), text
    return dict(zip(names, cells, strict=True))


def is_scene(text: str) -> bool:
    """Whether a text names things and cells and nothing else."""
    return all(len(part.split()) == 2 and part.split()[1] in CELLS for part in text.split(" , "))


def follow(places: Places, request: str) -> tuple[Places, list[str]]:
    """Do what a request asks for, word by word; returns the places afterwards and the operations done."""
    words, done = request.split(), []
    places = dict(places)
    while words:
        operation = words.pop(0)
        done.append(operation)
        if operation == "replace":
            old, _, new = take(words, 3)
            places[new] = places.pop(old)
        elif operation == "move":
            name, _, cell = take(words, 3)
            assert cell not in places.values()
            places[name] = cell
        elif operation == "swap":
            one, _, two = take(words, 3)
            places[one], places[two] = places[two], places[one]
        elif operation == "add":
            name, cell = take(words, 2)
            assert name not in places
            assert cell not in places.values()
            places[name] = cell
        else:
            assert operation == "remove", request
            del places[take(words, 1)[0]]
        if words:
            assert words.pop(0) == "and", request
    return places, done


def take(words: list[str], count: int) -> list[str]:
    taken, words[:] = words[:count], words[count:]
    return taken


def beside(places: Places, anchor: str, direction: str) -> list[str]:
    """The things that lie in a direction of the anchor."""
    row, column = divmod(CELLS.index(places[anchor]), 3)
    found = []
    for name, cell in places.items():
        down, right = CELLS.index(cell) // 3 - row, CELLS.index(cell) % 3 - column
        if {"north": down < 0, "south": down > 0, "west": right < 0, "east": right > 0}[direction]:
            found.append(name)
    return found


@dataclass(frozen=True)
class Asked:
    """A query with its one positive, its truth, and the pool it searches."""

    pair: Pair
    split: Split
    query: Query
    truth: Truth
    positive: Candidate
    pool: dict[str, Candidate]


@dataclass
class Benchmark:
    """A made data set, read whole."""

    root: Path

    @cached_property
    def layout(self) -> Layout:
        return Layout(self.root)

    @cached_property
    def world(self) -> World:
        return World.load(self.root)

    @cached_property
    def descriptions(self) -> dict[str, str]:
        """did → what the candidate shows and says, by the maker's own record."""
        return {line.did: line.text for line in read_jsonl(self.root / "truth/candidates.jsonl", Description)}

    @cached_property
    def pools(self) -> dict[tuple[str, Split], dict[str, Candidate]]:
        """(pair, split) → its local pool by did."""
        return {
            (pair.name, split): {one.did: one for one in self.layout.pool(pair, split)}
            for split in SPLITS
            for pair in self.layout.pairs(split)
        }

    def asked(self, *datasets: str) -> Iterator[Asked]:
        """Every query of some data sets."""
        for split in SPLITS:
            truths = self.layout.truth(split) or {}
            for pair in self.layout.pairs(split):
                if pair.dataset not in datasets:
                    continue
                pool = self.pools[pair.name, split]
                for query in self.layout.queries(pair, split):
                    (positive,) = query.pos_cand_list
                    yield Asked(pair, split, query, truths[query.qid], pool[positive], pool)

    def scene_of(self, candidate: Candidate) -> Places:
        """What a candidate's picture shows."""
        return read_places(self.descriptions[candidate.did].split(" ; ")[0])

    def fact(self, key: tuple[str, str]) -> str:
        name, relation = key
        return f"{name} {relation} {self.world.facts[name, relation]}"

    def scene(self, places: Places) -> Scene:
        return Scene.of({name: CELLS.index(cell) for name, cell in places.items()})


def section(reasoning: str, name: str) -> list[str]:
    """What stands after each `name :` of a trace, up to the next semicolon."""
    return [found.strip() for found in re.findall(rf"{name} : ([^;]*);", reasoning)]
