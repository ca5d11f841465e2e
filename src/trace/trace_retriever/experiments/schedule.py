"""Units in several processes, each as soon as what it needs is there; what fails holds up only its own."""

import os
import socket
from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import Any

from tqdm import tqdm

from trace_retriever.errors import ConfigError, TraceError
from trace_retriever.experiments.places import Places
from trace_retriever.experiments.study import Study
from trace_retriever.experiments.units import Unit, units
from trace_retriever.experiments.work import do, is_done, prepare
from trace_retriever.io.progress import bar


def run_study(study: Study, places: Places, *, jobs: int, only: Collection[str] = ()) -> list[Unit]:
    """Run all units that are not done, `jobs` at a time, one computing thread each.

    Args:
        study: the definition.
        places: where things lie.
        jobs: processes.
        only: names of units (without seeds) to run, with what they need; none given runs all.

    Returns:
        The units that were run.

    Raises:
        ConfigError: there is no unit of such a name.
        TraceError: units failed; all others that do not need them were run, and stay.
    """
    todo = _wanted(study, places, only)
    if not todo:
        return []
    prepare(study, places)
    failed: dict[str, BaseException] = {}
    shown: tqdm[Any] = bar("experiments", total=len(todo), unit="unit")
    with shown, ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_alone) as pool:
        waiting, running, missing = list(todo), dict[Future[None], Unit](), {unit.key for unit in todo}
        while waiting or running:
            for unit in [one for one in waiting if missing.isdisjoint(one.needs)]:
                if len(running) < 2 * jobs:
                    waiting.remove(unit)
                    running[pool.submit(do, study, places, unit)] = unit
            if not running:
                break  # what waits needs something that failed
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                unit = running.pop(future)
                shown.update()
                if error := future.exception():
                    failed[unit.key] = error
                else:
                    missing.discard(unit.key)
    if failed:
        key, error = next(iter(failed.items()))
        raise TraceError(
            f"{len(failed)} of {len(todo)} units failed, first {key}: {error}",
            remedy="run the command again: what is done is kept",
        ) from error
    return todo


def _wanted(study: Study, places: Places, only: Collection[str]) -> list[Unit]:
    """The units that are not done, in order, with those that they need and whose products are gone."""
    every = {unit.key: unit for unit in units(study)}
    names = {unit.name for unit in every.values()}
    if unknown := sorted(set(only) - names):
        raise ConfigError(
            f"the study has nothing called {', '.join(unknown)}", remedy=f"name of {', '.join(sorted(names))}"
        )
    wanted = [unit for unit in every.values() if not only or unit.name in only]
    todo = {unit.key for unit in wanted if not is_done(study, places, unit)}
    for unit in reversed(list(every.values())):
        if unit.key in todo:
            todo |= {need for need in unit.needs if not is_made(study, places, every[need])}
    return [unit for unit in every.values() if unit.key in todo]


def is_made(study: Study, places: Places, unit: Unit) -> bool:
    """Whether a unit is done and what other units take from it is still in the work directory."""
    there = unit.kind != "train" or places.model(unit.name, unit.seed).is_dir()
    return there and is_done(study, places, unit)


def _alone() -> None:
    """Make this process a training group of its own, so that a training runs in it and not below it.

    Starting Python and its libraries again for each training of a minute would be work for nothing.
    """
    import torch

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    os.environ.update(group, MASTER_PORT=str(port), TOKENIZERS_PARALLELISM="false")
    torch.set_num_threads(1)
