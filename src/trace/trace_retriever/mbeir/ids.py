"""M-BEIR's integer ids, as UniIR has them: qid = dataset x 500,000 + n, did = dataset x 10,000,000 + n."""

from trace_retriever.errors import DataError
from trace_retriever.mbeir.records import CANDIDATE_ID_SPACE, QUERY_ID_SPACE, check_id


def query_number(qid: str) -> int:
    """The integer of a query id `dataset:n`; raises DataError when malformed or n is out of bounds."""
    return _number(qid, QUERY_ID_SPACE)


def query_id(number: int) -> str:
    """The query id of an integer; the inverse of `query_number`."""
    return _id(number, QUERY_ID_SPACE)


def candidate_number(did: str) -> int:
    """The integer of a candidate id `dataset:n`; raises DataError when malformed or n is out of bounds."""
    return _number(did, CANDIDATE_ID_SPACE)


def candidate_id(number: int) -> str:
    """The candidate id of an integer; the inverse of `candidate_number`."""
    return _id(number, CANDIDATE_ID_SPACE)


class IdSet:
    """Integer ids that were seen, as bits in blocks: ids that lie close together cost about a bit each."""

    _BLOCK = 1 << 13

    def __init__(self) -> None:
        self._blocks: dict[int, bytearray] = {}

    def add(self, number: int) -> bool:
        """Add an id; returns whether it was new."""
        block, place = divmod(number, self._BLOCK)
        bits = self._blocks.get(block)
        if bits is None:
            bits = self._blocks[block] = bytearray(self._BLOCK // 8)
        mask = 1 << (place & 7)
        if bits[place >> 3] & mask:
            return False
        bits[place >> 3] |= mask
        return True


def _number(value: str, space: int) -> int:
    try:
        dataset, _, number = check_id(value, space).partition(":")
    except ValueError as error:
        raise DataError(f"{error} (got {value!r})") from None
    return int(dataset) * space + int(number)


def _id(number: int, space: int) -> str:
    if number < 0:
        raise DataError(f"an integer id is not negative (got {number})")
    return f"{number // space}:{number % space}"
