"""A very small benchmark of coloured squares, and tiny models with random weights that route both ways."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from trace_retriever.config.backbone import TinySize
from trace_retriever.io.jsonl import write_jsonl
from trace_retriever.mbeir.pairs import Pair, Split
from trace_retriever.mbeir.records import Candidate, Modality, Query, Truth
from trace_retriever.mbeir.writer import write_dataset
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.settings import Settings
from trace_retriever.model.tiny import build_tiny

NAMES = ("red", "green", "blue", "white", "black", "orange", "pink", "brown", "grey", "gold")
OTHER = (
    "find",
    "the",
    "square",
    "of",
    "after",
    "turn",
    "it",
    "into",
    "fact",
    "about",
    ".",
    ":",
    "step",
    "target",
)
SIZE = TinySize(
    hidden=32, layers=2, heads=2, mlp=64, vision_hidden=32, vision_layers=1, vision_heads=2, vision_mlp=32,
    max_trace_tokens=10,
)  # fmt: skip
CAPTION, HOP, EDIT = Pair("mojicap", 0), Pair("mojihop", 1), Pair("mojiedit", 7)
SPLITS: tuple[Split, ...] = ("val", "test")
UNREACHABLE = "14:999"


def build_model(kind: str = "trace", seed: int = 0) -> TraceModel:
    """Random weights, sharpened until traces have various lengths and some prompts are routed simple."""
    model = build_tiny(SIZE, [*NAMES, *OTHER], pixels=32, seed=seed)
    with torch.no_grad():
        network: Any = model.network
        for parameter in network.model.language_model.layers.parameters():
            if parameter.ndim > 1:
                parameter.mul_(5.0)
        network.get_input_embeddings().weight[model.emb_id] *= 4.0
    settings = model.settings.model_dump() | {"kind": kind}
    return TraceModel(
        model.network, model.tokenizer, model.image_processor, Settings.model_validate(settings)
    )


def write_benchmark(root: Path) -> None:
    """Three pairs, val and test; one positive of `mojihop_task1` lies in no pool."""
    for number, name in enumerate(NAMES):
        path = root / "mbeir_images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    pools: dict[tuple[Pair, Split | None], list[Candidate]] = {
        (pair, None): [_candidate(pair, number) for number in range(len(NAMES))]
        for pair in (CAPTION, HOP, EDIT)
    }
    queries = {
        (pair, split): [_query(pair, split, number) for number in range(len(NAMES))]
        for pair in (CAPTION, HOP, EDIT)
        for split in SPLITS
    }
    prompts = ("find", "find the", "find it", "find the square")
    write_dataset(root, queries=queries, pools=pools, prompts=dict.fromkeys((CAPTION, HOP, EDIT), prompts))
    for split in SPLITS:
        rows = [
            _truth(query, pair) for (pair, part), found in queries.items() if part == split for query in found
        ]
        write_jsonl(root / "truth" / f"{split}.jsonl", rows)


def _candidate(pair: Pair, number: int) -> Candidate:
    name = NAMES[number]
    picture = pair.candidate_modality is Modality.IMAGE
    return Candidate(
        did=f"{pair.dataset_id}:{number}",
        txt=None if picture else f"fact about {name}",
        img_path=f"mbeir_images/{name}.png" if picture else None,
        modality=pair.candidate_modality,
    )


def _query(pair: Pair, split: Split, number: int) -> Query:
    name, following = NAMES[number], NAMES[(number + 1) % len(NAMES)]
    texts = {CAPTION: f"square of {name}", HOP: f"after {name}", EDIT: f"turn it into {following}"}
    positives = [f"{pair.dataset_id}:{number if pair == CAPTION else (number + 1) % len(NAMES)}"]
    if pair == HOP and number < 2:
        positives = [UNREACHABLE] if number else [*positives, UNREACHABLE]
    return Query(
        qid=f"{pair.dataset_id}:{number + 100 * SPLITS.index(split)}",
        query_txt=texts[pair] + (" square" if split == "test" else ""),
        query_img_path=f"mbeir_images/{name}.png" if pair == EDIT else None,
        query_modality=pair.query_modality,
        pos_cand_list=positives,
        task_id=pair.task,
    )


def _truth(query: Query, pair: Pair) -> Truth:
    if pair == CAPTION:
        return Truth(qid=query.qid, pair=pair.name, route="simple")
    return Truth(qid=query.qid, pair=pair.name, route="complex", reasoning="step :", answer="target : gold")
