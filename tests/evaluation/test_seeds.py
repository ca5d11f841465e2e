from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trace_retriever.errors import DataError
from trace_retriever.evaluation.seeds import add_seed, hits_of, over_seeds, read_seeds, systems_of


def queries(hits: dict[str, list[int]], pair: str = "mojihop_task1") -> pd.DataFrame:
    rows = [
        {
            "system": system,
            "pool": "local",
            "pair": pair,
            "qid": f"14:{n}",
            "headline": bool(hit),
            "hit_1": False,
        }
        for system, values in hits.items()
        for n, hit in enumerate(values)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)  # the order of rows does not matter


def test_seeds_are_kept_and_compared(tmp_path: Path) -> None:
    path = tmp_path / "seeds.json"
    add_seed(path, 2, queries({"auto": [1, 1, 0, 1], "never": [0, 0, 0, 1]}))
    add_seed(path, 1, queries({"auto": [1, 1, 1, 1], "never": [0, 1, 0, 1], "oracle": [1, 1, 1, 1]}))
    seeds = read_seeds(path)
    assert list(seeds) == [1, 2]
    assert systems_of(seeds) == {"auto": ["mojihop_task1"], "never": ["mojihop_task1"]}
    np.testing.assert_array_equal(
        hits_of(seeds, "auto", "mojihop_task1", "headline"), [[1, 1, 1, 1], [1, 1, 0, 1]]
    )
    found = over_seeds(seeds, ["mojihop_task1"], "auto", "never", measure="headline", resamples=200, seed=1)
    assert found.mean == pytest.approx(0.5)
    assert 0 <= found.low < found.mean < found.high <= 1


def test_the_file_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    table = queries({"auto": [1, 0, 0, 1]})
    add_seed(tmp_path / "one.json", 1, table)
    add_seed(tmp_path / "two.json", 1, table.iloc[::-1])
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_other_queries_are_refused(tmp_path: Path) -> None:
    add_seed(tmp_path / "seeds.json", 1, queries({"auto": [1, 0]}))
    with pytest.raises(DataError, match="seed 2 has other queries"):
        add_seed(tmp_path / "seeds.json", 2, queries({"auto": [1, 0, 1]}))


def test_not_a_seeds_file(tmp_path: Path) -> None:
    (tmp_path / "seeds.json").write_text("{}")
    with pytest.raises(DataError, match="not a seeds file"):
        read_seeds(tmp_path / "seeds.json")
