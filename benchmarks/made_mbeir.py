"""A made M-BEIR checkout of any size: M-BEIR's files, proportions and id ranges, few real pictures.

Records are lines of text, written as they are drawn, so that a checkout of full size costs time and disk but
no memory. Its 4 million picture paths are distinct and lead, through links of folders, to 200 JPEG files.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from trace_retriever.io.progress import progress
from trace_retriever.mbeir.instructions import write_instructions
from trace_retriever.mbeir.layout import Files
from trace_retriever.mbeir.pairs import OFFICIAL_PAIRS, SPLITS, Pair, Split
from trace_retriever.mbeir.records import Modality

FOLDER = 1000  # pictures of a folder
PICTURES = 200  # distinct files behind them
SHARE: dict[Split, tuple[float, float]] = {"train": (0, 0.6), "val": (0.6, 0.8), "test": (0.8, 1)}
SIBLING = {Pair("oven", 6): Pair("infoseek", 6), Pair("infoseek", 6): Pair("oven", 6)}
SIBLING |= {Pair("oven", 8): Pair("infoseek", 8), Pair("infoseek", 8): Pair("oven", 8)}


@dataclass(frozen=True)
class Sizes:
    """How much of a pair there is, and where its ids begin.

    Attributes:
        queries: split → queries.
        pool: candidates of the pair's pool (of each split's pool for MSCOCO).
        first_query, first_candidate: the first numbers of its ids.
    """

    queries: dict[Split, int]
    pool: int
    first_query: int
    first_candidate: int

    def positive(self, split: Split, number: int, *, own_pools: bool) -> int:
        """Number of the candidate that answers a split's query; no two splits share any."""
        if own_pools:
            return self.first_candidate + SPLITS.index(split) * self.pool + number % self.pool
        low, high = (int(share * self.pool) for share in SHARE[split])
        return self.first_candidate + low + number % (high - low)


def sizes(scale: float) -> dict[Pair, Sizes]:
    """Sizes of the 16 official pairs, each times `scale` and at least 10."""
    found: dict[Pair, Sizes] = {}
    queries: dict[str, int] = {}
    candidates: dict[str, int] = {}
    for pair, size in OFFICIAL_PAIRS.items():
        counts = {split: max(10, round(getattr(size, split) * scale)) for split in SPLITS}
        pool = max(10, round(size.pool * scale))
        found[pair] = Sizes(counts, pool, queries.get(pair.dataset, 0), candidates.get(pair.dataset, 0))
        queries[pair.dataset] = queries.get(pair.dataset, 0) + sum(counts.values())
        span = pool * len(SPLITS) if pair.has_split_pools else pool
        candidates[pair.dataset] = candidates.get(pair.dataset, 0) + span
    return found


