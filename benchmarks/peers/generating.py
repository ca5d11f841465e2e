"""Reasoning loops around transformers' `generate`: greedy, padded on the left, `<|emb|>` ends a row.

Shape legend: B rows, T positions of the padded prompts, D entries of a state.
"""

from collections.abc import Iterable
from typing import Any

import torch

from peers.inputs import Cost, Inputs, Output, Trace, as_output, make_inputs
from trace_retriever.model.bundle import TraceModel


@torch.inference_mode()
def one_by_one(model: TraceModel, batches: Iterable[Inputs], limit: int) -> Output:
    """One query at a time: generate with all hidden states kept, then a forward for the embedding's token.

    As RGE runs. The embedding is taken where TRACE takes it, so the token of the last forward is the one
    before `<|emb|>`, fed again on the generation's own cache.

    Args:
        model: the model.
        batches: of one row each.
        limit: the most tokens that a trace may have.
    """
    cost, traces, vectors = Cost(), [], []
    for batch in batches:
        out = _generate(model, batch, limit, cost, keep_states=True)
        trace = _traces(model, batch, out, limit)[0]
        fed = [int(batch.tensors["input_ids"][0, -1]), *trace][-1]
        cache = out.past_key_values
        cache.crop(-1)
        network: Any = model.network
        last = network(
            input_ids=torch.tensor([[fed]]),
            position_ids=(network.model.rope_deltas + cache.get_seq_length()).expand(3, 1, 1),
            past_key_values=cache,
            output_hidden_states=True,
        )
        cost.decode_steps += 1
        cost.decode_row_steps += 1
        traces.append(trace)
        vectors.append(last.hidden_states[-1][:, -1])
    return _finish(vectors, traces, cost)


@torch.inference_mode()
def static_batches(model: TraceModel, batches: Iterable[Inputs], limit: int) -> Output:
    """Static batches, all hidden states of all layers kept for every step, the embedding picked from them.

    As UME-R1 runs (batches of four). A batch runs until its slowest row is done.

    Args:
        model: the model.
        batches: padded on the left.
        limit: the most tokens that a trace may have.
    """
    cost, traces, vectors = Cost(), [], []
    for batch in batches:
        out = _generate(model, batch, limit, cost, keep_states=True)
        found = _traces(model, batch, out, limit)
        last = [out.hidden_states[len(trace)][-1][row, -1] for row, trace in enumerate(found)]
        traces += found
        vectors.append(torch.stack(last))
    return _finish(vectors, traces, cost)


@torch.inference_mode()
def generate_then_reencode(model: TraceModel, batches: Iterable[Inputs], limit: int) -> Output:
    """Write traces in static batches, then encode prompt and trace together in a second, full forward.

    As think-then-embed and its kin run, here with one network in both parts.

    Args:
        model: the model.
        batches: padded on the left.
        limit: the most tokens that a trace may have.
    """
    cost, traces, vectors = Cost(), [], []
    for batch in batches:
        found = _traces(model, batch, _generate(model, batch, limit, cost, keep_states=False), limit)
        vectors.append(embed(model, make_inputs(model, batch.items, found, left=False), cost))
        traces += found
    return _finish(vectors, traces, cost)


@torch.inference_mode()
def direct(model: TraceModel, batches: Iterable[Inputs]) -> Output:
    """Encode without reasoning: the whole causal model in dataset order, padded to the longest row.

    As VLM2Vec runs: all layers' states are returned and `lm_head` sees every position.

    Args:
        model: the model.
        batches: padded on the right.
    """
    cost, traces, vectors = Cost(), list[Trace](), []
    for batch in batches:
        vectors.append(embed(model, batch, cost))
        cost.prefill_tokens += sum(batch.lengths)
        traces += [()] * len(batch.items)
    return _finish(vectors, traces, cost)


def embed(model: TraceModel, batch: Inputs, cost: Cost) -> torch.Tensor:
    """One forward of the causal model over rows padded on the right: states at their last tokens [B, D]."""
    network: Any = model.network
    out = network(**batch.tensors, output_hidden_states=True, return_dict=True)
    cost.prefill_slots += batch.tensors["input_ids"].numel()
    cost.pictures += batch.pictures
    cost.state_bytes = max(cost.state_bytes, sum(layer.nbytes for layer in out.hidden_states))
    states_BD: torch.Tensor = out.hidden_states[-1][
        torch.arange(len(batch.items)), torch.tensor(batch.lengths) - 1
    ]
    return states_BD.clone()


def _generate(model: TraceModel, batch: Inputs, limit: int, cost: Cost, *, keep_states: bool) -> Any:
    """`generate`, and what it cost: it computes every row of the batch until the last one is done."""
    network: Any = model.network
    out = network.generate(
        **batch.tensors,
        max_new_tokens=limit + 1,
        do_sample=False,
        eos_token_id=model.emb_id,
        pad_token_id=model.pad_id,
        return_dict_in_generate=True,
        output_hidden_states=keep_states,
    )
    rows, width = batch.tensors["input_ids"].shape
    steps = out.sequences.shape[1] - width - 1  # the first new token comes from the prompt's own forward
    cost.prefill_slots += rows * width
    cost.prefill_tokens += sum(batch.lengths)
    cost.pictures += batch.pictures
    cost.decode_steps += steps
    cost.decode_row_steps += rows * steps
    if keep_states:
        kept = sum(layer.nbytes for step in out.hidden_states for layer in step)
        cost.state_bytes = max(cost.state_bytes, kept)
    return out


def _traces(model: TraceModel, batch: Inputs, out: Any, limit: int) -> list[Trace]:
    """Each row's new tokens before `<|emb|>`, at most `limit`."""
    found = []
    for new in out.sequences[:, batch.tensors["input_ids"].shape[1] :].tolist():
        end = new.index(model.emb_id) if model.emb_id in new else limit
        found.append(tuple(new[: min(end, limit)]))
    return found


def _finish(vectors: list[torch.Tensor], traces: list[Trace], cost: Cost) -> Output:
    cost.needed_row_steps = sum(map(len, traces))
    return as_output(vectors, traces, cost)
