"""A TRACE model as one thing: network, tokenizer, picture reader and settings, from a checked directory."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trace_retriever.errors import CheckpointError
from trace_retriever.io.files import read_json, write_json
from trace_retriever.model.checkpoint import check_checkpoint
from trace_retriever.model.items import Item
from trace_retriever.model.pictures import PatchSpec, PictureReader
from trace_retriever.model.prompt import Prompter
from trace_retriever.model.settings import MARK, Settings
from trace_retriever.model.vision_attention import attend_by_length


@dataclass
class TraceModel:
    """A vision-language network with all that is needed to prompt it.

    Attributes:
        network: `Qwen2_5_VLForConditionalGeneration` or its Qwen2 / Qwen3 sibling.
        tokenizer: its tokenizer, which knows `<|emb|>`.
        image_processor: the content of `preprocessor_config.json`.
        settings: the content of `trace.json`.
    """

    network: nn.Module
    tokenizer: Any
    image_processor: dict[str, Any]
    settings: Settings

    @cached_property
    def emb_id(self) -> int:
        """The id of `<|emb|>`."""
        return self._token_id(self.settings.emb_token)

    @cached_property
    def pad_id(self) -> int:
        """The id that fills a batch."""
        pad = self.tokenizer.pad_token_id
        return int(pad if pad is not None else self.tokenizer.eos_token_id)

    @cached_property
    def image_id(self) -> int:
        """The id whose embedding a picture's features replace."""
        return int(self.config.image_token_id)

    @cached_property
    def mark_id(self) -> int:
        """The id of the sign that opens a part of a trace (`settings.MARK`)."""
        return self._token_id(MARK)

    @property
    def config(self) -> Any:
        """The network's transformers configuration."""
        return self.network.config

    @property
    def dim(self) -> int:
        """Length of an embedding: the language model's hidden size."""
        return int(self.config.text_config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next(self.network.parameters()).device

    @cached_property
    def pictures(self) -> PictureReader:
        """Reads pictures as this network's patches."""
        spec = PatchSpec.from_processor(
            self.image_processor, self.settings.min_pixels, self.settings.max_pixels
        )
        return PictureReader(spec)

    @cached_property
    def prompter(self) -> Prompter:
        """Renders prompts with this network's chat template."""
        return Prompter(self.tokenizer, self.tokenizer.convert_ids_to_tokens(self.image_id))

    def prompt_ids(self, item: Item) -> list[int]:
        """Token ids of an item's prompt; the state at its last token predicts the first answer token."""
        tokens = 0
        if item.image is not None:
            tokens = self.pictures.spec.tokens(self.pictures.read(item.image).grid)
        return self.prompter.ids(item.text, tokens, self.settings.max_prompt_tokens)

    def trace_ids(self, text: str) -> list[int]:
        """Token ids of a trace, at most `max_trace_tokens`, without the `<|emb|>` that ends it."""
        return self.prompter.words(text)[: self.settings.max_trace_tokens]

    def trace_text(self, ids: Sequence[int]) -> str:
        """The words of a trace's tokens."""
        text: str = self.tokenizer.decode(list(ids), skip_special_tokens=True)
        return text

    def save(self, directory: Path) -> None:
        """Write the model as a Hugging Face directory plus `trace.json`; safetensors only."""
        directory.mkdir(parents=True, exist_ok=True)
        network: Any = self.network
        network.save_pretrained(directory)
        self.save_frame(directory)

    def save_frame(self, directory: Path) -> None:
        """Write all but the weights and their configuration."""
        self.tokenizer.save_pretrained(directory)
        write_json(directory / "preprocessor_config.json", self.image_processor)
        self.settings.save(directory)

    def _token_id(self, token: str) -> int:
        found = self.tokenizer.convert_tokens_to_ids(token)
        if found is None or found == self.tokenizer.unk_token_id:
            raise CheckpointError(
                f"the tokenizer does not know {token!r}", remedy="run `trace backbone` on the checkpoint"
            )
        return int(found)


def load_model(
    path: Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    ablation: bool = False,
) -> TraceModel:
    """Load a model directory that `trace backbone` or `trace train` made.

    Args:
        path: the directory.
        device: where the weights go.
        dtype: their type in memory.
        ablation: whether a model that must not be embedded with or served is taken too.

    Raises:
        CheckpointError: see `check_checkpoint` and `Settings.check_deployable`; or the weights are not all
            there or of another shape.
    """
    from transformers import AutoTokenizer

    settings = Settings.load(path)
    if not ablation:
        settings.check_deployable(path)
    check_checkpoint(path)
    network = _load_network(path, dtype)
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    processor = read_json(path / "preprocessor_config.json")
    attend_by_length(network)
    return TraceModel(network.to(device).eval(), tokenizer, processor, settings)


def _load_network(path: Path, dtype: torch.dtype) -> Any:
    """The network with every weight from the file: transformers alone would fill gaps with random numbers."""
    from transformers import AutoModelForImageTextToText

    remedy = "copy the whole checkpoint again"
    try:
        network, loading = AutoModelForImageTextToText.from_pretrained(
            path,
            dtype=dtype,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"the weights do not fit the model: {error}", where=path, remedy=remedy
        ) from None
    if missing := sorted(loading["missing_keys"]):
        shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise CheckpointError(f"{len(missing)} weights missing: {shown}", where=path, remedy=remedy)
    return network