class Maker:
    """Writes the files; see `make_checkout`."""

    def __init__(self, root: Path, scale: float, seed: int) -> None:
        self.files = Files(root)
        self.sizes = sizes(scale)
        self.folders: set[str] = set()
        rng = np.random.default_rng(seed)
        words = [
            f"{a}{b}" for a in ("ba", "ke", "lo", "mi", "tu", "ra", "so") for b in ("n", "rd", "st", "lm")
        ]
        lengths = rng.lognormal(3.0, 0.6, 997).clip(3, 120).astype(int)
        self.sentences = [" ".join(rng.choice(words, length)) for length in lengths]

    def write(self) -> dict[str, int]:
        """Write everything; returns how many records of each kind there are."""
        queries = sum(self._queries(pair) for pair in progress(self.sizes, "made queries", unit="pair"))
        with ExitStack() as stack:
            unions = {split: stack.enter_context(_open(self.files.global_pool(split))) for split in SPLITS}
            candidates = sum(
                self._pools(pair, unions) for pair in progress(self.sizes, "made pools", unit="pair")
            )
        write_instructions(
            self.files.instructions,
            {pair: [f"Find what answers this, way {n}" for n in range(4)] for pair in self.sizes},
        )
        self._pictures()
        train = sum(size.queries["train"] for size in self.sizes.values())
        return {"queries": queries, "train_queries": train, "candidates": candidates}

    def _queries(self, pair: Pair) -> int:
        size, number = self.sizes[pair], self.sizes[pair].first_query
        for split in SPLITS:
            mixed = split == "train"
            records = self.files.dataset_queries(pair.dataset) if mixed else self.files.queries(pair, split)
            judged = self.files.dataset_qrels(pair.dataset) if mixed else self.files.qrels(pair, split)
            with _open(records, "a") as lines, _open(judged, "a") as rows:
                for place in range(size.queries[split]):
                    positives = list(self._positives(pair, split, place))
                    lines.write(self._query(pair, number, positives))
                    rows.writelines(
                        f"{pair.dataset_id}:{number} 0 {did} 1 {pair.task}\n" for did in positives
                    )
                    number += 1
        return number - size.first_query

    def _positives(self, pair: Pair, split: Split, place: int) -> Iterator[str]:
        for one in filter(None, (pair, SIBLING.get(pair))):
            number = self.sizes[one].positive(split, place, own_pools=one.has_split_pools)
            yield f"{one.dataset_id}:{number}"

    def _query(self, pair: Pair, number: int, positives: list[str]) -> str:
        text, image = self._content(pair, pair.query_modality, "q", number)
        return (
            f'{{"qid": "{pair.dataset_id}:{number}", "query_txt": {text}, "query_img_path": {image}, '
            f'"query_modality": "{pair.query_modality.value}", "query_src_content": null, '
            f'"pos_cand_list": {json.dumps(positives)}, "neg_cand_list": [], "task_id": {pair.task}}}\n'
        )

    def _pools(self, pair: Pair, unions: dict[Split, IO[str]]) -> int:
        """The pair's pools and its part of the global ones; train's holds what answers its queries."""
        size = self.sizes[pair]
        answers = {
            size.positive("train", place, own_pools=pair.has_split_pools)
            for one in filter(None, (pair, SIBLING.get(pair)))
            for place in range(self.sizes[one].queries["train"])
        }
        parts: tuple[Split | None, ...] = SPLITS if pair.has_split_pools else (None,)
        for turn, part in enumerate(parts):
            first = size.first_candidate + turn * size.pool
            with ExitStack() as stack:
                local = None if part == "train" else stack.enter_context(_open(self.files.pool(pair, part)))
                for number in range(first, first + size.pool):
                    line = self._candidate(pair, number)
                    for out in (local, *self._unions(unions, part, train=number in answers)):
                        if out is not None:
                            out.write(line)
        return size.pool * len(parts)

    def _unions(self, unions: dict[Split, IO[str]], part: Split | None, *, train: bool) -> Iterator[IO[str]]:
        if train:
            yield unions["train"]
        yield from (unions[split] for split in SPLITS[1:] if part in (None, split))

    def _candidate(self, pair: Pair, number: int) -> str:
        text, image = self._content(pair, pair.candidate_modality, "c", number)
        return (
            f'{{"txt": {text}, "img_path": {image}, "modality": "{pair.candidate_modality.value}", '
            f'"did": "{pair.dataset_id}:{number}", "src_content": null}}\n'
        )

    def _content(self, pair: Pair, modality: Modality, kind: str, number: int) -> tuple[str, str]:
        text = image = "null"
        if modality is not Modality.IMAGE:
            text = f'"{kind}{pair.dataset_id}x{number} {self.sentences[number % 997]}"'
        if modality is not Modality.TEXT:
            folder = f"{pair.dataset}_images/{kind}{number // FOLDER:05d}"
            self.folders.add(folder)
            image = f'"mbeir_images/{folder}/{number % FOLDER:03d}.jpg"'
        return text, image

    def _pictures(self) -> None:
        """One real folder of JPEG files with several names each; every other folder is a link to it."""
        real = self.files.images / "real"
        real.mkdir(parents=True)
        rng = np.random.default_rng(0)
        for number in range(FOLDER):
            path = real / f"{number:03d}.jpg"
            if number < PICTURES:
                pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).resize((256, 256)).save(path, "JPEG")
            else:
                path.hardlink_to(real / f"{number % PICTURES:03d}.jpg")
        for folder in sorted(self.folders):
            link = self.files.images / folder
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(Path("../real"), target_is_directory=True)


def make_checkout(root: Path, scale: float, seed: int = 0) -> dict[str, int]:
    """Write a checkout below `root`, M-BEIR's sizes times `scale`.

    Not made: the unions of queries, which no data step reads, and hard negatives.

    Returns:
        How many queries, train queries and candidates (in local pools) there are.
    """
    return Maker(root, scale, seed).write()


def _open(path: Path, mode: str = "w") -> IO[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open(mode, encoding="utf-8")
