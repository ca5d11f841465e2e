"""Which requests go to the canary: by their id, so that the same id always has the same answer."""

import hashlib

BUCKETS = 10_000


def goes_to_canary(key: str, percent: float, salt: str = "") -> bool:
    """Whether a request is the canary's.

    An id that is the canary's at some percent stays so at each greater one.

    Args:
        key: the request's id.
        percent: of all ids, 0 to 100.
        salt: of the rollout, so that another one takes other ids first.
    """
    digest = hashlib.blake2b(f"{salt}\0{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) % BUCKETS < percent * BUCKETS / 100
