"""Tables too large for one frame: suites run in parts, tables kept between runs, memory."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from tests.validation.made import CAPTION, HOP, edit_lines, qrels_path, query_path
from tests.validation.test_run import EXPECTED, STRICT, found, run

from trace_retriever.config.validate import ReachabilityParams, ValidateConfig
from trace_retriever.errors import DataError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.validation import spool
from trace_retriever.validation.chosen import Labels
from trace_retriever.validation.joins import Positives
from trace_retriever.validation.pools import Candidates
from trace_retriever.validation.queries import Queries
from trace_retriever.validation.run import run_validation
from trace_retriever.validation.tables import qrels_table


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of some 20 rows, so that every table of the made data set comes in several."""
    monkeypatch.setattr(spool, "PART", 20)
    monkeypatch.setattr(spool, "_ROWS", 7)


@pytest.mark.slow
@pytest.mark.parametrize("spoil", EXPECTED, ids=lambda spoil: spoil.__name__)
@pytest.mark.usefixtures("small_parts")
def test_suites_in_parts_report_the_same_rows(made: Path, spoil: Callable[[Path], None]) -> None:
    spoil(made)
    validation = run(made)
    results = {result["name"]: result for result in validation.results}
    assert {rule: sorted(ids) for rule, ids in found(validation).items()} == {
        rule: sorted(ids) for rule, ids in EXPECTED[spoil].items()
    }
    assert not any("fault" in entry for result in results.values() for entry in result["expectations"])
    assert results["queries"]["rows"] == 4 * (6 + 2 + 3), "each row is counted once"
    assert len(list((made / "docs/validations/queries rows 2").rglob("*.html"))) == 1, "there was one part"


@pytest.mark.slow
@pytest.mark.usefixtures("small_parts")
def test_means_and_counts_in_parts_are_of_the_whole_table(made: Path) -> None:
    edit_lines(made / "kept/kept.jsonl", lambda rows: rows.__delitem__(slice(11)))
    validation = run(made, STRICT)
    assert validation.failed == ["routing.complex_share", "traces.kept_enough"]
    entries = {entry["rule"]: entry for result in validation.results for entry in result["expectations"]}
    assert entries["complex_share"]["observed"] == 0.5
    assert entries["kept_enough"]["observed"] == 5


@pytest.mark.usefixtures("small_parts")
def test_a_part_has_small_sources_together_and_an_empty_table_is_one_empty_part(tmp_path: Path) -> None:
    schema = pa.schema({"id": pa.string(), "n": pa.int64()})
    for name, count in (("a", 5), ("b", 30), ("c", 0)):
        rows: Iterator[tuple[str, int]] = ((f"{name}{n}", n) for n in range(count))
        spool.write_rows(tmp_path / f"{name}.parquet", schema, rows)
    table = spool.Spool(tmp_path, ["a", "b", "c"], {})
    parts = list(table.parts(["n", "id"]))
    assert [len(part) for part in parts] == [26, 9]
    assert [id_ for part in parts for id_ in part["id"]] == [*(f"a{n}" for n in range(5))] + [
        f"b{n}" for n in range(30)
    ]
    assert list(parts[0].columns) == ["n", "id"]
    (empty,) = table.parts(names=["c"])
    assert list(empty.columns) == ["id", "n"]
    assert not len(empty)


def test_tables_that_are_whole_are_not_read_again_and_half_a_table_is(made: Path) -> None:
    layout, work = Layout(made / "mbeir"), made / "work"
    first = Queries(layout, work).spool.frame(["qid"])
    kept, begun = work / "queries/test_mojihop_task1.parquet", work / "queries/val_mojihop_task1.parquet"
    stamp = kept.stat().st_mtime_ns
    begun.rename(begun.with_suffix(".partial"))
    begun.with_suffix(".partial").write_bytes(b"PAR1 half")  # as a kill leaves it
    again = Queries(layout, work).spool.frame(["qid"])
    assert again.astype(str).equals(first.astype(str))
    assert kept.stat().st_mtime_ns == stamp
    assert begun.is_file()
    assert not begun.with_suffix(".partial").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from trace_retriever.mbeir.layout import Layout
