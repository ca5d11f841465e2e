import numpy as np
import pandas as pd
import pytest

from trace_retriever.evaluation.blend import choose_blend
from trace_retriever.evaluation.systems import Blend
from trace_retriever.evaluation.tasks import Pool, Task
from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import CANDIDATE_ID_SPACE
from trace_retriever.search.exact import ExactIndex


def task_of(right: list[str], confidence: list[float], routes: list[str] | None = None) -> tuple[Task, Pool]:
    """Queries whose `direct`, `reasoned` or mean vector alone finds the positive among seven candidates.

    Six candidates crowd each of the two corners, so that hit@5 needs the right one of the three directions.
    """
    corners = {"direct": [1.0, 0.0], "reasoned": [0.0, 1.0]}
    crowd = [[1, 0.001 * n] for n in range(6)] + [[0.001 * n, 1] for n in range(6)] + [[1, 1]]
    vectors = np.array([[*vector, 0, 0] for vector in crowd], np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    numbers = 14 * CANDIDATE_ID_SPACE + np.arange(len(vectors))
    both = np.zeros((len(right), 2, 4), np.float32)
    both[:, 0, :2], both[:, 1, :2] = corners["direct"], corners["reasoned"]
    wanted = {"direct": "14:0", "reasoned": "14:6", "mixed": "14:12"}
    table = pd.DataFrame(
        {
            "qid": [f"14:{n}" for n in range(len(right))],
            "auto_route": routes or ["complex"] * len(right),
            "confidence": confidence,
        }
    )
    positives = [frozenset({wanted[name]}) for name in right]
    pool = Pool("local", ExactIndex(vectors), numbers, np.zeros(len(numbers), np.int8))
    return Task(Pair("mojihop", 1), table, both, positives, None), pool


def test_without_gain_the_blend_is_auto() -> None:
    blend, choice = choose_blend([task_of(["reasoned"] * 4, [-0.1, -0.2, -0.3, -0.4])])
    assert blend == Blend()
    assert choice["gain_over_auto"] == 0
    assert choice["threshold"] is None


def test_one_weight_where_it_helps() -> None:
    blend, choice = choose_blend([task_of(["mixed"] * 4, [-0.1, -0.2, -0.3, -0.4])])
    assert blend.low == blend.high
    assert 0 < blend.low < 1
    assert choice["gain_over_auto"] == pytest.approx(1.0)


def test_two_weights_where_confidence_tells_right_from_wrong_traces() -> None:
    blend, choice = choose_blend(
        [task_of(["reasoned", "reasoned", "direct", "direct"], [-0.1, -0.2, -3.0, -4.0])]
    )
    assert (blend.low < 0.5, blend.high) == (True, 1.0)
    assert -3.0 < blend.threshold < -0.2
    assert choice["gain_over_auto"] == pytest.approx(0.5)


def test_a_gain_within_its_noise_is_not_taken() -> None:
    right = ["mixed"] * 3 + ["reasoned"] * 2
    blend, choice = choose_blend([task_of(right, [-0.1, -0.3, -0.5, -0.2, -0.4])])
    assert max(choice["gain_by_weight"].values()) == pytest.approx(0.2)
    assert blend == Blend()


def test_simple_queries_are_left_alone_and_pairs_weigh_alike() -> None:
    simple = task_of(["direct"] * 2, [0.0, 0.0], routes=["simple"] * 2)
    _, choice = choose_blend([simple, task_of(["mixed"] * 4, [-1.0] * 4)])
    assert choice["reasoning_queries"] == 4
    assert choice["gain_over_auto"] == pytest.approx(0.5)


def test_no_query_reasons() -> None:
    blend, choice = choose_blend([task_of(["direct"] * 2, [0.0, 0.0], routes=["simple"] * 2)])
    assert blend == Blend()
    assert choice["reasoning_queries"] == 0
