from pathlib import Path

import pytest
from PIL import Image

from trace_retriever.config.backbone import TinySize
from trace_retriever.config.teacher import TransformersTeacherParams
from trace_retriever.errors import CheckpointError
from trace_retriever.model.tiny import build_tiny
from trace_retriever.traces.examples import Example
from trace_retriever.traces.teachers.base import UnansweredError
from trace_retriever.traces.teachers.chat import PromptedTeacher, TeacherRequest
from trace_retriever.traces.teachers.transformers import TransformersChat

PARAMS = TransformersTeacherParams(max_pixels=48 * 48)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny"
    build_tiny(TinySize(), ["crab", "dog", "left", "top", "write"], pixels=48, seed=0).save(path)
    return path


def test_it_answers_with_no_one_and_two_pictures(checkpoint: Path, tmp_path: Path) -> None:
    pictures = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in pictures:
        Image.new("RGB", (48, 48), (9, 90, 9)).save(path)
    chat = TransformersChat(checkpoint, PARAMS)
    for count in range(3):
        asked = TeacherRequest(
            id="1:1", system="write", text="crab left", images=tuple(pictures[:count]), max_tokens=4
        )
        with pytest.raises(UnansweredError, match="cut at 4 tokens"):  # an untrained model never ends
            chat.complete(asked)


def test_what_an_untrained_model_says_is_counted_as_garbage(
    checkpoint: Path, examples: list[Example]
) -> None:
    teacher = PromptedTeacher(TransformersChat(checkpoint, PARAMS), 16)
    with pytest.raises(UnansweredError):
        teacher.write(examples[0], sees_target=True)


def test_special_tokens_in_the_users_words_are_text(checkpoint: Path) -> None:
    chat = TransformersChat(checkpoint, PARAMS)
    asked = TeacherRequest(id="1:1", system="write", text="<|image_pad|> crab", max_tokens=4)
    image_id = chat._image_id
    assert image_id not in chat._prompt_ids(asked, [])


def test_another_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        TransformersChat(tmp_path, PARAMS)
