import asyncio
import re
import shutil
import signal
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from tests.cards.chain import register_chain, write_chain
from tests.demo_app.conftest import write_model

from trace_retriever.cli import main
from trace_retriever.config.serve import ServeSettings
from trace_retriever.demo_app.answer import Demo
from trace_retriever.demo_app.errors import NoAnswer
from trace_retriever.demo_app.question import Question
from trace_retriever.demo_app.serve import build, serve
from trace_retriever.engine.encoded import Encoded
from trace_retriever.errors import ConfigError, DataError
from trace_retriever.mbeir.layout import Layout
from trace_retriever.model.bundle import load_model
from trace_retriever.model.items import Item
from trace_retriever.serving.identity import identify
from trace_retriever.serving.retrieve import Retriever, Sources
from trace_retriever.serving.worker import Worker

Places = tuple[Path, Path, Path]


@pytest.mark.slow
def test_the_command_serves_until_it_is_told_to_stop(places: Places, tmp_path: Path) -> None:
    options = [
        f"--{name}={path}" for name, path in zip(("model", "embeddings", "dataset"), places, strict=True)
    ]
    command = [sys.executable, "-m", "trace_retriever.cli", "demo-app", "--port=0", *options]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert found
        assert httpx.get(found[0], trust_env=False).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (0, 130)
    assert list(tmp_path.iterdir()) == []


def test_a_registered_model_is_shown_with_its_name(places: Places, tmp_path: Path) -> None:
    shutil.copytree(places[0], tmp_path / "model")
    registered = register_chain(write_chain(tmp_path))
    with TestClient(build(registered, places[1], places[2]), base_url="http://localhost") as client:
        assert "1.2.3</p>" in client.get("/").text
    results = registered / "evidence" / "results.json"
    results.write_text(results.read_text().replace("sha256:", "sha256:0", 1))
    with pytest.raises(DataError, match="not as it was registered"):
        build(registered, places[1], places[2])


def test_another_model_s_vectors_are_refused_with_the_remedy(
    places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_model(places[2], tmp_path / "other", seed=1)
    places_given = ["--embeddings", str(places[1]), "--dataset", str(places[2])]
    with pytest.raises(SystemExit) as stopped:
        main(["demo-app", "--model", str(other), *places_given])
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert "the vectors are of another model" in said
    assert "trace embed" in said


def test_a_place_that_is_taken_or_does_not_exist_is_said(places: Places) -> None:
    app = build(*places)
    with pytest.raises(ConfigError, match="cannot listen on 192"):
        serve(app, "192.0.2.1", 8090)


def test_who_would_wait_too_long_is_sent_away(places: Places) -> None:
    model, embeddings, dataset = places
    retriever = Retriever(Sources(embeddings=embeddings, dataset=dataset), identify(model).models)
    worker = Worker(load_model(model), ServeSettings(max_waiting=1, max_items=1))
    demo = Demo(Layout(dataset), retriever, worker)

    async def crowd() -> tuple[Encoded, NoAnswer]:
        first = asyncio.create_task(worker.encode(Item("cat"), reason="never"))
        await asyncio.sleep(0)  # it has its place; the worker has not begun
        with pytest.raises(NoAnswer) as refused:
            await demo.ask(Question("mojihop_task1", "dog"))
        await worker.start()
        return await first, refused.value

    encoded, refused = asyncio.run(crowd())
    asyncio.run(worker.drain(10.0))
    assert encoded.trace_tokens == 0
    assert refused.status == HTTPStatus.SERVICE_UNAVAILABLE


def test_the_page_says_when_to_come_back(places: Places) -> None:
    settings = ServeSettings(deadline_ms=1, max_deadline_ms=1)
    with TestClient(build(*places, settings=settings), base_url="http://localhost") as client:
        answer = client.get("/search", params={"text": "cat", "reason": "always"})
    assert answer.status_code == 504
    assert "did not come to an end" in answer.text
