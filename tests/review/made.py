"""Two registered models with samples, a registry that holds them, and browsers without a screen."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from tests.cards.chain import PARTS, write_model
from tests.cards.curves import falling, write_curves
from tests.gates.records import TRUE_ROUTES, records, write_validation
from tests.registry.made import ANN, BEN, CIM, DEA, EVE, NAME, Clock, rules

from trace_retriever.config.gate import ChampionParams, FloorParams, GateConfig
from trace_retriever.config.register import RegisterConfig
from trace_retriever.config.review import ReviewSettings
from trace_retriever.evaluation.samples import Found, Sample, Shown
from trace_retriever.io.files import digest_tree, write_json
from trace_retriever.io.jsonl import write_jsonl
from trace_retriever.registry.registry import Registry, open_registry
from trace_retriever.review.app import create_app
from trace_retriever.review.users import Users
from trace_retriever.runner import run_step

__all__ = ["ANN", "BEN", "CIM", "DEA", "EVE", "NAME"]
EVIL = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}"
PASSWORD = "correct horse battery"
CHAMPION = {"mojicap_task0": 0.9, "mojihop_task1": 0.8, "mojiedit_task7": 0.7}
CANDIDATE = {"mojicap_task0": 0.94, "mojihop_task1": 0.86, "mojiedit_task7": 0.68}
SAMPLED = 6


def _frame(rates: dict[str, float], shift: int) -> pd.DataFrame:
    frame = records("auto", rates, shift=shift)
    number = frame["qid"].str.partition(":")[2].astype(int)
    codes = frame["pair"].map({pair: place for place, pair in enumerate(TRUE_ROUTES, start=11)})
    frame["qid"] = codes.astype(str) + ":" + number.astype(str)
    frame["rank"] = [1 if hit else (-1 if place % 7 == 0 else 6 + place % 40) for hit, place in zip(
        frame["headline"], number, strict=True)]  # fmt: skip
    return frame


def _picture(folder: Path, colour: tuple[int, int, int]) -> str:
    stream = BytesIO()
    Image.new("RGB", (24, 24), colour).save(stream, "PNG")
    name = f"{sha256(stream.getvalue()).hexdigest()[:32]}.png"
    (folder / name).write_bytes(stream.getvalue())
    return name


def _write_samples(folder: Path, frame: pd.DataFrame) -> None:
    (folder / "pictures").mkdir(parents=True)
    pictures = [_picture(folder / "pictures", (40 * place, 90, 200 - 30 * place)) for place in range(6)]
    rows = []
    for pair, found in frame.groupby("pair"):
        shown = pd.concat([found[~found["headline"]].head(SAMPLED), found[found["headline"]].head(SAMPLED)])
        for row in shown.to_dict("records"):
            dids = [f"{row['qid'].partition(':')[0]}:{place}" for place in range(6)]
            contents = {
                did: Shown(text=f"fact {did} {EVIL}", picture=pictures[place] if place % 2 else None)
                for place, did in enumerate(dids)
            }
            rows.append(
                Sample(
                    pair=str(pair),
                    qid=row["qid"],
                    query=Shown(text=f"find it {EVIL}", picture=pictures[0]),
                    positives=[dids[0] if row["headline"] else dids[5]],
                    trace=f"step : {EVIL}" if row["route"] == "complex" else "",
                    true_trace=f"true {EVIL}",
                    candidates=contents,
                    rankings={"auto": [Found(did=did, score=0.5) for did in dids[:5]]},
                )
            )
    write_jsonl(folder / "samples.jsonl", rows)


def _evaluation(folder: Path, frame: pd.DataFrame, model: str) -> None:
    _write_samples(folder / "samples", frame)
    frame.to_parquet(folder / "queries.parquet")
    pairs = {pair: {"true_route": route, "headline_k": 5} for pair, route in TRUE_ROUTES.items()}
    about = {"pairs": pairs, "embeddings": {"trace": {"model": model}}}
    write_json(folder / "results.json", about | {"samples": digest_tree(folder / "samples")})


def make_package(
    root: Path, version: str, rates: dict[str, float], shift: int, champion: Path | None
) -> Path:
    """Gate and register a made evaluation; returns the registered directory."""
    model = write_model(root / "model")
    write_json(model / "trace.json", {"kind": "trace", "max_trace_tokens": 64 + shift})
    _evaluation(root / "evaluation", _frame(rates, shift), digest_tree(model))
    write_validation(root / "validation")
    work = root / "work"
    inputs = {name: root / name for name in ("evaluation", "validation")}
    inputs |= {"champion": champion} if champion is not None else {}
    limits = ChampionParams(margin=0.3, average_margin=0.3, resamples=1000)
    config = GateConfig(floors=FloorParams(average=0.1), champion=limits)
    run_step("gate", config, inputs=inputs, out=root / "verdict", report=root / "gate", work_root=work)
    out = root / "registered"
    about = RegisterConfig(version=version, description=f"A model {EVIL}")
    curves = {"loss": falling(0.3 + shift / 20), "val_hit": [0.5, 0.62, 0.71 + shift / 100]}
    curves |= {"ce": falling(0.2)} if champion is not None else {}
    parts = {name: root / name for name in PARTS}
    parts["curves"] = write_curves(root / "training", model, **curves)
    run_step("register", about, inputs=parts, out=out, report=root / "report", work_root=work)
    return out


@dataclass
class House:
    """A registry with a champion (1.0.0) and a request (1.1.0), users, and an app over it."""

    root: Path
    registry: Registry
    clock: Clock
    settings: dict[str, Any]
    request: int
    app: FastAPI = field(init=False)

    def __post_init__(self) -> None:
        self.reopen()

    def reopen(self, **settings: Any) -> FastAPI:
        """The app anew, with other settings."""
        chosen = ReviewSettings.model_validate({**self.settings, **settings}, strict=False)
        self.app = create_app(self.registry, chosen, clock=self.clock)
        return self.app

    @property
    def users(self) -> Users:
        return Users(self.root / "users.json")

    @contextmanager
    def browser(self, user: str | None = None, address: str = "127.0.0.1") -> Iterator["Browser"]:
        """A browser; logged in where a user is named."""
        with TestClient(self.app, base_url="http://localhost", client=(address, 5000)) as client:
            client.follow_redirects = False
            found = Browser(client)
            if user is not None:
                assert found.login(user).status_code == 303
            yield found

    def package(self, version: str) -> Path:
        """Where the registry keeps a version's bytes."""
        folder = self.registry.version(NAME, version).directory
        assert folder is not None
        return folder


