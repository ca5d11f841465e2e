"""Generative pre-training of the tiny backbone: lessons as batches, their loss, and an exam on new scenes.

Shape legend: B rows, T tokens, L answer tokens of a batch, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from trace_retriever.config.backbone import BackboneConfig, Pretraining
from trace_retriever.errors import CheckpointError
from trace_retriever.model.batch import Batch, pad
from trace_retriever.model.bundle import TraceModel
from trace_retriever.model.forward import hidden_states, logits
from trace_retriever.model.pictures import patchify
from trace_retriever.openmoji.lessons import MIX, WORDS_MIX, Lesson, Teacher, draw_lesson, draw_lessons
from trace_retriever.openmoji.pictures import paint
from trace_retriever.openmoji.scenes import MOST_OBJECTS
from trace_retriever.openmoji.world import World
from trace_retriever.training.distributed import Group, summed, world_size

EXAM_SEED = 2**31


@dataclass
class Classroom:
    """Turns lessons into padded batches for one model.

    Args:
        model: whose tokens and patches to use.
        world: the pictures.
        side: of a picture in pixels, as the model sees it.
    """

    model: TraceModel
    world: World
    side: int

    @cached_property
    def _ids(self) -> dict[str, int]:
        vocabulary: dict[str, int] = self.model.tokenizer.get_vocab()
        return vocabulary

    @cached_property
    def _picture_tokens(self) -> int:
        return self.model.pictures.spec.tokens(self._grid)

    @property
    def _grid(self) -> tuple[int, int]:
        patches = self.side // self.model.pictures.spec.patch_size
        return patches, patches

    def batch(self, lessons: Sequence[Lesson], seed: Sequence[int]) -> Batch:
        """One padded batch; `labels` [B, T] holds each position's next answer token, -100 elsewhere.

        Args:
            lessons: all with a picture, or all without one.
            seed: of how the pictures are painted; the lesson's number is added to it.
        """
        rows = [self._row(lesson) for lesson in lessons]
        grids = [self._grid if lesson.scene else None for lesson in lessons]
        spec = self.model.pictures.spec
        batch = pad(
            [ids for ids, _ in rows], grids, self.model.image_id, self.model.pad_id, spec.merge_size, "right"
        )
        labels = torch.full_like(batch["input_ids"], -100)
        for number, (ids, answer) in enumerate(rows):
            labels[number, len(ids) - len(answer) : len(ids)] = torch.tensor(answer)
        batch["labels"] = labels
        if lessons[0].scene is not None:
            batch |= self._pictures(lessons, seed)
        return batch

    def _row(self, lesson: Lesson) -> tuple[list[int], list[int]]:
        """Token ids without the last, and the answer's; the last answer token is only predicted."""
        settings = self.model.settings
        prompt = self.model.prompter.ids(
            " ".join(lesson.prompt), self._picture_tokens * bool(lesson.scene), settings.max_prompt_tokens
        )
        answer = [self._ids[word] for word in lesson.answer]
        return [*prompt, *(self._ids[word] for word in lesson.given), *answer[:-1]], answer

    def _pictures(self, lessons: Sequence[Lesson], seed: Sequence[int]) -> Batch:
        shown = []
        for number, scene in enumerate(lesson.scene for lesson in lessons if lesson.scene):
            rng = np.random.default_rng([*seed, number])
            painted = paint(scene, self.world.glyphs, self.world.picture_pixels, rng)
            shown.append(np.asarray(painted.resize((self.side, self.side), Image.Resampling.BICUBIC)))
        grids = torch.tensor([(1, *self._grid)] * len(lessons))
        return {
            "pixel_values": patchify(np.stack(shown), self.model.pictures.spec).flatten(0, 1),
            "image_grid_thw": grids,
        }