from trace_retriever.validation import queries, shapes
from trace_retriever.validation.queries import Queries

read, seen = queries.read_shapes, 0
def dying(path, shape):
    global seen
    for row in read(path, shape):
        seen += 1
        if seen == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        yield row
queries.read_shapes = dying
Queries(Layout(Path(sys.argv[1]) / "mbeir"), Path(sys.argv[1]) / "work")
"""


@pytest.mark.slow
def test_a_killed_run_is_taken_up_with_the_same_result(made: Path) -> None:
    def validate(work: Path) -> object:
        return run_validation(
            ValidateConfig(),
            dataset=made / "mbeir",
            routes=made / "routes",
            kept=made / "kept",
            previous=None,
            data_docs=made / "docs",
            work=work,
        )

    done = subprocess.run([sys.executable, "-c", KILLED, str(made)], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    left = {path.name for path in (made / "work/queries").iterdir()}
    assert 0 < len([name for name in left if name.endswith(".parquet")]) < 12
    assert [name for name in left if name.endswith(".partial")]
    assert validate(made / "work") == validate(made / "anew")
    assert not list((made / "work").rglob("*.partial"))


def _grown(path: Path, count: int) -> None:
    """Repeat a file's first record with new ids."""
    record = json.loads(path.read_text().splitlines()[0])
    with path.open("w") as stream:
        for number in range(count):
            stream.write(json.dumps(record | {"qid": f"10:{number}"}) + "\n")


def test_a_bad_line_deep_in_a_large_file_is_named(made: Path) -> None:
    path = query_path(made, CAPTION, "train")
    _grown(path, 60_000)  # more than a row group
    with path.open("a") as stream:
        stream.write('{"qid": \n')
    with pytest.raises(DataError) as caught:
        Queries(Layout(made / "mbeir"), made / "work")
    assert f"{path.name}:60001" in str(caught.value)
    assert not (made / "work/queries/train_mojicap_task0.parquet").exists()
    judged = qrels_path(made, HOP, "test")
    judged.write_bytes(b"14:1 0 14:2 1 1\n" * 40_000 + b"\xff\n")
    with pytest.raises(DataError, match="not UTF-8, after line") as caught:
        qrels_table(Layout(made / "mbeir"), made / "work")
    assert judged.name in str(caught.value)


def test_numbers_that_no_table_can_hold_are_findings(made: Path) -> None:
    def spoil(rows: list[dict[str, object]]) -> None:
        rows[0]["task_id"] = 10**30

    edit_lines(query_path(made, CAPTION, "val"), spoil)
    judged = qrels_path(made, CAPTION, "val")
    judged.write_text(f"10:6 0 10:11 {10**30} 0\n" + judged.read_text())
    layout = Layout(made / "mbeir")
    (frame,) = Queries(layout, made / "work").spool.parts()
    assert frame["problem"].notna().sum() == 1
    (frame,) = qrels_table(layout, made / "work").parts()
    assert frame["problem"].notna().sum() == 1


def _peak(root: Path, count: int) -> int:
    """Bytes of Python's own that the tables of a data set of some train queries take at most."""
    path = query_path(root, CAPTION, "train")
    _grown(path, count)
    with qrels_path(root, CAPTION, "train").open("w") as stream:
        stream.writelines(f"10:{number} 0 10:5 1 0\n" for number in range(count))
    layout, work = Layout(root / "mbeir"), root / f"work{count}"
    tracemalloc.start()
    try:
        queries, candidates = Queries(layout, work), Candidates(layout, work)
        labels = Labels(root / "routes")
        positives = Positives(layout, queries, candidates, qrels_table(layout, work), ReachabilityParams())
        for frame in positives.parts():
            labels.of(frame, ("pair", "qid"))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        shutil.rmtree(work)


@pytest.mark.slow
def test_memory_grows_by_a_hundred_bytes_a_query_beyond_one_part(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "PART", 2000)
    monkeypatch.setattr(spool, "_ROWS", 1000)
    one, other = 5000, 15_000
    small, large = _peak(made, one), _peak(made, other)
    assert (large - small) / (other - one) < 150, "a frame of objects takes some thousand"
