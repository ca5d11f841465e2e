"""Networks with random weights for measurements: 7B-shaped on a GPU, tiny on a CPU, built where they run.

Nothing is downloaded: weights are drawn on the device, words are made, and each is one token.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from trace_retriever.config.backbone import TinySize
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.items import Item
from trace_retriever.model.settings import Settings
from trace_retriever.model.tiny import SPECIAL, image_processor, tiny_config, word_tokenizer
from trace_retriever.model.vision_attention import attend_by_length

WORDS = 1000  # of the made vocabulary; the table of tokens has all of Qwen's rows
TINY = TinySize(max_trace_tokens=400)


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What queries and candidates are like.

    Attributes:
        visual: tokens of a picture.
        words: of a query beside its picture.
        candidate: words of a candidate; `candidate_few` beside its picture, if it is one alone.
        trace: tokens of a trace.
    """

    visual: int
    words: int
    candidate: int
    candidate_few: int
    trace: int


LARGE_SIZES = Sizes(visual=256, words=96, candidate=130, candidate_few=30, trace=150)
TINY_SIZES = Sizes(visual=16, words=12, candidate=16, candidate_few=4, trace=8)


def big_config() -> Any:
    """The shape of Qwen2.5-VL-7B, with the special tokens of the made vocabulary."""
    from transformers import Qwen2_5_VLConfig

    names = {"image": "<|image_pad|>", "video": "<|video_pad|>"}
    places = {f"{name}_token_id": SPECIAL.index(token) for name, token in names.items()}
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 152_064,
            "hidden_size": 3584,
            "num_hidden_layers": 28,
            "num_attention_heads": 28,
            "num_key_value_heads": 4,
            "intermediate_size": 18_944,
            "max_position_embeddings": 128_000,
            "rms_norm_eps": 1e-6,
            "tie_word_embeddings": False,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
            "bos_token_id": None,
            "eos_token_id": None,
            "pad_token_id": 0,
        },
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [7, 15, 23, 31],
            "out_hidden_size": 3584,
        },
        tie_word_embeddings=False,
        vision_start_token_id=SPECIAL.index("<|vision_start|>"),
        vision_end_token_id=SPECIAL.index("<|vision_end|>"),
        **places,
    )


def small_config() -> Any:
    """The tiny shape, with an `lm_head` of its own as the large one has."""
    config = tiny_config(TINY, vocabulary=len(SPECIAL) + WORDS)
    config.tie_word_embeddings = config.text_config.tie_word_embeddings = False
    return config


def build(device: torch.device, *, tiny: bool, seed: int = 0) -> TraceModel:
    """A model with random weights: 7B-shaped in bfloat16, or tiny in float32.

    No special token is ever its choice, `<|emb|>` neither: traces end at the limit, whatever that is set to.

    Args:
        device: where weights are drawn.
        tiny: which.
        seed: of the weights.
    """
    config = small_config() if tiny else big_config()
    side = 28 if not tiny else 2 * TINY.patch
    tokens = (TINY_SIZES if tiny else LARGE_SIZES).visual
    settings = Settings(
        max_prompt_tokens=2048 if not tiny else 256,
        max_trace_tokens=400,
        min_pixels=side**2,
        max_pixels=tokens * side**2,
    )
    processor = image_processor(TINY)
    if not tiny:
        processor |= {"patch_size": 14}
    network = _drawn(config, device, torch.float32 if tiny else torch.bfloat16, seed)
    attend_by_length(network)
    return TraceModel(network, word_tokenizer([f"w{number}" for number in range(WORDS)]), processor, settings)


def _drawn(config: Any, device: torch.device, dtype: torch.dtype, seed: int) -> Any:
    """A network whose weights never were anywhere but on the device; buffers (rotary angles) are real."""
    from accelerate import init_empty_weights
    from transformers import Qwen2_5_VLForConditionalGeneration

    with init_empty_weights(include_buffers=False):
        network = Qwen2_5_VLForConditionalGeneration(config)
    generator = torch.Generator(device).manual_seed(seed)
    for module in network.modules():
        for name, weight in module.named_parameters(recurse=False):
            drawn = torch.empty(weight.shape, dtype=dtype, device=device)
            module.register_parameter(name, nn.Parameter(_fill(drawn, name, generator)))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(device))
    with torch.no_grad():
        network.lm_head.weight[: len(SPECIAL)] = 0.0  # below the largest of many random logits
    return network.eval()


def _fill(weight: torch.Tensor, name: str, generator: torch.Generator) -> torch.Tensor:
    """As transformers draws new weights: small matrices, norms of one, biases of zero."""
    if name == "bias":
        return weight.zero_()
    return weight.fill_(1.0) if weight.ndim == 1 else weight.normal_(0.0, 0.02, generator=generator)


def queries(sizes: Sizes, count: int, spec: Any, *, seed: int = 0, pool: int = 0) -> list[Item]:
    """Queries of a picture and words.

    Args:
        sizes: how large they are.
        count: how many.
        spec: how pictures are cut.
        seed: of words and pixels.
        pool: different pictures; 0 for one each.
    """
    rng = np.random.default_rng(seed)
    pictures = list(_pictures(rng, sizes.visual, spec, pool or count))
    return [Item(_words(rng, sizes.words), pictures[number % len(pictures)]) for number in range(count)]


def candidates(sizes: Sizes, kind: str, count: int, spec: Any, *, seed: int = 1) -> list[Item]:
    """Candidates of a kind: `text`, `image` (with a few words, as prompts have) or `both`."""
    rng = np.random.default_rng(seed)
    if kind == "text":
        return [Item(_words(rng, sizes.candidate)) for _ in range(count)]
    words = sizes.candidate if kind == "both" else sizes.candidate_few
    return [Item(_words(rng, words), picture) for picture in _pictures(rng, sizes.visual, spec, count)]


def _words(rng: np.random.Generator, count: int) -> str:
    return " ".join(f"w{number}" for number in rng.integers(WORDS, size=count))


def _pictures(rng: np.random.Generator, tokens: int, spec: Any, count: int) -> Iterator[Image.Image]:
    """Square pictures that take so many tokens, and are not scaled."""
    side = int(tokens**0.5) * spec.patch_size * spec.merge_size
    for _ in range(count):
        yield Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))


def tokens_of(model: TraceModel, items: Sequence[Item]) -> list[tuple[int, int]]:
    """Text and visual tokens of each item's prompt."""
    found = []
    for item in items:
        visual = 0 if item.image is None else model.pictures.spec.tokens(model.pictures.grid(_size(item)))
        found.append((len(model.prompter.ids(item.text, visual, 4096)) - visual, visual))
    return found


def _size(item: Item) -> tuple[int, int]:
    assert isinstance(item.image, Image.Image)
    return item.image.size
