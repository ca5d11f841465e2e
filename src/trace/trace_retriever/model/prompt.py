"""Prompts as token ids: the checkpoint's own chat template, picture first, the user's words never special."""

from dataclasses import dataclass, field
from typing import Any

MARK = "\u241f"  # stands for the words while the template is rendered


@dataclass
class Prompter:
    """Renders items through a tokenizer's chat template.

    The template is rendered once for each kind of item; the words are tokenised apart from it, with special
    tokens split, so that a record which contains `<|emb|>` or `<|image_pad|>` is only text.

    Args:
        tokenizer: the checkpoint's tokenizer, with a chat template.
        image_token: the token that a picture's features take the place of.
    """

    tokenizer: Any
    image_token: str
    _frames: dict[tuple[bool, bool], tuple[list[int], list[int], list[int]]] = field(default_factory=dict)

    def ids(self, text: str | None, image_tokens: int, limit: int) -> list[int]:
        """Token ids of a prompt that ends where the model starts to answer.

        Args:
            text: the words, or None.
            image_tokens: how many tokens the picture takes; 0 for none.
            limit: the words are cut so that the whole is at most this long, or holds no words at all.
        """
        lead, middle, tail = self._frame(bool(image_tokens), text is not None)
        room = limit - len(lead) - len(middle) - len(tail) - image_tokens
        words = self.words(text)[: max(room, 0)] if text is not None else []
        image_id = self.tokenizer.convert_tokens_to_ids(self.image_token)
        return [*lead, *[image_id] * image_tokens, *middle, *words, *tail]

    def words(self, text: str) -> list[int]:
        """Token ids of plain words, special tokens in them taken as text."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids

    def _frame(self, has_image: bool, has_text: bool) -> tuple[list[int], list[int], list[int]]:
        """Token ids before the picture, between picture and words, and after the words."""
        key = (has_image, has_text)
        if key not in self._frames:
            content = [{"type": "image"}] * has_image + [{"type": "text", "text": MARK}] * has_text
            rendered: str = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
            head, _, tail = rendered.partition(MARK) if has_text else (rendered, "", "")
            lead, _, middle = head.partition(self.image_token) if has_image else ("", "", head)
            if not has_text:
                middle, tail = "", middle
            self._frames[key] = (self._template(lead), self._template(middle), self._template(tail))
        return self._frames[key]

    def _template(self, part: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(part, add_special_tokens=False)
        return ids
