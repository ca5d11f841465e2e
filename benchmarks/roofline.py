"""What a Qwen-VL network's work costs in operations and bytes, and the least time that takes: the roofline.

A matrix of shape [a, b] costs 2ab operations a row. Of a step, the larger counts: operations over the
device's rate, or bytes read over its bandwidth. Norms, activations, rotations and softmax are left out;
tests hold the counts against the parameters of real networks and against torch's own counter.

Shape legend: T text tokens, V visual tokens (of `merge`^2 patches each), c tokens in a row's cache.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

VISION_BIASED = 4  # linear layers of a vision block that have a bias beside the MLP's: qkv (3 parts) and proj


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Numbers of one network, all counts of weights.

    Attributes:
        layers: weights of the language model's layers in matrices: read, and used, once a token.
        small: the language model's norms and biases.
        head: weights of `lm_head`; `embedding` those of the table of tokens, `tied` if they are one.
        depth, width: layers, and heads x size of a head: attention costs 4 x depth x width a pair of tokens.
        kv_width: key heads x size of a head, of each layer.
        vision: weights in matrices that each patch passes; `vision_small` the tower's norms and biases.
        merger: weights in matrices that each visual token passes.
        vision_depth, vision_width: as depth and width, of the tower.
        merge: patches on a side of a visual token.
        window: patches that a patch attends to in windowed layers; 0 for all of them.
        full_layers: layers of the tower that attend to all patches.
    """

    layers: int
    small: int
    head: int
    embedding: int
    tied: bool
    depth: int
    width: int
    kv_width: int
    vision: int
    vision_small: int
    merger: int
    vision_depth: int
    vision_width: int
    merge: int
    window: int
    full_layers: int

    @classmethod
    def of(cls, config: Any) -> "Shape":
        """Read from a transformers configuration of Qwen2.5-VL's form."""
        text, vision = config.get_text_config(), config.vision_config
        h, depth = text.hidden_size, text.num_hidden_layers
        size = getattr(text, "head_dim", None) or h // text.num_attention_heads
        width, kv = text.num_attention_heads * size, text.num_key_value_heads * size
        v, merge = vision.hidden_size, vision.spatial_merge_size
        block = 4 * v * v + 3 * v * vision.intermediate_size
        patch = vision.in_channels * vision.temporal_patch_size * vision.patch_size**2
        wide = v * merge**2
        unit = vision.patch_size * merge
        return cls(
            layers=depth * (2 * h * width + 2 * h * kv + 3 * h * text.intermediate_size),
            small=depth * (2 * h + width + 2 * kv) + h,
            head=h * text.vocab_size,
            embedding=h * text.vocab_size,
            tied=bool(config.tie_word_embeddings),
            depth=depth,
            width=width,
            kv_width=kv,
            vision=vision.depth * block + patch * v,
            vision_small=vision.depth * (2 * v + VISION_BIASED * v + 2 * vision.intermediate_size + v)
            + (v + wide + vision.out_hidden_size),
            merger=wide * wide + wide * vision.out_hidden_size,
            vision_depth=vision.depth,
            vision_width=v,
            merge=merge,
            window=(vision.window_size // unit * merge) ** 2,
            full_layers=len(vision.fullatt_block_indexes),
        )

    @property
    def language(self) -> int:
        """Weights of the language model without its table of tokens and `lm_head`."""
        return self.layers + self.small

    @property
    def parameters(self) -> int:
        """All weights of the network."""
        tables = self.head if self.tied else self.head + self.embedding
        return self.language + tables + self.vision + self.vision_small + self.merger


@dataclass(frozen=True)
class Work:
    """Operations (a multiply-add is two) and bytes read."""

    flop: float = 0.0
    bytes: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flop + other.flop, self.bytes + other.bytes)


@dataclass(frozen=True)
class Device:
    """What a device was measured to do: bytes a second and operations a second."""

    bandwidth: float
    flops: float

    def seconds(self, work: Work) -> float:
        """The least time of work that is done at once."""
        return max(work.bytes / self.bandwidth, work.flop / self.flops)


def attention(depth: int, width: int, pairs: float) -> float:
    """Operations of scores and weighted sums over pairs of positions, in all layers."""
    return 4.0 * depth * width * pairs


