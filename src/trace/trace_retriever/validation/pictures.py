"""Pictures of a data set: do they open, within limits, and which are the same by content."""

from pathlib import Path

import numpy as np
import pandas as pd

from trace_retriever.config.validate import ImageParams
from trace_retriever.errors import ImageError
from trace_retriever.io.files import digest_file
from trace_retriever.io.images import ImageLimits, load_image, resolve_inside
from trace_retriever.io.progress import progress
from trace_retriever.validation.keys import Hashes
from trace_retriever.validation.pools import Candidates
from trace_retriever.validation.queries import Queries
from trace_retriever.validation.shapes import fingerprint


def image_table(
    root: Path, queries: Queries, candidates: Candidates, params: ImageParams
) -> tuple[pd.DataFrame, int]:
    """One row a distinct picture, or a seeded sample of them.

    Columns: image (path in the records), id (a qid or did that names it), role ("query" or "candidate"),
    problem (None when it opens within limits), shortest_side (pixels). And how many distinct pictures there
    are.
    """
    asked = [
        part[part["image"].notna()].astype("string[pyarrow]")
        for part in queries.spool.parts(["image", "qid"])
    ]
    parts = [
        pd.concat(asked).rename(columns={"qid": "id"}).assign(role="query"),
        candidates.images().rename(columns={"did": "id"}).assign(role="candidate"),
    ]
    named = pd.concat(parts).drop_duplicates("image").sort_values("image", ignore_index=True)
    distinct = len(named)
    if params.sample and len(named) > params.sample:
        chosen = np.random.default_rng(params.seed).choice(len(named), params.sample, replace=False)
        named = named.iloc[np.sort(chosen)].reset_index(drop=True)
    named = named.astype({"image": object, "id": object})
    limits = ImageLimits(max_bytes=params.max_bytes, max_pixels=params.max_pixels)
    found = [
        _open(root, name, limits) for name in progress(named["image"], "opening pictures", total=len(named))
    ]
    named["problem"] = pd.Series([problem for problem, _ in found], dtype=object)
    named["shortest_side"] = pd.Series([side for _, side in found], dtype=float)
    return named, distinct


def _open(root: Path, name: str, limits: ImageLimits) -> tuple[str | None, float | None]:
    try:
        image = load_image(root, name, limits)
    except ImageError as error:
        return error.problem, None
    return None, float(min(image.size))


def content_keys(root: Path, names: "pd.Series[str]", by: str) -> Hashes:
    """What tells whether two pictures are the same: a key of each one's bytes, or of its path; 0 of none.

    A picture that cannot be read is known by its path; that it cannot is for the pictures' own suite to say.
    """
    codes, distinct = pd.factorize(names)
    keys = np.zeros(len(distinct) + 1, dtype=np.uint64)  # the last is of no picture, code -1
    for place, name in enumerate(progress(distinct, "reading pictures", total=len(distinct))):
        keys[place] = fingerprint(name if by == "path" else _digest(root, name))
    found: Hashes = keys[codes]
    return found


def _digest(root: Path, name: str) -> str:
    try:
        return digest_file(resolve_inside(root, name))
    except (ImageError, OSError):
        return name
