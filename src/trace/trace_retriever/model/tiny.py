"""A Qwen2.5-VL of about a million parameters: the architecture of the 7B model, small enough for a laptop."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from trace_retriever.config.backbone import TinySize
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.settings import EMB_TOKEN, Settings

PAD, UNKNOWN, VISION_START, VISION_END, IMAGE, VIDEO, THINK = (
    "<|pad|>",
    "<|unk|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<think>",
)
EMBEDDING_GAIN = 4.0
OUTPUT_GAIN = 0.2
SPECIAL = (PAD, UNKNOWN, VISION_START, VISION_END, IMAGE, VIDEO, THINK, EMB_TOKEN)

CHAT_TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    f"{{% if part['type'] == 'image' %}}{VISION_START}{IMAGE}{VISION_END}"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
    f"{{% if add_generation_prompt %}}{THINK}{{% endif %}}"
)


def build_tiny(size: TinySize, words: Sequence[str], *, pixels: int, seed: int) -> TraceModel:
    """A tiny model with random weights and a word-level tokenizer.

    Args:
        size: the shape.
        words: the vocabulary, lower case, beyond the special tokens.
        pixels: side of the square pictures it will see.
        seed: of the weights.
    """
    from transformers import Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(seed)
    network = Qwen2_5_VLForConditionalGeneration(tiny_config(size, vocabulary=len(SPECIAL) + len(words)))
    rescale_initial_weights(network)
    settings = Settings(
        max_prompt_tokens=256,
        max_trace_tokens=size.max_trace_tokens,
        min_pixels=(2 * size.patch) ** 2,
        max_pixels=pixels**2,
    )
    return TraceModel(network.eval(), word_tokenizer(words), image_processor(size), settings)


@torch.no_grad()
def rescale_initial_weights(network: nn.Module) -> None:
    """Let a word's identity outweigh what random layers add to it.

    With transformers' one range for all weights, a token's embedding is a sixth of what the first layer adds,
    and learning to copy takes many times as long: on repeated random words, 95 % right after 450 steps
    against 35 %.
    """
    for name, weight in network.named_parameters():
        if "embed_tokens" in name:
            weight.mul_(EMBEDDING_GAIN)
        elif "language_model" in name and name.endswith(("o_proj.weight", "down_proj.weight")):
            weight.mul_(OUTPUT_GAIN)


def tiny_config(size: TinySize, vocabulary: int) -> Any:
    """The transformers configuration of the tiny model."""
    from transformers import Qwen2_5_VLConfig

    head = size.hidden // size.heads
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": vocabulary,
            "hidden_size": size.hidden,
            "num_hidden_layers": size.layers,
            "num_attention_heads": size.heads,
            "num_key_value_heads": max(1, size.heads // 2),
            "intermediate_size": size.mlp,
            "max_position_embeddings": 1024,
            "initializer_range": 0.05,
            "tie_word_embeddings": True,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [head // 8, 3 * head // 16, 3 * head // 16],
            },
            "bos_token_id": None,
            "eos_token_id": SPECIAL.index(EMB_TOKEN),
            "pad_token_id": SPECIAL.index(PAD),
        },
        vision_config={
            "depth": size.vision_layers,
            "hidden_size": size.vision_hidden,
            "intermediate_size": size.vision_mlp,
            "num_heads": size.vision_heads,
            "patch_size": size.patch,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 6 * size.patch,
            "fullatt_block_indexes": list(range(size.vision_layers)),
            "out_hidden_size": size.hidden,
            "initializer_range": 0.05,
        },
        tie_word_embeddings=True,
        image_token_id=SPECIAL.index(IMAGE),
        video_token_id=SPECIAL.index(VIDEO),
        vision_start_token_id=SPECIAL.index(VISION_START),
        vision_end_token_id=SPECIAL.index(VISION_END),
    )


def word_tokenizer(words: Sequence[str]) -> Any:
    """A tokenizer of whole lower-case words and single punctuation marks."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate([*SPECIAL, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        unk_token=UNKNOWN,
        eos_token=EMB_TOKEN,
        extra_special_tokens={
            "image_token": IMAGE,
            "video_token": VIDEO,
            "vision_start_token": VISION_START,
            "vision_end_token": VISION_END,
            "think_token": THINK,
        },
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def image_processor(size: TinySize) -> dict[str, object]:
    """The `preprocessor_config.json` that goes with the tiny vision tower."""
    return {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": size.patch,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.25, 0.25, 0.25],
    }
