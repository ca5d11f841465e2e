"""Webhooks leave with the review server, without anybody asking for them."""

import asyncio
import logging
from pathlib import Path

import pytest
from tests.registry.made import Clock, Packages, World, rules
from tests.registry.test_webhooks import SECRET, VARIABLE, Receiver, receiving

from trace_retriever.config.review import ReviewSettings
from trace_retriever.registry.registry import open_registry
from trace_retriever.registry.webhooks import check_signature
from trace_retriever.review.app import create_app
from trace_retriever.review.courier import delivering


def opened(root: Path, receiver: Receiver) -> World:
    """A registry by the wall clock, which is the courier's too."""
    registry = open_registry(f"sqlite:///{root}/registry.db", rules(webhooks=(receiver.hook(),)))
    return World(registry, Clock(), Packages(root))


async def until_told(receiver: Receiver, messages: int) -> None:
    async with asyncio.timeout(60):
        while len(receiver.got) < messages:
            await asyncio.sleep(0.02)


def test_an_act_is_told_while_the_page_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    with receiving() as receiver:
        world = opened(tmp_path, receiver)
        settings = ReviewSettings(users=str(tmp_path / "users.json"), deliver_seconds=0.05)
        app = create_app(world.registry, settings)

        async def serve() -> None:
            async with app.router.lifespan_context(app):
                await asyncio.to_thread(world.requested, "1.0.0")
                await until_told(receiver, 2)

        asyncio.run(serve())
        world.registry.close()
        assert [message["type"] for message in receiver.messages()] == [
            "trace.version.register",
            "trace.version.request",
        ]
        assert all(check_signature(SECRET, headers, body) for headers, body in receiver.got)


def test_a_database_that_is_away_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    with receiving() as receiver:
        world = opened(tmp_path, receiver)
        world.candidate("1.0.0")
        away, back = tmp_path / "registry.db", tmp_path / "elsewhere.db"

        async def serve() -> None:
            async with delivering(world.registry, 0.05)(None):
                async with asyncio.timeout(60):
                    while not caplog.records:
                        await asyncio.sleep(0.02)
                away.rmdir()
                back.rename(away)
                await until_told(receiver, 1)

        world.registry.close()
        away.rename(back)
        away.mkdir()  # no database can be opened here
        with caplog.at_level(logging.WARNING):
            asyncio.run(serve())
        world.registry.close()
        assert "webhooks wait" in caplog.text
