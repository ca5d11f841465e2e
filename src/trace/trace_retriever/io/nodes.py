"""Which of several machines of one run this is, by the environment that their launcher has set.

The names are torchrun's own (`PET_...`), which Kubeflow's Trainer sets in every pod of a TrainJob.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from trace_retriever.errors import ConfigError

DEFAULT_PORT = 29500  # torchrun's, and the Trainer's


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """This machine's place in a run.

    Attributes:
        count: machines in all.
        number: this one's, from 0.
        address, port: where the machine with number 0 is reached.
        own_address: how the others reach this one; None leaves it to its host name.
        processes: what the launcher expects each machine to start; None where it leaves that to us.
        restarts: how often training processes may be started again after one has failed.
        run: a name that all machines of this run share, and no other run at that address.
    """

    count: int = 1
    number: int = 0
    address: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    own_address: str | None = None
    processes: int | None = None
    restarts: int = 0
    run: str = "trace"

    @property
    def leads(self) -> bool:
        """Whether this is the machine that puts outputs in place; the others only help."""
        return self.number == 0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Nodes":
        """Read this machine's place; a machine alone where nothing is set.

        Raises:
            ConfigError: a variable that is no whole number, or an address that is missing.
        """
        if "RANK" in environment:  # a launcher runs the whole command once in each process
            return cls(number=_number(environment, "RANK", 0), count=_number(environment, "WORLD_SIZE", 1))
        count = _number(environment, "PET_NNODES", 1)
        if count > 1 and "PET_MASTER_ADDR" not in environment:
            raise ConfigError(
                f"{count} machines, and no word of where the first one is",
                where="PET_MASTER_ADDR",
                remedy="set it to the address of the machine with PET_NODE_RANK=0",
            )
        each = environment.get("PET_NPROC_PER_NODE", "auto")
        return cls(
            count=count,
            number=_number(environment, "PET_NODE_RANK", 0),
            address=environment.get("PET_MASTER_ADDR", cls.address),
            port=_number(environment, "PET_MASTER_PORT", DEFAULT_PORT),
            own_address=environment.get("PET_LOCAL_ADDR"),
            processes=None
            if each in ("auto", "gpu", "cpu")
            else _number(environment, "PET_NPROC_PER_NODE", 1),
            restarts=_number(environment, "PET_MAX_RESTARTS", 0),
            run=environment.get("PET_RDZV_ID", cls.run),
        )

    def share(self, processes: int) -> int:
        """How many of all processes run on this machine.

        Raises:
            ConfigError: they cannot be spread evenly, or the launcher expects another number.
        """
        if processes % self.count:
            raise ConfigError(
                f"{processes} processes cannot be spread evenly over {self.count} machines",
                where="train.processes",
                remedy="set it to machines x processes of each",
            )
        share = processes // self.count
        if self.processes not in (None, share):
            raise ConfigError(
                f"the launcher expects {self.processes} processes on each of {self.count} machines, "
                f"the params say {processes} in all",
                where="train.processes",
                remedy="set it to machines x processes of each",
            )
        return share


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    value = environment.get(name, str(default))
    if not value.isdecimal():
        raise ConfigError(f"{name}={value!r} is no whole number", where="environment")
    return int(value)
