from pathlib import Path

import pandas as pd
import pytest
from tests.gates.records import FILES, records, write_evaluation, write_validation

from trace_retriever.errors import DataError
from trace_retriever.gates.evidence import evidence_digest, read_evidence

RATES = {"mojicap_task0": 0.5}


def test_a_registered_models_evidence_is_found_below_it(tmp_path: Path) -> None:
    inner = write_evaluation(tmp_path / "model/evidence", records("auto", RATES))
    assert read_evidence(tmp_path / "model").digest == evidence_digest(inner)
    assert read_evidence(tmp_path / "model").files is None
    write_validation(tmp_path / "v")
    (tmp_path / "v/validation.json").rename(inner / "validation.json")
    assert read_evidence(tmp_path / "model").files == FILES


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    one = evidence_digest(write_evaluation(tmp_path / "one", records("auto", RATES)))
    same = evidence_digest(write_evaluation(tmp_path / "same", records("auto", RATES)))
    other = evidence_digest(write_evaluation(tmp_path / "other", records("auto", {"mojicap_task0": 0.51})))
    assert one == same != other


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="headline"), "cannot read the records"),
        (lambda frame: pd.concat([frame, frame.iloc[:1]]), "there twice"),
        (lambda frame: frame.assign(trace_tokens=None), "missing values in column.s. trace_tokens"),
    ],
)
def test_broken_records_are_refused(tmp_path: Path, change: object, message: str) -> None:
    assert callable(change)
    folder = write_evaluation(tmp_path / "evaluation", records("auto", RATES))
    change(pd.read_parquet(folder / "queries.parquet")).to_parquet(folder / "queries.parquet")
    with pytest.raises(DataError, match=message):
        read_evidence(folder)


def test_missing_files_and_results_without_pairs_are_refused(tmp_path: Path) -> None:
    folder = write_evaluation(tmp_path / "evaluation", records("auto", RATES))
    (folder / "results.json").write_text("{}")
    with pytest.raises(DataError, match="no 'pairs'"):
        read_evidence(folder)
    (folder / "results.json").unlink()
    with pytest.raises(DataError, match="file missing"):
        read_evidence(folder)
