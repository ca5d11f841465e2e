from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_model
from tests.openmoji.conftest import CONFIG

from trace_retriever.config.backbone import BackboneConfig
from trace_retriever.errors import CheckpointError
from trace_retriever.model.batch import Batch
from trace_retriever.model.bundle import TraceModel
from trace_retriever.openmoji.lessons import MIX, Teacher, draw_lessons
from trace_retriever.openmoji.pretraining import (
    Classroom,
    Curriculum,
    GenerativeObjective,
    answer_logits,
    count_exact,
    examine,
    load_weights,
    name_ids,
    new_backbone,
    split_by_picture,
)
from trace_retriever.openmoji.world import World
from trace_retriever.training.distributed import Group


def curriculum(classroom: Classroom, rank: int = 0, world: int = 1, seed: int = 3) -> Curriculum:
    return Curriculum(classroom, CONFIG.pretraining, seed, Group(rank, world, torch.device("cpu")))


def equal(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
        for a, b in zip(one, other, strict=True)
    )


def sentences(batches: list[Batch]) -> list[tuple[int, ...]]:
    """The rows' tokens without padding, sorted."""
    found = []
    for batch in batches:
        for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            found.append(tuple(row[mask.bool()].tolist()))
    return sorted(found)


def test_an_updates_lessons_depend_on_its_number_alone(classroom: Classroom) -> None:
    one, other = curriculum(classroom), curriculum(classroom)
    forwards = {step: one(step) for step in (0, 30, 60)}
    backwards = {step: other(step) for step in (60, 30, 0)}
    assert all(equal(forwards[step], backwards[step]) for step in forwards)
    assert not equal(forwards[30], forwards[60])
    assert not equal(forwards[30], curriculum(classroom, seed=4)(30))


@pytest.mark.parametrize("step", [0, 40, 90])
def test_processes_share_out_the_same_lessons(classroom: Classroom, step: int) -> None:
    alone = sentences(curriculum(classroom)(step))
    together = sentences([*curriculum(classroom, 0, 2)(step), *curriculum(classroom, 1, 2)(step)])
    assert alone == together
    assert len(alone) == CONFIG.pretraining.batch


def test_pictures_come_after_words_and_grow(classroom: Classroom) -> None:
    assert all("pixel_values" not in batch for batch in curriculum(classroom)(1) if len(batch["lengths"]) > 4)
    assert any("pixel_values" in batch for batch in curriculum(classroom)(50))


def test_labels_are_the_answers_shifted_by_one(classroom: Classroom, world: World) -> None:
    tokenizer: Any = classroom.model.tokenizer
    lessons = draw_lessons(Teacher(world, np.random.default_rng(5)), 20)
    for group in split_by_picture(lessons):
        batch = classroom.batch(group, (1,))
        for row, lesson in enumerate(group):
            labelled = batch["labels"][row] >= 0
            answer = tokenizer.convert_ids_to_tokens(batch["labels"][row][labelled].tolist())
            assert tuple(answer) == lesson.answer
            shown = batch["input_ids"][row][: batch["lengths"][row]].tolist()
            first = int(labelled.nonzero()[0])
            assert tokenizer.convert_ids_to_tokens(shown[first + 1 :]) == list(lesson.answer[:-1])
            before = tokenizer.convert_ids_to_tokens(shown[: first + 1])
            assert before[len(before) - len(lesson.given) :] == list(lesson.given)
            assert before.count("<|image_pad|>") == (9 if lesson.scene else 0)


def test_the_loss_is_a_weighted_mean_over_all_answer_tokens(
    classroom: Classroom, untrained: TraceModel, world: World
) -> None:
    batches = curriculum(classroom)(60)
    names = name_ids(untrained, world)
    assert len(batches) == 2
    with torch.no_grad():
        loss, figures = GenerativeObjective(untrained.network, names, 3.0)(batches)
        total = weights = 0.0
        for batch in batches:
            inputs = {
                key: value
                for key, value in batch.items()
                if key not in ("labels", "lengths", "prompt_lengths")
            }
            scores = untrained.network(**inputs).logits.double().log_softmax(-1)
            for row, column in (batch["labels"] >= 0).nonzero().tolist():
                label = int(batch["labels"][row, column])
                weight = 3.0 if label in names else 1.0
                total -= weight * float(scores[row, column, label])
                weights += weight
    assert loss.item() == pytest.approx(total / weights, rel=1e-5)
    assert figures["loss"] == loss


def test_names_are_single_tokens(untrained: TraceModel, world: World) -> None:
    ids = name_ids(untrained, world)
    assert untrained.tokenizer.convert_ids_to_tokens(ids) == list(world.names)
    assert len(set(ids)) == len(world.names)


def test_an_untrained_model_fails_its_exam(classroom: Classroom) -> None:
    shares = examine(classroom, 8, seed=1)
    assert list(shares) == [kind.__name__ for kind, _ in MIX]
    assert all(0 <= share <= 1 for share in shares.values())
    assert shares == examine(classroom, 8, seed=1)
    assert sum(shares.values()) < 1


def test_an_exam_counts_whole_answers(classroom: Classroom, untrained: TraceModel, world: World) -> None:
    """Take what the model says for the truth, and all is right; one last word wrong, and one row less is."""
    lessons = split_by_picture(draw_lessons(Teacher(world, np.random.default_rng(5)), 30))[0]
    batch = classroom.batch(lessons, (1,))
    labelled = batch["labels"] >= 0
    with torch.inference_mode():
        _, scores = answer_logits(untrained.network, batch)
        batch["labels"][labelled] = scores.argmax(-1)
        assert count_exact(untrained.network, batch) == len(lessons)
        last = int(labelled[0].nonzero()[-1])
        batch["labels"][0, last] = (batch["labels"][0, last] + 1) % scores.shape[-1]
        assert count_exact(untrained.network, batch) == len(lessons) - 1


def test_weights_are_loaded_whole_or_not_at_all(world: World, untrained: TraceModel, tmp_path: Path) -> None:
    other = new_backbone(CONFIG.model_copy(update={"seed": 9}), world)
    save_model(torch.nn.ModuleDict({"network": untrained.network}), str(tmp_path / "best.safetensors"))
    load_weights(other.network, tmp_path / "best.safetensors")
    states = untrained.network.state_dict()
    assert all(torch.equal(value, states[name]) for name, value in other.network.state_dict().items())
    larger = new_backbone(BackboneConfig(), world)
    with pytest.raises(CheckpointError, match="not this network's weights"):
        load_weights(larger.network, tmp_path / "best.safetensors")


def test_pictures_depend_on_the_seed(classroom: Classroom, world: World) -> None:
    lessons = [x for x in draw_lessons(Teacher(world, np.random.default_rng(5)), 20) if x.scene]
    one, same, other = (classroom.batch(lessons, (seed,))["pixel_values"] for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    alone = classroom.batch(lessons[:1], (1,))["pixel_values"]
    assert torch.equal(alone, one[: len(alone)])
    plain = classroom.batch([replace(lessons[0], prompt=())], (1,))["pixel_values"]
    assert torch.equal(alone, plain)
