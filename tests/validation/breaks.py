"""Three ways to spoil the made data set, each spoiling records that the others of its kind leave alone."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image
from tests.validation.made import (
    CAPTION,
    EDIT,
    HOP,
    NAMING,
    Record,
    edit_lines,
    global_pool_path,
    pool_path,
    qrels_path,
    query_path,
)

# Ids run on over the splits: mojicap_task0 has queries 10:0 to 10:5 in train, 10:6 and 10:7 in val, 10:8 to
# 10:10 in test, and query 10:n has the positive 10:n+5. The other pairs begin at 100 x task.


def _set(path: Path, place: int, **values: Any) -> None:
    edit_lines(path, lambda rows: rows[place].update(values))


def spoil_queries(root: Path) -> None:
    """Something wrong with single queries."""
    train, val, test = (query_path(root, CAPTION, split) for split in ("train", "val", "test"))
    _set(train, 0, colour="red")  # 10:0
    _set(train, 1, qid="10-one")
    _set(train, 2, qid="10:500000")
    _set(train, 3, qid="10:4")
    _set(val, 0, query_modality="sound")  # 10:6
    _set(val, 1, qid="99:7")
    _set(test, 0, task_id=3)  # 10:8
    _set(test, 1, query_txt="word " * 500)  # 10:9
    _set(test, 2, pos_cand_list=[])  # 10:10
    naming = query_path(root, NAMING, "test")
    _set(naming, 0, pos_cand_list=["10:99999999"])  # 10:308
    _set(naming, 1, query_txt="and words")  # 10:309, image by its modality
    _set(
        naming, 2, query_modality="image,text", query_txt="and words"
    )  # 10:310, consistent but of another pair


def spoil_pools(root: Path) -> None:
    """Something wrong with single candidates, pools and pictures."""
    train, val, test = (pool_path(root, HOP, split) for split in ("train", "val", "test"))
    _set(train, 0, txt=7)  # 14:105
    _set(train, 1, did="hop")
    _set(train, 2, did="14:10000000")
    _set(train, 3, did="14:109")  # twice, with two contents
    _set(val, 0, modality="smell")  # 14:111
    _set(val, 1, img_path="mbeir_images/c0_8.png")  # 14:112, text by its modality
    _set(test, 0, txt="long " * 5000)  # 14:113
    _set(test, 1, modality="image", txt=None, img_path="mbeir_images/c0_8.png")  # 14:114
    _drop(pool_path(root, EDIT, "test"), "18:713")
    _drop(global_pool_path(root, "test"), "18:714")
    pictures = root / "mbeir/mbeir_images"
    (pictures / "c0_0.png").write_bytes((pictures / "c0_0.png").read_bytes()[:45])
    (pictures / "c0_1.png").unlink()
    (pictures / "c0_2.png").write_bytes(_png(12, 3))


def _drop(path: Path, did: str) -> None:
    def drop(rows: list[Record]) -> None:
        rows[:] = [row for row in rows if row["did"] != did]

    edit_lines(path, drop)


def _png(width: int, height: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (width, height)).save(content, format="PNG")
    return content.getvalue()


def spoil_what_was_made(root: Path) -> None:
    """Something wrong with qrels, routes and traces, and test queries that train knows."""
    _spoil_qrels(root)
    _spoil_routes(root / "routes/routes.parquet")
    _spoil_traces(root / "kept/kept.jsonl")
    _leak(root)


def _spoil_qrels(root: Path) -> None:
    _lines(qrels_path(root, CAPTION, "train"), lambda lines: ["10:0 0 10:5 yes 0", *lines[1:], lines[5]])
    _lines(qrels_path(root, CAPTION, "val"), lambda lines: [*lines, "10:6 0 10:12 -1 0", "10:6 0 10:13 0 3"])
    _lines(
        qrels_path(root, NAMING, "val"), lambda lines: [*lines, "10:399 0 10:311 1 3", "10:306 0 10:312 1 3"]
    )


def _lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(f"{line}\n" for line in change(path.read_text().splitlines())))


def _spoil_routes(path: Path) -> None:
    frame = pd.read_parquet(path)
    frame.loc[frame["qid"] == "10:1", "route"] = "perhaps"
    frame.loc[frame["qid"] == "10:2", "confidence"] = 1.5
    frame.loc[frame["qid"] == "10:3", "qid"] = "10:77"  # leaves 10:3 without a label
    frame = pd.concat([frame, frame[frame["qid"] == "10:4"]])
    frame.to_parquet(path)


def _spoil_traces(path: Path) -> None:
    def spoil(rows: list[Record]) -> None:
        rows[0]["teacher"] = 3  # 14:100
        rows[1]["reasoning"] = "short"  # 14:101
        rows[2]["answer"] = "long " * 100  # 14:102
        rows[3]["confidence"] = 2.0  # 14:103
        rows[4]["qid"] = "14:108"  # of test
        rows.append(rows[5])  # 14:105 twice
        rows.append(rows[6] | {"qid": "10:5", "pair": "mojicap_task0"})  # of a simple query

    edit_lines(path, spoil)


def _leak(root: Path) -> None:
    pictures = root / "mbeir/mbeir_images"
    _copy(pictures, "q7_700", "q7_708")  # 18:708 shows what train's 18:700 shows,
    train = query_path(root, EDIT, "train")
    _set(train, 1, query_txt="what is number 709 of mojiedit_task7")
    _copy(pictures, "q7_701", "q7_709")  # 18:709 asks the same too,
    _copy(pictures, "c7_702", "c7_710")  # 18:710 has a positive of train,
    edit_lines(query_path(root, HOP, "test"), lambda rows: rows[0].update(query_src_content=_scene_of(root)))


def _scene_of(root: Path) -> str:
    scenes: list[str] = []
    edit_lines(query_path(root, HOP, "train"), lambda rows: scenes.append(rows[0]["query_src_content"]))
    return scenes[0]  # and 14:108 is about the scene of 14:100


def _copy(folder: Path, source: str, target: str) -> None:
    (folder / f"{target}.png").write_bytes((folder / f"{source}.png").read_bytes())