@dataclass
class Browser:
    """Reads pages and sends the forms that they hold."""

    client: TestClient

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(path, headers=headers)

    def form(self, path: str, action: str) -> dict[str, str]:
        """The hidden fields of a form of a page."""
        return fields(self.get(path).text, action)

    def login(self, user: str, password: str = PASSWORD, **more: str) -> Any:
        content = self.form("/login", "/login") | {"name": user, "password": password} | more
        return self.client.post("/login", data=content)

    def decide(self, request: int, act: str, why: str = "looked at it", **more: str) -> Any:
        content = self.form(f"/requests/{request}", f"/requests/{request}/approve") | {"why": why} | more
        return self.client.post(f"/requests/{request}/{act}", data=content)


def fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form with an action."""
    found = re.search(rf'<form[^>]*action="{re.escape(action)}".*?</form>', page, re.DOTALL)
    assert found, f"no form {action}"
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', found[0]))


def open_house(root: Path, packages: tuple[Path, Path], **values: Any) -> House:
    """A registry of its own with both packages."""
    clock = Clock()
    registry = open_registry(f"sqlite:///{root}/registry.db", rules(**values), clock, store=root / "store")
    who = registry.actor
    for number, package in enumerate(packages):
        version = registry.register(package, by=who(ANN))
        asked = registry.request(
            version, by=who(ANN), why=f"better on hops and relations at the same cost {EVIL}"
        )
        if number == 0:
            registry.approve(asked.id, by=who(BEN), why="first", evidence=version.digests["evidence"])
            registry.start_canary(NAME, version.version, by=who(DEA), why="first steps")
            registry.promote(NAME, version.version, by=who(DEA), why="as good as told")
    users = Users(root / "users.json")
    for name in (ANN, BEN, DEA, EVE):
        users.add(name, PASSWORD)
    settings = {"users": str(root / "users.json")}
    return House(root, registry, clock, settings, asked.id)


def copy_house(built: House, root: Path) -> House:
    """A house of its own as one was built; the packages are the same files, so no test may alter them."""
    for name in ("registry.db", "users.json"):
        shutil.copyfile(built.root / name, root / name)
    clock = Clock()
    registry = open_registry(f"sqlite:///{root}/registry.db", rules(), clock, store=built.root / "store")
    return House(root, registry, clock, {"users": str(root / "users.json")}, built.request)
