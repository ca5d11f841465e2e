"""Pictures of a data set: do they open, within limits, and which are the same by content."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from trace_retriever.config.validate import ImageParams
from trace_retriever.errors import ImageError
from trace_retriever.io.files import digest_file
from trace_retriever.io.images import ImageLimits, load_image, resolve_inside
from trace_retriever.io.progress import progress


def image_table(
    root: Path, queries: pd.DataFrame, candidates: pd.DataFrame, params: ImageParams
) -> pd.DataFrame:
    """One row a distinct picture, or a seeded sample of them.

    Columns: image (path in the records), id (a qid or did that names it), role ("query" or "candidate"),
    problem (None when it opens within limits), shortest_side (pixels).
    """
    parts = [
        frame.loc[frame["image"].notna(), ["image", key]].rename(columns={key: "id"}).assign(role=role)
        for frame, key, role in ((queries, "qid", "query"), (candidates, "did", "candidate"))
    ]
    named = pd.concat(parts).drop_duplicates("image").sort_values("image", ignore_index=True)
    if params.sample and len(named) > params.sample:
        chosen = np.random.default_rng(params.seed).choice(len(named), params.sample, replace=False)
        named = named.iloc[np.sort(chosen)].reset_index(drop=True)
    limits = ImageLimits(max_bytes=params.max_bytes, max_pixels=params.max_pixels)
    found = [
        _open(root, name, limits) for name in progress(named["image"], "opening pictures", total=len(named))
    ]
    named["problem"] = pd.Series([problem for problem, _ in found], dtype=object)
    named["shortest_side"] = pd.Series([side for _, side in found], dtype=float)
    return named


def _open(root: Path, name: str, limits: ImageLimits) -> tuple[str | None, float | None]:
    try:
        image = load_image(root, name, limits)
    except ImageError as error:
        return error.problem, None
    return None, float(min(image.size))


def content_keys(root: Path, names: Iterable[str], by: str) -> dict[str, str]:
    """Path of a picture → what tells whether two are the same: the digest of its bytes, or the path itself.

    A picture that cannot be read is known by its path; that it cannot is for the pictures' own suite to say.
    """
    distinct = sorted(set(names))
    if by == "path":
        return {name: name for name in distinct}
    return {name: _digest(root, name) for name in progress(distinct, "reading pictures", total=len(distinct))}


def _digest(root: Path, name: str) -> str:
    try:
        return digest_file(resolve_inside(root, name))
    except (ImageError, OSError):
        return name
