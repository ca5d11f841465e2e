"""Which of the data set's instructions fits a question, whatever it consists of."""

from collections.abc import Sequence

from trace_retriever.mbeir.pairs import Pair
from trace_retriever.mbeir.records import Modality


def choose_instruction(
    pairs: Sequence[Pair], pool: Pair | None, *, has_text: bool, has_picture: bool
) -> Pair:
    """The pair whose instruction a question takes.

    A pool may be asked with what its own pair never asks with: a pool of pictures that edits look for, with
    words alone. Its instruction would then speak of what is not there; so a pair is taken that asks with the
    same and looks for the same, of the same data set if there is one.

    Args:
        pairs: those of the data set, in their order; at least one.
        pool: the pair whose pool is searched; None for all candidates.
        has_text, has_picture: what the question consists of.
    """
    asked = {(True, False): Modality.TEXT, (False, True): Modality.IMAGE}.get(
        (has_text, has_picture), Modality.BOTH
    )

    def strangeness(pair: Pair) -> tuple[bool, ...]:
        if pool is None:
            return (pair.query_modality is not asked,)
        return (
            pair.candidate_modality is not pool.candidate_modality,
            pair.query_modality is not asked,
            pair.dataset != pool.dataset,
            pair != pool,
        )

    return min(pairs, key=strangeness)
