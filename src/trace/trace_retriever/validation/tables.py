"""A data set's files as data frames: ids, lengths and digests, not the texts themselves."""

from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import Any

import pandas as pd

from trace_retriever.errors import DataError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.mbeir.pairs import SPLITS, Pair, Split
from trace_retriever.mbeir.records import CANDIDATE_ID_SPACE
from trace_retriever.mbeir.text import clean_text
from trace_retriever.validation.shapes import (
    CandidateShape,
    QueryShape,
    TraceShape,
    fields_present,
    fingerprint,
    id_number,
    read_shapes,
    scene_of,
)

Row = dict[str, Any]


def splits_of(layout: Layout) -> dict[Split, list[Pair]]:
    """Split → its pairs, for the splits that the data set has."""
    present: dict[Split, list[Pair]] = {}
    for split in SPLITS:
        if (layout.root / "query" / split).is_dir():
            present[split] = layout.pairs(split)
    return present


def query_file(layout: Layout, pair: Pair, split: Split) -> Path:
    """The file that holds a pair's queries: its own or, in train, its data set's."""
    own, mixed = layout.files.queries(pair, split), layout.files.dataset_queries(pair.dataset)
    return mixed if split == "train" and not own.exists() and mixed.exists() else own


def qrels_file(layout: Layout, pair: Pair, split: Split) -> Path:
    """The file that holds a pair's qrels: its own or, in train, its data set's."""
    own, mixed = layout.files.qrels(pair, split), layout.files.dataset_qrels(pair.dataset)
    return mixed if split == "train" and not own.exists() and mixed.exists() else own


def query_table(layout: Layout) -> pd.DataFrame:
    """One row a query of any split.

    Columns: split, pair, line (of its file), qid, number, task_id, pair_task, dataset, pair_dataset,
    modality, pair_modality, fields (what is filled), characters, text (digest of the cleaned text), image
    (path), scene, positives (list of dids), positive_count, bad_positive (first malformed did), problem (keys
    and types).
    A record with a problem has no further values, so that nothing is reported twice.
    """
    rows = [
        _query_row(raw, problem, line, pair, split)
        for split, pairs in splits_of(layout).items()
        for pair in pairs
        for line, raw, problem in _pair_rows(layout, pair, split)
    ]
    return _typed(rows, categories=("split", "pair"))


def _pair_rows(layout: Layout, pair: Pair, split: Split) -> Iterator[tuple[int, Row, str | None]]:
    path = query_file(layout, pair, split)
    mixed = path != layout.files.queries(pair, split)
    for line, raw, problem in read_shapes(path, QueryShape):
        if not mixed or raw.get("task_id") == pair.task:
            yield line, raw, problem


def _query_row(raw: Row, problem: str | None, line: int, pair: Pair, split: Split) -> Row:
    row = {"split": split, "pair": pair.name, "line": line, "qid": str(raw.get("qid")), "problem": problem}
    row |= {
        "pair_task": pair.task,
        "pair_dataset": str(pair.dataset_id),
        "pair_modality": pair.query_modality.value,
    }
    blank = dict.fromkeys(
        ("number", "dataset", "task_id", "modality", "fields", "characters", "text", "image")
    )
    if problem is not None:
        return row | blank | {"scene": None, "positives": [], "positive_count": None, "bad_positive": None}
    text, image, positives = raw["query_txt"], raw["query_img_path"], raw["pos_cand_list"]
    return row | {
        "number": id_number(raw["qid"]),
        "dataset": intern(raw["qid"].partition(":")[0]) if id_number(raw["qid"]) is not None else None,
        "task_id": raw["task_id"],
        "modality": intern(raw["query_modality"]),
        "fields": fields_present(text, image),
        "characters": len(text) if text else None,
        "text": fingerprint(clean_text(text).lower()) if text else None,
        "image": image or None,
        "scene": scene_of(raw.get("query_src_content")),
        "positives": positives,
        "positive_count": len(positives),
        "bad_positive": next((did for did in positives if not _is_candidate_id(did)), None),
    }


def _is_candidate_id(did: str) -> bool:
    number = id_number(did)
    return number is not None and number < CANDIDATE_ID_SPACE


def pool_files(layout: Layout) -> dict[Path, Pair | None]:
    """Every pool that the data set's queries need → the pair it is local to (None for a global pool).

    Raises:
        DataError: a pair or a split has no pool.
    """
    files: dict[Path, Pair | None] = {}
    for split, pairs in splits_of(layout).items():
        path = layout.files.global_pool(split)
        if not path.is_file():
            raise DataError(f"no global {split} pool", where=path, remedy="run `trace prepare` again")
        files[path] = None
        for pair in pairs:
            files.setdefault(layout.pool_path(pair, split), pair)
    return files


