"""The (data set, task) pairs of M-BEIR and of the made benchmark: ids, modalities, sizes, headline metric."""

from dataclasses import dataclass
from typing import Literal, Self

from trace_retriever.errors import DataError
from trace_retriever.mbeir.records import Modality

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

OFFICIAL_DATASETS = {
    "visualnews": 0,
    "fashion200k": 1,
    "webqa": 2,
    "edis": 3,
    "nights": 4,
    "oven": 5,
    "infoseek": 6,
    "fashioniq": 7,
    "cirr": 8,
    "mscoco": 9,
}
MADE_DATASETS = {
    "mojicap": 10,
    "mojiscene": 11,
    "mojiconcept": 12,
    "mojifact": 13,
    "mojihop": 14,
    "mojiobject": 15,
    "mojirelation": 16,
    "mojiplain": 17,
    "mojiedit": 18,
}
DATASET_IDS = OFFICIAL_DATASETS | MADE_DATASETS

# The paper's table of M-BEIR-CoT (its section on the data): these data sets got traces, the others none.
COMPLEX_DATASETS = frozenset(
    {"cirr", "fashioniq", "infoseek", "oven"}
    | {"mojihop", "mojirelation", "mojiedit"}  # the paper's | the made ones
)

TASK_MODALITIES = {
    0: (Modality.TEXT, Modality.IMAGE),
    1: (Modality.TEXT, Modality.TEXT),
    2: (Modality.TEXT, Modality.BOTH),
    3: (Modality.IMAGE, Modality.TEXT),
    4: (Modality.IMAGE, Modality.IMAGE),
    6: (Modality.BOTH, Modality.TEXT),
    7: (Modality.BOTH, Modality.IMAGE),
    8: (Modality.BOTH, Modality.BOTH),
}
"""Task id → (query modality, candidate modality); M-BEIR leaves 5 unused."""


@dataclass(frozen=True, order=True)
class Pair:
    """One data set under one task, such as `mscoco_task0`.

    Attributes:
        task: M-BEIR's task id, a key of `TASK_MODALITIES`.
        dataset: its lower-case name, a key of `DATASET_IDS`.

    Raises:
        DataError: the data set or the task is not known.
    """

    dataset: str
    task: int

    def __post_init__(self) -> None:
        if self.dataset not in DATASET_IDS:
            raise DataError(
                f"unknown data set {self.dataset!r}", remedy=f"known ones: {', '.join(sorted(DATASET_IDS))}"
            )
        if self.task not in TASK_MODALITIES:
            known = ", ".join(map(str, TASK_MODALITIES))
            raise DataError(f"unknown task {self.task} of {self.dataset!r}", remedy=f"known ones: {known}")

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a name `dataset_taskN`.

        Raises:
            DataError: the name has another form, or its data set or task is not known.
        """
        dataset, found, task = name.rpartition("_task")
        if not found or not (task.isascii() and task.isdecimal()):
            raise DataError(f"{name!r} is not the name of a pair", remedy="write it like 'mscoco_task0'")
        return cls(dataset=dataset, task=int(task))

    @property
    def name(self) -> str:
        """The name as files spell it: `dataset_taskN`."""
        return f"{self.dataset}_task{self.task}"

    @property
    def dataset_id(self) -> int:
        """The number before the colon of the data set's query and candidate ids."""
        return DATASET_IDS[self.dataset]

    @property
    def query_modality(self) -> Modality:
        """What the task's queries consist of."""
        return TASK_MODALITIES[self.task][0]

    @property
    def candidate_modality(self) -> Modality:
        """What the task's candidates consist of."""
        return TASK_MODALITIES[self.task][1]

    @property
    def is_complex(self) -> bool:
        """Whether the paper's table counts the data set among those that need reasoning."""
        return self.dataset in COMPLEX_DATASETS

    @property
    def is_made(self) -> bool:
        """Whether the pair belongs to the made benchmark."""
        return self.dataset in MADE_DATASETS

    @property
    def has_split_pools(self) -> bool:
        """Whether M-BEIR gives the pair one pool for val and another for test (MSCOCO alone)."""
        return self.dataset == "mscoco"

    @property
    def recall_ks(self) -> tuple[int, int, int]:
        """The cut-offs k that M-BEIR reports for the pair."""
        return (10, 20, 50) if self.headline_k == 10 else (1, 5, 10)

    @property
    def headline_k(self) -> int:
        """The k of the pair's headline hit@k: 10 for the two fashion data sets, else 5."""
        return 10 if self.dataset in ("fashion200k", "fashioniq") else 5

    def __str__(self) -> str:
        return self.name


def sorted_pairs(pairs: "set[Pair] | frozenset[Pair]") -> list[Pair]:
    """Pairs by task, as in M-BEIR's tables, and within a task by data set id."""
    return sorted(pairs, key=lambda pair: (pair.task, pair.dataset_id))


@dataclass(frozen=True)
class PairSize:
    """About how many queries and candidates an official pair has (M-BEIR's data card, rounded)."""

    train: int
    val: int
    test: int
    pool: int


OFFICIAL_PAIRS: dict[Pair, PairSize] = {
    Pair("visualnews", 0): PairSize(99_000, 20_000, 20_000, 542_000),
    Pair("mscoco", 0): PairSize(100_000, 24_800, 24_800, 5_000),
    Pair("fashion200k", 0): PairSize(15_000, 1_700, 1_700, 201_000),
    Pair("webqa", 1): PairSize(16_000, 1_700, 2_400, 544_000),
    Pair("edis", 2): PairSize(26_000, 3_200, 3_200, 1_000_000),
    Pair("webqa", 2): PairSize(17_000, 1_700, 2_500, 403_000),
    Pair("visualnews", 3): PairSize(100_000, 20_000, 20_000, 537_000),
    Pair("mscoco", 3): PairSize(113_000, 5_000, 5_000, 25_000),
    Pair("fashion200k", 3): PairSize(15_000, 4_800, 4_800, 61_000),
    Pair("nights", 4): PairSize(16_000, 2_000, 2_000, 40_000),
    Pair("oven", 6): PairSize(150_000, 50_000, 50_000, 676_000),
    Pair("infoseek", 6): PairSize(141_000, 11_000, 11_000, 611_000),
    Pair("fashioniq", 7): PairSize(16_000, 2_000, 6_000, 74_000),
    Pair("cirr", 7): PairSize(26_000, 2_000, 4_000, 21_000),
    Pair("oven", 8): PairSize(157_000, 14_700, 14_700, 335_000),
    Pair("infoseek", 8): PairSize(143_000, 17_600, 17_600, 481_000),
}
"""The 16 official pairs, in the order of M-BEIR's table."""


# UniIR's union train file repeats its smaller data sets until they have about so many queries.
UPSAMPLED_TO = {"webqa": 100_000, "edis": 50_000, "nights": 50_000, "fashioniq": 50_000, "cirr": 50_000}


def upsampling(dataset: str) -> float:
    """How many times the union of train queries holds each query: 1, or more for UniIR's small data sets.

    It is the ratio of UniIR's target to the data set's own size, so that a part of one keeps its weight.
    """
    if dataset not in UPSAMPLED_TO:
        return 1.0
    size = sum(size.train for pair, size in OFFICIAL_PAIRS.items() if pair.dataset == dataset)
    return UPSAMPLED_TO[dataset] / size
