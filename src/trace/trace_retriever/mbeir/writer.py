"""Writing a data set in M-BEIR's layout from records in memory; equal records give equal bytes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from trace_retriever.errors import DataError
from trace_retriever.io.jsonl import write_jsonl
from trace_retriever.mbeir.ids import candidate_number
from trace_retriever.mbeir.instructions import write_instructions
from trace_retriever.mbeir.layout import Files
from trace_retriever.mbeir.pairs import SPLITS, Pair, Split, sorted_pairs, upsampling
from trace_retriever.mbeir.qrels import write_qrels
from trace_retriever.mbeir.records import Candidate, Query

Queries = Mapping[tuple[Pair, Split], Sequence[Query]]
Pools = Mapping[tuple[Pair, Split | None], Sequence[Candidate]]
Prompts = tuple[str, str, str, str]


def write_dataset(root: Path, *, queries: Queries, pools: Pools, prompts: Mapping[Pair, Prompts]) -> None:
    """Write queries, qrels, local and global pools, unions and instructions below `root`.

    The qrels are the queries' positives. The global pool of a split is the union of its local pools, each did
    once, by ascending id. The train union holds UniIR's smaller data sets several times (`upsampling`).
    Pictures and, for the made benchmark, `truth/` are the caller's to write. Whether every positive is in a
    pool is not checked here (OVEN's and InfoSeek's often are in a sibling's pool): step `validate` does.

    Args:
        root: the data set's root.
        queries: (pair, split) → its queries, in the order of the file.
        pools: (pair, split) → a pool for that split alone; (pair, None) → the pool that its splits share.
        prompts: pair → its four instructions.

    Raises:
        DataError: a record that does not belong to its pair, an id twice, one did with two contents, an empty
            list, a pair with queries but without a pool or prompts.
    """
    _check(queries, pools, prompts)
    files = Files(root)
    for (pair, split), rows in queries.items():
        write_jsonl(files.queries(pair, split), rows)
        write_qrels(files.qrels(pair, split), rows)
    for (pair, pool_split), candidates in pools.items():
        write_jsonl(files.pool(pair, pool_split), candidates)
    for split in SPLITS:
        union = list(_union_queries(queries, split))
        if union and split != "test":  # M-BEIR has no union of test queries
            write_jsonl(files.union_queries(split), union)
        if everything := _union_pool(pools, split):
            write_jsonl(files.global_pool(split), everything)
    write_instructions(files.instructions, prompts)


def check_belongs(record: Query | Candidate, pair: Pair, *, where: str | Path) -> None:
    """Check that a record has its pair's data set id, modality and (a query) task.

    Raises:
        DataError: it is of another pair; says what does not agree.
    """
    if isinstance(record, Query):
        name, task, modality, expected = (
            record.qid,
            record.task_id,
            record.query_modality,
            pair.query_modality,
        )
    else:
        name, task, modality, expected = record.did, pair.task, record.modality, pair.candidate_modality
    if not name.startswith(f"{pair.dataset_id}:"):
        remedy = f"ids of {pair.dataset} begin with {pair.dataset_id}:"
        raise DataError(f"id {name} is of another data set than {pair.name}", where=where, remedy=remedy)
    if (task, modality) != (pair.task, expected):
        found = f"task {task}, modality {modality.value!r}"
        remedy = f"{pair.name} has task {pair.task} and modality {expected.value!r}"
        raise DataError(f"record {name} is of another pair ({found})", where=where, remedy=remedy)


def _union_queries(queries: Queries, split: Split) -> Iterator[Query]:
    for pair in sorted_pairs({pair for pair, other in queries if other == split}):
        rows = queries[pair, split]
        count = round(len(rows) * upsampling(pair.dataset)) if split == "train" else len(rows)
        yield from (rows[number % len(rows)] for number in range(count))


def _union_pool(pools: Pools, split: Split) -> list[Candidate]:
    union: dict[int, Candidate] = {}
    for (pair, pool_split), candidates in pools.items():
        if pool_split not in (split, None):
            continue
        for candidate in candidates:
            if union.setdefault(candidate_number(candidate.did), candidate) != candidate:
                raise DataError(
                    f"candidate {candidate.did} has two contents", where=f"{split} pool of {pair.name}"
                )
    return [union[number] for number in sorted(union)]


def _check(queries: Queries, pools: Pools, prompts: Mapping[Pair, Prompts]) -> None:
    for (pair, split), rows in queries.items():
        where = f"{split} queries of {pair.name}"
        _check_ids((query.qid for query in rows), where)
        for query in rows:
            check_belongs(query, pair, where=where)
        if (pair, split) not in pools and (pair, None) not in pools:
            raise DataError("queries without a pool", where=where)
        if pair not in prompts:
            raise DataError("queries without instructions", where=where)
    for (pair, pool_split), candidates in pools.items():
        where = f"{pool_split or 'shared'} pool of {pair.name}"
        _check_ids((candidate.did for candidate in candidates), where)
        for candidate in candidates:
            check_belongs(candidate, pair, where=where)


def _check_ids(ids: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    for value in ids:
        if value in seen:
            raise DataError(f"id {value} is there twice", where=where)
        seen.add(value)
    if not seen:
        raise DataError("no records", where=where, remedy="leave the pair out")
