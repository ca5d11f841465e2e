"""A very small made data set: simple and complex pairs over text and pictures, with its truth."""

from pathlib import Path

import numpy as np
from PIL import Image

from trace_retriever.io.jsonl import write_jsonl
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.mbeir.records import Candidate, Modality, Query, Truth
from trace_retriever.mbeir.writer import Prompts, write_dataset
from trace_retriever.openmoji.edits import OPERATIONS, Composed, draw_composed
from trace_retriever.openmoji.scenes import Scene, draw_scene
from trace_retriever.openmoji.world import RELATIONS, World, build_world

NAMES = ("crab", "dog", "melon", "bus", "rocket", "owl", "cactus", "drum", "key", "ghost")
CAPTION, FACT, HOP, EDIT = Pair("mojicap", 0), Pair("mojifact", 1), Pair("mojihop", 1), Pair("mojiedit", 7)
PROMPTS: dict[Pair, Prompts] = {
    CAPTION: ("find the picture", "show it", "which picture", "picture of"),
    FACT: ("find the note", "which note", "the note about", "note"),
    HOP: ("find the note of the one", "which note of the one", "the note about it", "note of it"),
    EDIT: ("find the changed picture", "change it", "which picture results", "picture after"),
}


class Maker:
    """Draws records; ids count up per data set."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.rng = np.random.default_rng(seed)
        self.world: World = build_world(seed, {name: name for name in NAMES}, (), 48, 0.2)
        self.next_qid: dict[int, int] = {}
        self.next_did: dict[int, int] = {}
        self.texts: dict[str, str] = {}
        self.truths: dict[Split, list[Truth]] = {"train": [], "val": []}
        self.queries: dict[tuple[Pair, Split], list[Query]] = {}
        self.pools: dict[tuple[Pair, Split | None], list[Candidate]] = {}
        (root / "mbeir_images").mkdir(parents=True)

    def picture(self, name: str) -> str:
        path = f"mbeir_images/{name.replace(':', '_')}.png"
        color = tuple(int(value) for value in self.rng.integers(0, 255, 3))
        Image.new("RGB", (48, 48), color).save(self.root / path)
        return path

    def candidate(self, pair: Pair, *, text: str) -> Candidate:
        number = self.next_did.get(pair.dataset_id, 0)
        self.next_did[pair.dataset_id] = number + 1
        did = f"{pair.dataset_id}:{number}"
        self.texts[did] = text
        is_text = pair.candidate_modality is Modality.TEXT
        found = Candidate(
            did=did,
            txt=text if is_text else None,
            img_path=None if is_text else self.picture(f"c{did}"),
            modality=pair.candidate_modality,
        )
        self.pools.setdefault((pair, None), []).append(found)
        return found

    def query(
        self, pair: Pair, split: Split, text: str, target: Candidate, *, reasoning: str = "", answer: str = ""
    ) -> None:
        number = self.next_qid.get(pair.dataset_id, 1)
        self.next_qid[pair.dataset_id] = number + 1
        qid = f"{pair.dataset_id}:{number}"
        image = self.picture(f"q{qid}") if pair.query_modality is Modality.BOTH else None
        found = Query(
            qid=qid,
            query_txt=text,
            query_img_path=image,
            query_modality=pair.query_modality,
            pos_cand_list=[target.did],
            task_id=pair.task,
        )
        self.queries.setdefault((pair, split), []).append(found)
        route = "complex" if answer else "simple"
        self.truths[split].append(
            Truth(qid=qid, pair=pair.name, route=route, reasoning=reasoning, answer=answer)
        )

    def write(self) -> None:
        write_dataset(self.root, queries=self.queries, pools=self.pools, prompts=PROMPTS)
        for split, truths in self.truths.items():
            write_jsonl(self.root / "truth" / f"{split}.jsonl", truths)
        rows = [{"did": did, "text": text} for did, text in self.texts.items()]
        write_jsonl(self.root / "truth" / "candidates.jsonl", rows)
        self.world.save(self.root)


def make_dataset(root: Path, *, train: int = 12, val: int = 4, seed: int = 0) -> Path:
    """Write a data set with so many queries a pair and split below `root`."""
    maker = Maker(root, seed)
    counts: dict[Split, int] = {"train": train, "val": val}
    for split, count in counts.items():
        for _ in range(count):
            _caption(maker, split)
            _hop(maker, split)
            _edit(maker, split)
    facts = {key: maker.candidate(FACT, text=maker.world.fact(*key)) for key in maker.world.facts}
    for split, count in counts.items():
        for _ in range(count):
            name, relation = _pick(maker, NAMES), _pick(maker, RELATIONS)
            maker.query(FACT, split, f"{relation} of {name}", facts[name, relation])
    maker.write()
    return root


def _pick(maker: Maker, words: tuple[str, ...]) -> str:
    return words[int(maker.rng.integers(len(words)))]


def _caption(maker: Maker, split: Split) -> None:
    scene = draw_scene(NAMES, maker.rng, 2)
    maker.query(CAPTION, split, scene.caption, maker.candidate(CAPTION, text=scene.caption))


def _hop(maker: Maker, split: Split) -> None:
    name, one, two = _pick(maker, NAMES), _pick(maker, RELATIONS), _pick(maker, RELATIONS)
    middle = maker.world.facts[name, one]
    last = maker.world.facts[middle, two]
    place = ("top", "left", "right", "bottom")[int(maker.rng.integers(4))]
    target = maker.candidate(HOP, text=f"note {last} at {place} {maker.next_did.get(HOP.dataset_id, 0)}")
    reasoning = f"step : {maker.world.fact(name, one)} ; step : {maker.world.fact(middle, two)} ;"
    maker.query(
        HOP,
        split,
        f"note at {place} of the {two} of the {one} of {name}",
        target,
        reasoning=reasoning,
        answer=f"target : note {last} at {place}",
    )


def _edit(maker: Maker, split: Split) -> None:
    composed: Composed | None = None
    while composed is None:
        reference = draw_scene(NAMES, maker.rng, 2)
        operation = OPERATIONS[int(maker.rng.integers(len(OPERATIONS)))]
        composed = draw_composed(reference, [operation], NAMES, maker.rng)
    target = maker.candidate(EDIT, text=composed.target.caption)
    maker.candidate(EDIT, text=reference.caption)
    other: Scene = draw_scene(NAMES, maker.rng, 2)
    maker.candidate(EDIT, text=other.caption)
    maker.query(EDIT, split, composed.request, target, reasoning=composed.reasoning, answer=composed.answer)