class GenerativeObjective(nn.Module):
    """Cross-entropy on answer tokens, pictures' names weighted, over the batches of all processes.

    Args:
        network: the network to train.
        names: ids of the tokens that weigh more.
        name_weight: how much more.
    """

    def __init__(self, network: nn.Module, names: Sequence[int], name_weight: float) -> None:
        super().__init__()
        self.network = network
        config: Any = network.config
        weights = torch.ones(config.text_config.vocab_size)
        weights[list(names)] = name_weight
        self.weights_V: torch.Tensor
        self.register_buffer("weights_V", weights, persistent=False)

    def forward(self, batches: Sequence[Batch]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """This process's share of the global mean loss, times the number of processes."""
        total = torch.zeros((), device=self.weights_V.device)
        weight = torch.zeros_like(total)
        for batch in batches:
            labels_L, logits_LV = answer_logits(self.network, batch)
            weights_L = self.weights_V[labels_L]
            total = total + (F.cross_entropy(logits_LV.float(), labels_L, reduction="none") * weights_L).sum()
            weight += weights_L.sum()
        loss = total * world_size() / summed(weight)
        return loss, {"loss": loss.detach()}


def answer_logits(network: nn.Module, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels [L] and logits [L, V] at the positions that have a label."""
    device = next(network.parameters()).device
    batch = {key: value.to(device) for key, value in batch.items()}
    states = hidden_states(network, batch)
    labelled = batch["labels"] >= 0
    return batch["labels"][labelled], logits(network, states[labelled])


@dataclass
class Curriculum:
    """Which lessons each update takes: words alone first, then pictures of one thing, two, three.

    A pure function of the update's number, dealt over the processes, so that a resumed run sees the same.
    """

    classroom: Classroom
    settings: Pretraining
    seed: int
    group: Group

    def __call__(self, step: int) -> list[Batch]:
        """This process's batches of an update: lessons with a picture and lessons without."""
        rng = np.random.default_rng([self.seed, step])
        done = step / self.settings.steps
        seen = (done - self.settings.words_first) / max(1e-9, 1 - self.settings.words_first)
        objects = 1 if seen < 0.08 else 2 if seen < 0.2 else MOST_OBJECTS
        teacher = Teacher(self.classroom.world, rng, objects)
        drawn = draw_lessons(teacher, self.settings.batch, WORDS_MIX if seen < 0 else MIX)
        groups = [group[self.group.rank :: self.group.world] for group in split_by_picture(drawn)]
        seed = (self.seed, step, self.group.rank)
        return [self.classroom.batch(lessons, seed) for lessons in groups if lessons]


def split_by_picture(lessons: Sequence[Lesson]) -> tuple[list[Lesson], list[Lesson]]:
    """Lessons with a picture, and those without."""
    return [lesson for lesson in lessons if lesson.scene], [lesson for lesson in lessons if not lesson.scene]


@torch.inference_mode()
def examine(classroom: Classroom, lessons_each: int, seed: int) -> dict[str, float]:
    """Share of lessons of each kind whose whole answer is right, on scenes of the val split.

    An answer counts when every token is the model's first choice given the true ones before it, which is when
    greedy decoding would write it.
    """
    network = classroom.model.network.eval()
    shares = {}
    for number, (kind, _) in enumerate(MIX):
        teacher = Teacher(classroom.world, np.random.default_rng([EXAM_SEED, seed, number]), split="val")
        lessons = [draw_lesson(kind, teacher) for _ in range(lessons_each)]
        seen, words = split_by_picture(lessons)
        batches = [classroom.batch(group, (EXAM_SEED, seed, number)) for group in (seen, words) if group]
        right = sum(count_exact(network, batch) for batch in batches)
        shares[kind.__name__] = right / lessons_each
    return shares


def count_exact(network: nn.Module, batch: Batch) -> int:
    """How many rows of a batch have every label as the model's first choice."""
    labels_L, logits_LV = answer_logits(network, batch)
    labelled = batch["labels"] >= 0
    right = torch.ones_like(labelled)
    right[labelled] = (logits_LV.argmax(-1) == labels_L).cpu()
    return int(right.all(1).sum())


def name_ids(model: TraceModel, world: World) -> list[int]:
    """Token ids of the pictures' names."""
    ids: list[int] = model.tokenizer.convert_tokens_to_ids(list(world.names))
    return ids


def picture_side(config: BackboneConfig) -> int:
    """Side of a picture in pixels as the tiny model sees it: three cells of two by two patches."""
    return 6 * config.tiny.patch


def new_backbone(config: BackboneConfig, world: World) -> TraceModel:
    """The untrained tiny model with the benchmark's vocabulary."""
    from trace_retriever.model.tiny import build_tiny

    return build_tiny(config.tiny, world.vocabulary, pixels=picture_side(config), seed=config.seed)


def load_weights(network: nn.Module, file: Path) -> None:
    """Put the weights that pre-training left into a network, all of them.

    Raises:
        CheckpointError: they are those of another network.
    """
    from safetensors.torch import load_model

    holder = nn.ModuleDict({"network": network})  # named as in `GenerativeObjective`
    try:
        load_model(holder, file)
    except RuntimeError as error:
        raise CheckpointError(f"not this network's weights: {error}", where=file) from None
