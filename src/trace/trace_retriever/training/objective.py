"""The one-stage loss (paper, method): CE on traces and `<|emb|>`, InfoNCE at the state before `<|emb|>`.

Each process returns its share of the global loss times the number of processes, so that the mean of the
processes' gradients, which DeepSpeed takes, is the gradient that one process would compute over all rows.

Shape legend: Q queries of this process, C its candidates, R = Q + C its rows, M candidates of all processes,
H hidden size, L labels, P known positives of a query.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from trace_retriever.config.train import LossParams, Position
from trace_retriever.model.forward import hidden_states, last_states, logits, normalise
from trace_retriever.model.positions import pooled
from trace_retriever.training.batches import Chunk, StepBatch
from trace_retriever.training.distributed import gather_objects, gather_rows, rank

MIN_TEMPERATURE = 0.01
Figures = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Read:
    """What a chunk's forward gives: unit vectors of its rows and the summed CE of its labels.

    Attributes:
        last: where the embedding is read (the last token, the pre-token state), float32 [B', H].
        prompt: at each row's last prompt token, float32 [B', H].
        ce: cross-entropy in nats, summed over the chunk's labels.
    """

    last: torch.Tensor
    prompt: torch.Tensor
    ce: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Peers:
    """What the processes know of each other's rows in one update.

    Attributes:
        counts: candidates of each process; this process is number `rank`.
        ids: integer ids of all candidates, [M].
        labels, queries, complex: totals over all processes.
    """

    rank: int
    counts: tuple[int, ...]
    ids: torch.Tensor
    labels: int
    queries: int
    complex: int

    @property
    def world(self) -> int:
        """How many processes there are."""
        return len(self.counts)

    @classmethod
    def meet(cls, step: StepBatch) -> "Peers":
        """Tell the other processes what this one has, and hear of theirs."""
        mine = (step.candidate_ids.tolist(), step.labels, len(step.is_complex), int(step.is_complex.sum()))
        ids, labels, queries, complex_ = zip(*gather_objects(mine), strict=True)
        return cls(
            rank=rank(),
            counts=tuple(map(len, ids)),
            ids=torch.tensor([number for part in ids for number in part], device=step.candidate_ids.device),
            labels=sum(labels),
            queries=sum(queries),
            complex=sum(complex_),
        )


class TraceObjective(nn.Module):
    """A network and its loss as the one module that DeepSpeed wraps.

    Args:
        network: the vision-language network that trains.
        params: weights of the losses and the temperature.
        generates: False for the encoder-only variant, which has InfoNCE alone.
        position: where embeddings are read; `mark_id` is for `structure`, see `model.positions`.
    """

    def __init__(
        self,
        network: nn.Module,
        params: LossParams,
        *,
        generates: bool,
        position: Position = "before_emb",
        mark_id: int | None = None,
    ) -> None:
        super().__init__()
        self.position, self.mark_id = position, mark_id
        self.network = network
        self.params = params
        self.lambda_gen = params.lambda_gen if generates else 0.0
        # an encoder's only state is the prompt's last: the direct loss would count its complex queries twice
        self.direct_weight = params.direct_weight if generates else 0.0
        scale = torch.tensor([-math.log(params.temperature)])  # one number; DeepSpeed takes no scalars
        self.log_scale = nn.Parameter(scale) if params.learn_temperature else None

    def forward(self, step: StepBatch) -> tuple[torch.Tensor, Figures]:
        """One update's loss (this process's share, see the module) and its parts, to log."""
        peers = Peers.meet(step)
        reads = [self.read(chunk) for chunk in step.chunks]
        last, prompt = assemble(step, reads)
        contrast, figures = self.contrast(step, peers, last, prompt)
        ce = self.generation(torch.stack([read.ce for read in reads]).sum(), peers)
        loss = contrast + self.lambda_gen * ce
        return loss, {"loss": loss, "ce": ce, **figures}

    def read(self, chunk: Chunk, *, labels: bool = True) -> Read:
        """Run a chunk's rows through the network."""
        states = hidden_states(self.network, chunk.batch)
        rows = len(chunk.places)
        ce = states.new_zeros((), dtype=torch.float32)
        if labels and self.lambda_gen:
            predicting = states[chunk.label_rows, chunk.label_columns]
            # logits are made anew in the backward pass: with a vocabulary of 152k they would not fit
            ce = checkpoint(
                self._ce, predicting, chunk.label_ids, use_reentrant=False, preserve_rng_state=False
            )
        return Read(
            normalise(pooled(states, chunk.batch, self.position, self.mark_id)[:rows]),
            normalise(last_states(states, chunk.batch["prompt_lengths"])[:rows]),
            ce,
        )

    def _ce(self, states_LH: torch.Tensor, labels_L: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits(self.network, states_LH).float(), labels_L, reduction="sum")

    def generation(self, ce_sum: torch.Tensor, peers: Peers) -> torch.Tensor:
        """CE as a mean over all processes' label tokens."""
        return ce_sum * (peers.world / max(1, peers.labels))

    def contrast(
        self, step: StepBatch, peers: Peers, last_RH: torch.Tensor, prompt_RH: torch.Tensor
    ) -> tuple[torch.Tensor, Figures]:
        """`lambda_ret` x InfoNCE plus `direct_weight` x the direct one, and their parts, to log."""
        count = len(step.is_complex)
        candidates_MH = gather_rows(last_RH[count:], peers.counts)
        targets_Q = torch.arange(count, device=last_RH.device) + sum(peers.counts[: peers.rank])
        hidden_QM = known(step.positives, peers.ids, targets_Q)
        scale = self.scale()
        pairs = (last_RH[:count], candidates_MH, targets_Q, hidden_QM)
        nce = info_nce(*pairs, scale) * (peers.world / peers.queries)
        figures = {"info_nce": nce}
        loss = self.params.lambda_ret * nce
        if self.direct_weight:
            which = step.is_complex
            direct = info_nce(
                prompt_RH[:count][which], candidates_MH, targets_Q[which], hidden_QM[which], scale
            )
            figures["direct"] = direct * (peers.world / max(1, peers.complex))
            loss = loss + self.direct_weight * float(step.direct) * figures["direct"]
        if self.log_scale is not None:
            figures["temperature"] = 1 / scale.squeeze()
        return loss, figures

    def scale(self) -> torch.Tensor:
        """The inverse temperature."""
        if self.log_scale is None:
            return torch.tensor(1 / self.params.temperature)
        return self.log_scale.float().clamp(0.0, -math.log(MIN_TEMPERATURE)).exp()