def candidate_table(layout: Layout) -> pd.DataFrame:
    """One row a candidate of any pool.

    Columns: pool (file name without its ending), pair (None in a global pool), line, did, number, modality,
    pair_modality, fields, characters, image, scene, content (digest of text, path and modality), problem.
    """
    rows = [
        _candidate_row(raw, problem, line, path.stem, pair)
        for path, pair in pool_files(layout).items()
        for line, raw, problem in read_shapes(path, CandidateShape)
    ]
    return _typed(rows, categories=("pool", "pair"))


def _candidate_row(raw: Row, problem: str | None, line: int, pool: str, pair: Pair | None) -> Row:
    row = {"pool": pool, "pair": pair.name if pair else None, "line": line, "did": str(raw.get("did"))}
    row |= {"pair_modality": pair.candidate_modality.value if pair else None, "problem": problem}
    if problem is not None:
        names = ("number", "modality", "fields", "characters", "image", "scene", "content")
        return row | dict.fromkeys(names)
    text, image = raw["txt"], raw["img_path"]
    return row | {
        "number": id_number(raw["did"]),
        "modality": intern(raw["modality"]),
        "fields": fields_present(text, image),
        "characters": len(text) if text else None,
        "image": image or None,
        "scene": scene_of(raw.get("src_content")),
        "content": fingerprint(text, image, raw["modality"]),
    }


def qrels_table(layout: Layout) -> pd.DataFrame:
    """One row a line of a qrels file: split, pair, line, qid, did, relevance, task_id, pair_task, problem."""
    rows = [
        {"split": split, "pair": pair.name, "pair_task": pair.task, **row}
        for split, pairs in splits_of(layout).items()
        for pair in pairs
        for row in _qrels_rows(layout, pair, split)
    ]
    return _typed(rows, categories=("split", "pair"))


def _qrels_rows(layout: Layout, pair: Pair, split: Split) -> Iterator[Row]:
    path = qrels_file(layout, pair, split)
    mixed = path != layout.files.qrels(pair, split)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError("qrels not found", where=path, remedy="run `trace prepare` again") from None
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: {error}", where=path) from None
    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if mixed and cells[-1:] != [str(pair.task)]:
            continue
        if cells:
            yield {"line": number, **_qrels_row(cells)}


def _qrels_row(cells: list[str]) -> Row:
    whole = len(cells) == 5 and all(cell.removeprefix("-").isdecimal() for cell in cells[3:])
    if not whole:
        found = " ".join(cells)[:80]
        problem = f"not 'qid 0 did relevance task_id': {found!r}"
        return {"qid": cells[0], "did": None, "relevance": None, "task_id": None, "problem": problem}
    return {
        "qid": cells[0],
        "did": cells[2],
        "relevance": int(cells[3]),
        "task_id": int(cells[4]),
        "problem": None,
    }


def trace_table(kept: Path) -> pd.DataFrame:
    """One row a kept trace: line, qid, pair, reasoning_words, answer_words, confidence, problem."""
    rows = []
    for line, raw, problem in read_shapes(kept / "kept.jsonl", TraceShape):
        row = {"line": line, "qid": str(raw.get("qid")), "pair": raw.get("pair"), "problem": problem}
        values: Row = dict.fromkeys(("reasoning_words", "answer_words", "confidence"))
        if problem is None:
            values["reasoning_words"] = len(raw["reasoning"].split())
            values["answer_words"] = len(raw["answer"].split())
            values["confidence"] = raw.get("confidence")
        rows.append(row | values)
    columns = ["line", "qid", "pair", "problem", "reasoning_words", "answer_words", "confidence"]
    return pd.DataFrame(rows, columns=columns)


def route_table(routes: Path) -> pd.DataFrame:
    """One row a labelled query: qid, pair, split, route, strategy, confidence.

    Raises:
        DataError: the file is missing, is not Parquet, or lacks a column.
    """
    path = routes / "routes.parquet"
    columns = ["qid", "pair", "split", "route", "strategy", "confidence"]
    if not path.is_file():
        raise DataError("routes not found", where=path, remedy="run `trace route`")
    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, ValueError) as error:
        remedy = f"run `trace route` again; it writes the columns {', '.join(columns)}"
        raise DataError(f"cannot read the routes: {error}", where=path, remedy=remedy) from None


def _typed(rows: list[Row], categories: tuple[str, ...]) -> pd.DataFrame:
    frame = pd.DataFrame(rows)
    return frame.astype({name: "category" for name in categories if name in frame})
