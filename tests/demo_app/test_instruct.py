import pytest

from trace_retriever.demo_app.instruct import choose_instruction
from trace_retriever.mbeir.pairs import Pair

NAMES = (
    *("mojicap_task0", "mojifact_task1", "mojihop_task1", "mojicap_task3"),
    *("mojiscene_task4", "mojirelation_task6", "mojiplain_task7", "mojiedit_task7"),
)
PAIRS = [Pair.parse(name) for name in NAMES]


@pytest.mark.parametrize(
    ("pool", "text", "picture", "chosen"),
    [
        ("mojiedit_task7", True, True, "mojiedit_task7"),
        ("mojiplain_task7", True, True, "mojiplain_task7"),
        ("mojiedit_task7", True, False, "mojicap_task0"),
        ("mojiedit_task7", False, True, "mojiscene_task4"),
        ("mojihop_task1", True, False, "mojihop_task1"),
        ("mojihop_task1", False, True, "mojicap_task3"),
        ("mojihop_task1", True, True, "mojirelation_task6"),
        (None, True, False, "mojicap_task0"),
        (None, False, True, "mojicap_task3"),
        (None, True, True, "mojirelation_task6"),
    ],
)
def test_the_instruction_is_that_of_a_pair_that_asks_so(
    pool: str | None, text: bool, picture: bool, chosen: str
) -> None:
    pair = None if pool is None else Pair.parse(pool)
    assert choose_instruction(PAIRS, pair, has_text=text, has_picture=picture).name == chosen


def test_without_a_pair_that_asks_so_the_pool_s_own_speaks() -> None:
    hop = Pair("mojihop", 1)
    assert choose_instruction([hop], hop, has_text=False, has_picture=True) == hop
