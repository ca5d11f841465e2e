"""A very small M-BEIR data set about coloured squares, and a tiny backbone that knows its words."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from trace_retriever.config.backbone import TinySize
from trace_retriever.mbeir.instructions import write_instructions
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.tiny import build_tiny

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 160, 40),
    "blue": (40, 50, 200),
    "white": (240, 240, 240),
    "black": (15, 15, 15),
    "yellow": (230, 220, 40),
    "orange": (240, 140, 20),
    "purple": (140, 40, 160),
}
NAMES = tuple(COLOURS)
PAIRS = {
    "mojicap_task0": "simple",
    "mojifact_task1": "simple",
    "mojihop_task1": "complex",
    "mojiedit_task7": "complex",
}
SMALL = TinySize(
    hidden=32,
    layers=1,
    heads=2,
    mlp=32,
    vision_hidden=16,
    vision_layers=1,
    vision_heads=2,
    vision_mlp=16,
    max_trace_tokens=12,
)
WORDS = (
    *NAMES,
    *(
        "a",
        "square",
        "find",
        "the",
        "picture",
        "that",
        "goes",
        "with",
        "this",
        "text",
        "says",
        "it",
        "as",
        "asked",
    ),
    *(
        "change",
        "to",
        "after",
        "next",
        "is",
        "step",
        "target",
        "reference",
        ":",
        ";",
        ",",
        ".",
        "?",
        "show",
        "look",
        "for",
    ),
)


def make_backbone(directory: Path, size: TinySize = SMALL) -> TraceModel:
    """Save a tiny model with random weights; returns it."""
    model = build_tiny(size, WORDS, pixels=32, seed=3)
    model.save(directory)
    return model


def make_world(root: Path, *, copies: int = 2) -> None:
    """Write `dataset`, `routes`, `kept` and `validation` below `root`.

    Args:
        root: where to.
        copies: how many queries there are for each colour in each pair.
    """
    data = root / "dataset"
    _pictures(data)
    prompts = ["find the picture", "show the picture", "look for the picture", "find this"]
    write_instructions(
        data / "instructions/query_instructions.tsv", {Pair.parse(name): prompts for name in PAIRS}
    )
    candidates: dict[str, dict[str, Any]] = {}
    for name in PAIRS:
        candidates |= {row["did"]: row for row in _pool(name)}
        for split in ("train", "val"):
            queries = [
                _query(name, split, number)
                for number in range(len(NAMES) * (copies if split == "train" else 1))
            ]
            _write(data / "query" / split / f"mbeir_{name}_{split}.jsonl", queries)
        _write(data / "cand_pool/local" / f"mbeir_{name}_val_cand_pool.jsonl", _pool(name))
    _write(data / "cand_pool/global/mbeir_union_train_cand_pool.jsonl", list(candidates.values()))
    _evidence(root, copies)


def _pictures(data: Path) -> None:
    (data / "mbeir_images").mkdir(parents=True)
    for name, colour in COLOURS.items():
        Image.new("RGB", (32, 32), colour).save(data / "mbeir_images" / f"{name}.png")


def _pool(name: str) -> list[dict[str, Any]]:
    pair = Pair.parse(name)
    return [_candidate(pair, number) for number in range(len(NAMES))]


def _candidate(pair: Pair, number: int) -> dict[str, Any]:
    seen = pair.candidate_modality.value == "image"
    return {
        "did": f"{pair.dataset_id}:{number}",
        "txt": None if seen else f"the {NAMES[number]} square",
        "img_path": f"mbeir_images/{NAMES[number]}.png" if seen else None,
        "modality": pair.candidate_modality.value,
        "src_content": None,
    }


def _query(name: str, split: str, number: int) -> dict[str, Any]:
    """Simple pairs ask for a colour; complex ones for the next colour after it."""
    pair = Pair.parse(name)
    colour = number % len(NAMES)
    target = (colour + 1) % len(NAMES) if PAIRS[name] == "complex" else colour
    seen = "image" in pair.query_modality.value
    text = f"the next after {NAMES[colour]}" if PAIRS[name] == "complex" else f"a {NAMES[colour]} square"
    return {
        "qid": f"{pair.dataset_id}:{number + 1000 * (split == 'val')}",
        "query_txt": "change to the next" if seen else text,
        "query_img_path": f"mbeir_images/{NAMES[colour]}.png" if seen else None,
        "query_modality": pair.query_modality.value,
        "query_src_content": None,
        "pos_cand_list": [f"{pair.dataset_id}:{target}"],
        "neg_cand_list": [f"{pair.dataset_id}:{(target + 3) % len(NAMES)}"],
        "task_id": pair.task,
    }


def _evidence(root: Path, copies: int) -> None:
    routes, traces = [], []
    for name, route in PAIRS.items():
        for split, count in (("train", len(NAMES) * copies), ("val", len(NAMES))):
            for query in (_query(name, split, number) for number in range(count)):
                routes.append({"qid": query["qid"], "pair": name, "split": split, "route": route})
                if route == "complex":
                    traces.append(_trace(name, query))
    (root / "routes").mkdir()
    pd.DataFrame(routes).to_parquet(root / "routes/routes.parquet")
    _write(root / "kept/kept.jsonl", traces)
    (root / "validation").mkdir()
    (root / "validation/validation.json").write_text('{"success": true, "suites": []}')


def _trace(name: str, query: Mapping[str, Any]) -> dict[str, Any]:
    target = NAMES[int(query["pos_cand_list"][0].split(":")[1])]
    before = NAMES[NAMES.index(target) - 1]
    return {
        "qid": query["qid"],
        "pair": name,
        "reasoning": f"step : next after {before} is {target} ;",
        "answer": f"target : {target}",
        "teacher": "table",
        "sees_target": False,
        "confidence": 1.0,
    }


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
