"""Operations of an update (a multiply-add is two), as they count for MFU and as a GPU does them.

Under LoRA a frozen weight has no gradient of its own: forward and the gradient that is handed on, 4 N a
token. Adapters and projector have both, 6 N. The frozen tower is passed forward only, 2 N a patch.
Attention costs 4 x layers x width a pair of positions forward, twice that backward; in the tower, windows
bound the pairs. Recomputing adds another forward of the language layers and of `lm_head`: work, but none
that MFU counts.
"""

from dataclasses import dataclass
from typing import Any

from trace_retriever.replay.network import Counts
from trace_retriever.replay.workload import Load


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Numbers of a network of Qwen2.5-VL's form.

    Attributes:
        layers, width: of the language model; heads x size of a head.
        kv_width: key heads x size of a head.
        hidden, mlp, vocabulary: sizes.
        vision_layers, vision_full, vision_width: of the tower, and how many layers attend to a whole picture.
        window: patches of a window.
        merge: patches of a visual token.
    """

    layers: int
    width: int
    kv_width: int
    hidden: int
    mlp: int
    vocabulary: int
    vision_layers: int
    vision_full: int
    vision_width: int
    window: int
    merge: int

    @classmethod
    def of(cls, config: Any) -> "Shape":
        """Read from a transformers configuration."""
        text, vision = config.get_text_config(), config.vision_config
        size = text.hidden_size // text.num_attention_heads
        merge = vision.spatial_merge_size
        return cls(
            layers=text.num_hidden_layers,
            width=text.num_attention_heads * size,
            kv_width=text.num_key_value_heads * size,
            hidden=text.hidden_size,
            mlp=text.intermediate_size,
            vocabulary=text.vocab_size,
            vision_layers=vision.depth,
            vision_full=len(vision.fullatt_block_indexes),
            vision_width=vision.hidden_size,
            window=(vision.window_size // (vision.patch_size * merge) * merge) ** 2,
            merge=merge**2,
        )


@dataclass(frozen=True)
class Work:
    """Operations of an update.

    Attributes:
        language: frozen layers of the language model.
        adapters: LoRA's.
        head: `lm_head` at the labels.
        attention: of the language model.
        vision: tower and projector.
        recomputed: the second forward, if activations are recomputed.
    """

    language: float
    adapters: float
    head: float
    attention: float
    vision: float
    recomputed: float

    @property
    def useful(self) -> float:
        """What MFU counts."""
        return self.language + self.adapters + self.head + self.attention + self.vision

    @property
    def done(self) -> float:
        """What a GPU does."""
        return self.useful + self.recomputed


def work(shape: Shape, counts: Counts, load: Load, picture: int, *, recompute: bool) -> Work:
    """Operations of an update with LoRA.

    Args:
        shape, counts: the network's.
        load: the update's rows.
        picture: visual tokens of a picture, for the tower's attention.
        recompute: whether activations are recomputed.
    """
    layers, adapters = counts.frozen["language model"], counts.trained["adapters"]
    head, attended = counts.frozen["lm_head"] * load.labels, 4.0 * shape.layers * shape.width * load.pairs
    forward = 2.0 * (layers + adapters) * load.tokens + 2.0 * head + attended
    return Work(
        language=4.0 * layers * load.tokens,
        adapters=6.0 * adapters * load.tokens,
        head=4.0 * head,
        attention=3.0 * attended,
        vision=_vision(shape, counts, load, picture),
        recomputed=forward if recompute else 0.0,
    )


def _vision(shape: Shape, counts: Counts, load: Load, picture: int) -> float:
    patches, own = load.visual * shape.merge, picture * shape.merge
    near = min(own, shape.window)
    pairs = patches * (own * shape.vision_full + near * (shape.vision_layers - shape.vision_full))
    tower = 2.0 * counts.frozen["vision tower"] * patches + 4.0 * shape.vision_width * pairs
    return tower + 6.0 * counts.trained["projector"] * load.visual


def hours(operations: float, steps: int, gpus: int, flops: float, utilisation: float) -> float:
    """Wall-clock hours of so many updates on so many GPUs of a peak rate, at a share of it."""
    return operations * steps / (gpus * flops * utilisation) / 3600