def assemble(step: StepBatch, reads: list[Read]) -> tuple[torch.Tensor, torch.Tensor]:
    """The chunks' vectors in the process's order: queries, then candidates; (last [R, H], prompt [R, H])."""
    back = torch.argsort(torch.cat([chunk.places for chunk in step.chunks]))
    return torch.cat([read.last for read in reads])[back], torch.cat([read.prompt for read in reads])[back]


def known(positives_QP: torch.Tensor, ids_M: torch.Tensor, targets_Q: torch.Tensor) -> torch.Tensor:
    """Candidates that are no negatives of a query, bool [Q, M]: known positives and copies of its target.

    The target itself is not among them: it is what the query must find.
    """
    ids_Q1 = ids_M[targets_Q][:, None]
    hidden = (positives_QP[:, :, None] == ids_M).any(dim=1) | (ids_Q1 == ids_M)
    return hidden.scatter(1, targets_Q[:, None], False)


def info_nce(
    queries_QH: torch.Tensor,
    candidates_MH: torch.Tensor,
    targets_Q: torch.Tensor,
    hidden_QM: torch.Tensor,
    scale: torch.Tensor,
) -> torch.Tensor:
    """InfoNCE summed over queries: -log softmax(scale x cosine) at the target, hidden candidates left out."""
    scores = (queries_QH @ candidates_MH.T * scale).masked_fill(hidden_QM, -torch.inf)
    return F.cross_entropy(scores, targets_Q, reduction="sum")
