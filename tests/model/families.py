"""The three accepted families as tiny random networks with a real byte-level BPE tokenizer."""

import json
from pathlib import Path
from typing import Any

import torch

from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.settings import EMB_TOKEN, Settings

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
ROWS = 448  # of the embedding: more than there are tokens, as in Qwen's own checkpoints
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
SENTENCES = (
    "Find the picture that matches the caption.",
    "Replace the crab with a melon and move the dog to the top.",
    "You are a helpful assistant.",
    "system user assistant",
)
TEMPLATE = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
PROCESSOR: dict[str, Any] = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "patch_size": 8,
    "merge_size": 2,
    "temporal_patch_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
SETTINGS = Settings(max_prompt_tokens=96, max_trace_tokens=16, min_pixels=256, max_pixels=48 * 48)
VISION: dict[str, dict[str, Any]] = {
    "qwen2_vl": {"embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2},
    "qwen2_5_vl": {
        "hidden_size": 32,
        "intermediate_size": 32,
        "out_hidden_size": 32,
        "window_size": 32,
        "fullatt_block_indexes": [0],
    },
    "qwen3_vl": {
        "hidden_size": 32,
        "intermediate_size": 32,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0],
    },
}


def bpe_tokenizer(*, template: str | None = TEMPLATE) -> Any:
    """A tokenizer like Qwen's: byte-level BPE without an unknown token, special tokens beyond the words."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=380, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
        chat_template=template,
    )


def network(kind: str, tokenizer: Any, *, rows: int = ROWS) -> Any:
    """A random network of a family with two language layers and one vision layer."""
    from transformers import AutoConfig, AutoModelForImageTextToText

    sections = {"mrope_section": [4, 2, 2]}
    config = AutoConfig.for_model(
        kind,
        text_config={
            "vocab_size": rows,
            "hidden_size": 32,
            "intermediate_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "max_position_embeddings": 512,
            "initializer_range": 0.2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, **sections},
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": 1,
            "num_heads": 2,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "initializer_range": 0.2,
            **VISION[kind],
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tokenizer.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tokenizer.convert_tokens_to_ids("<|vision_end|>"),
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    return AutoModelForImageTextToText.from_config(config).eval()


def build(kind: str) -> TraceModel:
    """A whole model of a family whose tokenizer knows `<|emb|>`."""
    tokenizer = bpe_tokenizer()
    tokenizer.add_special_tokens({"extra_special_tokens": [EMB_TOKEN]})
    return TraceModel(network(kind, tokenizer), tokenizer, PROCESSOR, SETTINGS)


def write_checkpoint(
    path: Path,
    kind: str = "qwen2_5_vl",
    *,
    licence: str = "license: apache-2.0",
    rows: int = ROWS,
    shard: str = "1GB",
    template: str | None = TEMPLATE,
) -> Path:
    """A checkpoint as Qwen publishes it: no `<|emb|>`, no `trace.json`, a model card with a licence."""
    tokenizer = bpe_tokenizer(template=template)
    network(kind, tokenizer, rows=rows).save_pretrained(path, max_shard_size=shard)
    tokenizer.save_pretrained(path)
    (path / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    (path / "README.md").write_text(f"---\n{licence}\nlanguage: en\n---\n# A model\n")
    return path
