"""A tiny M-BEIR checkout: six official pairs, three queries a split, real JPEGs; the files are M-BEIR's."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from trace_retriever.mbeir.layout import Files
from trace_retriever.mbeir.pairs import SPLITS, Pair, Split
from trace_retriever.mbeir.records import Candidate, Modality, Query
from trace_retriever.mbeir.writer import Prompts, write_dataset

PAIRS = tuple(
    Pair.parse(name)
    for name in (
        "mscoco_task0",
        "webqa_task1",
        "mscoco_task3",
        "oven_task6",
        "infoseek_task6",
        "cirr_task7",
    )
)
QUERIES = 3
FILLERS = 2
PIXELS = 16


def write_checkout(root: Path) -> Path:
    """Write the checkout below `root`; returns `root`.

    As in M-BEIR: MSCOCO's pools are of one split each and none of train, its train file mixes its tasks, and
    a positive of each OVEN query lies in InfoSeek's pool alone.
    """
    queries = {(pair, split): _queries(root, pair, split) for pair in PAIRS for split in SPLITS}
    pools: dict[tuple[Pair, Split | None], Sequence[Candidate]] = {}
    for pair in PAIRS:
        parts = {split: _candidates(root, pair, split) for split in SPLITS}
        if pair.has_split_pools:
            pools.update({(pair, split): part for split, part in parts.items()})
        else:
            pools[pair, None] = [candidate for part in parts.values() for candidate in part]
    write_dataset(root, queries=queries, pools=pools, prompts={pair: prompts_of(pair) for pair in PAIRS})
    files = Files(root)
    coco = [pair for pair in PAIRS if pair.dataset == "mscoco"]
    for pair in coco:
        files.pool(pair, "train").unlink()
    _merge([files.queries(pair, "train") for pair in coco], files.dataset_queries("mscoco"))
    _merge([files.qrels(pair, "train") for pair in coco], files.dataset_qrels("mscoco"))
    return root


def prompts_of(pair: Pair) -> Prompts:
    """Four instructions that differ."""
    one, two, three, four = (f"find what answers {pair.name} in way {number}" for number in range(4))
    return one, two, three, four


def _number(pair: Pair, split: Split, number: int) -> int:
    return pair.task * 1000 + SPLITS.index(split) * 100 + number


def _queries(root: Path, pair: Pair, split: Split) -> list[Query]:
    found = []
    for number in range(QUERIES):
        own = _number(pair, split, number)
        text, image = _content(root, pair, pair.query_modality, f"query_{own}")
        positives = [f"{pair.dataset_id}:{own}"]
        if pair.dataset == "oven":
            positives.append(f"{Pair('infoseek', 6).dataset_id}:{own}")
        found.append(
            Query(
                qid=f"{pair.dataset_id}:{own}",
                query_txt=text,
                query_img_path=image,
                query_modality=pair.query_modality,
                pos_cand_list=positives,
                task_id=pair.task,
            )
        )
    return found


def _candidates(root: Path, pair: Pair, split: Split) -> list[Candidate]:
    found = []
    for number in range(QUERIES + FILLERS):
        own = _number(pair, split, number)
        text, image = _content(root, pair, pair.candidate_modality, f"candidate_{own}")
        did = f"{pair.dataset_id}:{own}"
        found.append(Candidate(did=did, txt=text, img_path=image, modality=pair.candidate_modality))
    return found


def _content(root: Path, pair: Pair, modality: Modality, name: str) -> tuple[str | None, str | None]:
    text = f"words of {pair.name} {name}" if modality is not Modality.IMAGE else None
    if modality is Modality.TEXT:
        return text, None
    path = f"mbeir_images/{pair.dataset}_images/{name}.jpg"
    shade = sum(name.encode()) % 256
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (PIXELS, PIXELS), (shade, 255 - shade, 128)).save(root / path, "JPEG")
    return text, path


def _merge(parts: Sequence[Path], whole: Path) -> None:
    whole.write_text("".join(part.read_text() for part in parts))
    for part in parts:
        part.unlink()
