"""10. What do the published tables support, and what would the 7B run take?"""

from collections import Counter
from pathlib import Path

import pandas as pd

from trace_retriever.experiments.answer import Answer
from trace_retriever.replay.readings import load_readings


def answer(replay: Path) -> Answer:
    """The readings of the paper's own figures; nothing of it is trained here.

    Args:
        replay: `replay.json`, see `replay.write`.
    """
    found = load_readings(replay)
    counts = Counter(one.verdict for one in found)
    listed = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    unsupported = "; ".join(one.claim.rstrip(".") for one in found if one.verdict == "not supported")
    frame = pd.DataFrame(
        [[one.claim, one.data, one.reading, one.verdict] for one in found],
        columns=["claim", "data", "reading", "verdict"],
    )
    return Answer(
        number=10,
        title="Paper replay",
        claim="The published tables support what is concluded from them.",
        verdict=f"{counts['supported']} of {len(found)} readings",
        finding=f"{listed}. Not supported: {unsupported}.",
        seeds=0,
        paragraphs=[
            "The 7B run's exact params are in profiles/paper-7b.yaml; docs/paper-replay.md has its "
            "dry run: parameters, "
            "memory of a GPU, updates and hours.",
        ],
        tables=[("Claims of the paper, or of its readers, held against its own tables", frame)],
    )
