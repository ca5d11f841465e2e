"""The benchmark of bulk embedding, small."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bulk: Any = importlib.import_module("bulk")


def test_made_texts_differ_and_so_do_their_vectors() -> None:
    texts = [bulk.text_of(number) for number in range(500)]
    assert len(set(texts)) == 500
    vectors = np.stack([bulk.hashed(text) for text in texts])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    others = vectors @ vectors.T - np.eye(500)
    assert np.abs(others).max() < 0.5, "no two point the same way"


@pytest.mark.slow
def test_all_parts_run_on_a_small_pool(tmp_path: Path) -> None:
    result = tmp_path / "bulk.json"
    command = [sys.executable, bulk.__file__, "--count", "9000", "--folder", str(tmp_path / "work")]
    subprocess.run([*command, "--result", str(result)], check=True, cwd=tmp_path, timeout=600)
    found = json.loads(result.read_text())
    assert found["search"]["found_first"] == 1.0
    assert len(found["embedding"]["processes"]) == 2
    assert found["stored_bytes"] > 9000 * bulk.DIM * 2
    for part in (found["embedding"], found["search"]):
        assert 50 * 2**20 < part["peak_bytes"] < 2 * 2**30
    assert not list((tmp_path / "work").iterdir()), "the data are removed"
