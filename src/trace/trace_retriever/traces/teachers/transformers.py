"""A local vision-language checkpoint as a chat model: greedy decoding, one prompt at a time.

For small numbers of queries, or where nothing may leave the machine. For many, serve the checkpoint (vLLM and
others speak OpenAI's protocol) and use teacher `openai`.
"""

import threading
from pathlib import Path
from typing import Any

import torch

from trace_retriever.config.teacher import TransformersTeacherParams
from trace_retriever.errors import CheckpointError
from trace_retriever.io.files import read_json
from trace_retriever.model.checkpoint import check_checkpoint
from trace_retriever.model.pictures import Patches, PatchSpec, PictureReader
from trace_retriever.traces.teachers.base import UnansweredError
from trace_retriever.traces.teachers.chat import TeacherRequest

_MARK = "\u241f"  # stands for the user's words while the template is rendered
_MIN_PIXELS = 3136


class TransformersChat:
    """Answers prompts with a Qwen2-VL, Qwen2.5-VL or Qwen3-VL checkpoint; see `Chat`.

    Nothing is downloaded and no code of the checkpoint runs. The user's words are tokenised apart from the
    chat template, so that special tokens in them are only text.

    Args:
        path: the checkpoint directory.
        params: device, precision, bound on pictures.

    Raises:
        CheckpointError: not such a checkpoint, or without a chat template.
    """

    concurrency = 1

    def __init__(self, path: Path, params: TransformersTeacherParams) -> None:
        from transformers import AutoModelForImageTextToText, AutoTokenizer

        check_checkpoint(path)
        self.name = path.name
        self._stopped = threading.Event()
        self._tokenizer: Any = AutoTokenizer.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        if not self._tokenizer.chat_template:
            raise CheckpointError(
                "the tokenizer has no chat template", where=path, remedy="use an instruction-tuned checkpoint"
            )
        network: Any = AutoModelForImageTextToText.from_pretrained(
            path,
            dtype=getattr(torch, params.dtype),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
        self._network: Any = network.to(params.device).eval()
        self._image_id = int(self._network.config.image_token_id)
        processor = read_json(path / "preprocessor_config.json")
        least = min(_MIN_PIXELS, params.max_pixels)
        self._pictures = PictureReader(PatchSpec.from_processor(processor, least, params.max_pixels))

    @torch.inference_mode()
    def complete(self, request: TeacherRequest) -> str:
        """Answer one prompt; see `Chat`."""
        from transformers import GenerationConfig

        if self._stopped.is_set():
            raise UnansweredError("stopped")
        patches = [self._pictures.read(path) for path in request.images]
        ids = self._prompt_ids(request, patches)
        generated = self._network.generate(
            **self._inputs(ids, patches),
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=request.max_tokens,
                eos_token_id=self._network.generation_config.eos_token_id or self._tokenizer.eos_token_id,
                pad_token_id=self._tokenizer.pad_token_id,
            ),
        )[0, len(ids) :]
        if len(generated) >= request.max_tokens:
            raise UnansweredError(f"answer cut at {request.max_tokens} tokens")
        text: str = self._tokenizer.decode(generated, skip_special_tokens=True)
        return text

    def stop(self) -> None:
        """Answer no more."""
        self._stopped.set()

    def _inputs(self, ids: list[int], patches: list[Patches]) -> dict[str, torch.Tensor]:
        tokens = torch.tensor([ids])
        inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
        if patches:
            inputs["pixel_values"] = torch.cat([found.values for found in patches]).to(self._network.dtype)
            inputs["image_grid_thw"] = torch.tensor([(1, *found.grid) for found in patches])
            inputs["mm_token_type_ids"] = (tokens == self._image_id).long()
        return {name: value.to(self._network.device) for name, value in inputs.items()}

    def _prompt_ids(self, request: TeacherRequest, patches: list[Patches]) -> list[int]:
        messages = [
            {"role": "system", "content": [{"type": "text", "text": request.system}]},
            {
                "role": "user",
                "content": [{"type": "image"}] * len(patches) + [{"type": "text", "text": _MARK}],
            },
        ]
        rendered: str = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )
        before, _, after = rendered.partition(_MARK)
        words = self._tokenizer.encode(request.text, add_special_tokens=False, split_special_tokens=True)
        return [*self._with_pictures(before, patches), *words, *self._tokens(after)]

    def _with_pictures(self, text: str, patches: list[Patches]) -> list[int]:
        """Tokens of the template's text, each picture's placeholder repeated for each token it takes."""
        grids = iter(patches)
        ids: list[int] = []
        for token in self._tokens(text):
            count = self._pictures.spec.tokens(next(grids).grid) if token == self._image_id else 1
            ids += [token] * count
        return ids

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids
