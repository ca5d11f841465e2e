"""A data set of four pairs, its routes and kept traces, that meets every expectation, and breakers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from trace_retriever.io.jsonl import write_jsonl
from trace_retriever.mbeir.pairs import SPLITS, Pair, Split
from trace_retriever.mbeir.records import Candidate, Modality, Query, Trace
from trace_retriever.mbeir.writer import write_dataset

CAPTION = Pair("mojicap", 0)  # text → image
NAMING = Pair("mojicap", 3)  # image → text
HOP = Pair("mojihop", 1)  # text → text, complex
EDIT = Pair("mojiedit", 7)  # (image, text) → image, complex
PAIRS = (CAPTION, NAMING, HOP, EDIT)
SIZES: dict[Split, int] = {"train": 6, "val": 2, "test": 3}
PROMPTS = ("Find it", "Get it", "Search it", "Show it")

Record = dict[str, Any]


def write_made(root: Path) -> Path:
    """Write `mbeir/`, `routes/` and `kept/` below `root`; returns `root`."""
    queries: dict[tuple[Pair, Split], list[Query]] = {}
    pools: dict[tuple[Pair, Split | None], list[Candidate]] = {}
    for pair in PAIRS:
        number = 100 * pair.task
        for split in SPLITS:
            pools[pair, split] = []
            queries[pair, split] = []
            for _ in range(SIZES[split]):
                query, candidate = _records(root / "mbeir", pair, number)
                queries[pair, split].append(query)
                pools[pair, split].append(candidate)
                number += 1
    write_dataset(root / "mbeir", queries=queries, pools=pools, prompts=dict.fromkeys(PAIRS, PROMPTS))
    _write_routes(root / "routes", queries)
    _write_kept(root / "kept", queries)
    return root


def _records(root: Path, pair: Pair, number: int) -> tuple[Query, Candidate]:
    qid, did = f"{pair.dataset_id}:{number}", f"{pair.dataset_id}:{number + 5}"
    asks, answers = pair.query_modality, pair.candidate_modality
    scene = json.dumps({"scene": f"{pair.name} {number}"})
    query = Query(
        qid=qid,
        query_txt=f"what is number {number} of {pair.name}" if asks != Modality.IMAGE else None,
        query_img_path=_picture(root, f"q{pair.task}", number) if asks != Modality.TEXT else None,
        query_modality=asks,
        query_src_content=scene,
        pos_cand_list=[did],
        task_id=pair.task,
    )
    candidate = Candidate(
        did=did,
        txt=f"it is number {number}" if answers != Modality.IMAGE else None,
        img_path=_picture(root, f"c{pair.task}", number) if answers != Modality.TEXT else None,
        modality=answers,
        src_content=scene,
    )
    return query, candidate


def _picture(root: Path, kind: str, number: int) -> str:
    name = f"mbeir_images/{kind}_{number}.png"
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    colour = (number % 251, int(kind[1:]) * 30, 0 if kind[0] == "q" else 200)
    Image.new("RGB", (12, 12), colour).save(root / name)
    return name


def _write_routes(folder: Path, queries: dict[tuple[Pair, Split], list[Query]]) -> None:
    rows = [
        {
            "qid": query.qid,
            "pair": pair.name,
            "split": split,
            "route": "complex" if pair.is_complex else "simple",
            "strategy": "dataset",
            "confidence": 1.0,
        }
        for (pair, split), found in queries.items()
        if split != "test"
        for query in found
    ]
    folder.mkdir(parents=True)
    pd.DataFrame(rows).to_parquet(folder / "routes.parquet")


def _write_kept(folder: Path, queries: dict[tuple[Pair, Split], list[Query]]) -> None:
    traces = [
        Trace(
            qid=query.qid,
            pair=pair.name,
            reasoning=f"step : look at {query.qid} ; step : think",
            answer=f"target : {query.pos_cand_list[0]}",
            teacher="scene",
            sees_target=True,
            confidence=0.9,
        )
        for (pair, split), found in queries.items()
        if split != "test" and pair.is_complex
        for query in found
    ]
    write_jsonl(folder / "kept.jsonl", traces)


def edit_lines(path: Path, change: Callable[[list[Record]], object]) -> None:
    """Apply a change in place to the records of a JSON-lines file, whatever it makes of them."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    change(records)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def query_path(root: Path, pair: Pair, split: Split) -> Path:
    """A pair's query file."""
    return root / "mbeir" / "query" / split / f"mbeir_{pair.name}_{split}.jsonl"


def pool_path(root: Path, pair: Pair, split: Split) -> Path:
    """A pair's local pool."""
    return root / "mbeir" / "cand_pool" / "local" / f"mbeir_{pair.name}_{split}_cand_pool.jsonl"


def global_pool_path(root: Path, split: Split) -> Path:
    """A split's global pool."""
    return root / "mbeir" / "cand_pool" / "global" / f"mbeir_union_{split}_cand_pool.jsonl"


def qrels_path(root: Path, pair: Pair, split: Split) -> Path:
    """A pair's qrels."""
    return root / "mbeir" / "qrels" / split / f"mbeir_{pair.name}_{split}_qrels.txt"