def prefill(shape: Shape, text: int, visual: int = 0, *, causal: bool = True) -> float:
    """Operations of one prompt: the language model over all tokens, `lm_head` at the last, the tower.

    Args:
        shape: the network.
        text, visual: tokens.
        causal: count only the pairs that a causal kernel computes; else all of them.
    """
    tokens = text + visual
    pairs = tokens * (tokens + 1) / 2 if causal else tokens**2
    language = 2.0 * shape.layers * tokens + 2.0 * shape.head
    return language + attention(shape.depth, shape.width, pairs) + encode_image(shape, visual)


def encode_image(shape: Shape, visual: int) -> float:
    """Operations of the vision tower for one picture."""
    patches = visual * shape.merge**2
    near = min(patches, shape.window) if shape.window else patches
    windowed = shape.vision_depth - shape.full_layers
    pairs = patches * (patches * shape.full_layers + near * windowed)
    return (
        2.0 * shape.vision * patches + 2.0 * shape.merger * visual + attention(1, shape.vision_width, pairs)
    )


def decode(shape: Shape, context: float) -> float:
    """Operations of one token of one row that attends to `context` positions."""
    return 2.0 * (shape.layers + shape.head) + attention(shape.depth, shape.width, context)


def kv_bytes(shape: Shape, itemsize: int = 2) -> int:
    """Bytes of keys and values of one token."""
    return 2 * shape.depth * shape.kv_width * itemsize


def step(shape: Shape, contexts: Sequence[float] | int, context: float = 0.0, *, itemsize: int = 2) -> Work:
    """One decoding step: weights are read once, each row's cache once.

    Args:
        shape: the network.
        contexts: the rows' positions, or how many rows there are.
        context: positions of each row, if `contexts` is their number.
        itemsize: bytes of a weight and of a cached number.
    """
    rows = [context] * contexts if isinstance(contexts, int) else contexts
    weights = (shape.language + shape.head) * itemsize
    return Work(
        flop=sum(decode(shape, one) for one in rows),
        bytes=float(weights + sum(rows) * kv_bytes(shape, itemsize)),
    )


def prefill_work(
    shape: Shape, prompts: Iterable[tuple[int, int]], *, batch: int, itemsize: int = 2
) -> list[Work]:
    """Batches of prompts as work: operations of each, and the weights read once a batch.

    Args:
        shape: the network.
        prompts: text and visual tokens of each.
        batch: prompts of a batch.
        itemsize: bytes of a weight.
    """
    found = [prefill(shape, text, visual) for text, visual in prompts]
    read = float((shape.language + shape.head + shape.vision + shape.merger) * itemsize)
    return [Work(sum(found[start : start + batch]), read) for start in range(0, len(found), batch)]


def reasoning_seconds(
    shape: Shape,
    device: Device,
    *,
    text: int,
    visual: int,
    trace: int,
    rows: int,
    itemsize: int = 2,
    batch: int | None = None,
) -> float:
    """The least time of one query with a trace, when `rows` of them always write side by side.

    Args:
        shape, device: network and device.
        text, visual, trace: tokens.
        rows: how many write at a time.
        itemsize: bytes of a weight.
        batch: prompts of a prefill; by default `rows`.
    """
    prompts = batch or rows
    first = prefill_work(shape, [(text, visual)] * prompts, batch=prompts, itemsize=itemsize)[0]
    seconds = device.seconds(first) / prompts
    for written in range(trace):
        one = step(shape, rows, float(text + visual + written + 1), itemsize=itemsize)
        seconds += device.seconds(one) / rows
    return seconds


def training(shape: Shape, *, tokens: int, visual: int, labels: int, pairs: float, lora: bool) -> float:
    """Operations of an update that count as useful (MFU): nothing that is computed again.

    Under LoRA the frozen weights have no gradient of their own: forward and the gradient on, 4 N a token;
    full tuning has 6 N. The frozen tower is passed forward only; the projector trains. The adapters' own
    operations are left out: they are overhead.

    Args:
        shape: the network.
        tokens: of the language model, without padding.
        visual: of them, visual ones.
        labels: positions at which `lm_head` is applied.
        pairs: of positions that attention computes, summed over rows.
        lora: adapters on the language model; else all weights train.
    """
    factor = 4.0 if lora else 6.0
    language = factor * (shape.layers * tokens + shape.head * labels)
    attended = 3.0 * attention(shape.depth, shape.width, pairs)
    patches = visual * shape.merge**2
    tower = (2.0 if lora else 6.0) * shape.vision * patches + 6.0 * shape.merger * visual
    return language + attended + tower
