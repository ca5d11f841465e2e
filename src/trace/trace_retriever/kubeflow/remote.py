"""Outputs by digest, in a DVC remote: what a pod pushes a laptop can pull, and the other way round.

DVC itself does the work, in a throw-away repository without Git: its remote's layout and its digests are
those of `dvc.lock`, so the md5 of an output there names the same bytes here. Credentials come from the
environment (a Secret).
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from trace_retriever.errors import ConfigError, DataError
from trace_retriever.io.files import atomic_directory, digest_tree, write_atomic, write_json
from trace_retriever.kubeflow.artifacts import Artifact
from trace_retriever.kubeflow.ledger import noted

REMOTE, ENDPOINT = "TRACE_DVC_REMOTE", "AWS_ENDPOINT_URL"
DIGEST = re.compile(r"[0-9a-f]{32}(\.dir)?")
NAME = "content"
# The only file of an artifact that stands for nothing: an empty folder would not survive an object store.
ABSENT = "absent.json"


@dataclass(frozen=True)
class Remote:
    """A DVC remote.

    Attributes:
        address: `s3://bucket/prefix`, or a folder.
        endpoint: address of the S3 server, where it is not Amazon's.
    """

    address: str
    endpoint: str | None = None

    @classmethod
    def from_environment(cls) -> "Remote | None":
        """The remote that this process was given, or None."""
        address = os.environ.get(REMOTE)
        return cls(address, os.environ.get(ENDPOINT)) if address else None

    def push(self, path: Path) -> str:
        """Put a file's or directory's content there; what is there already is not sent again.

        Returns:
            Its md5 as in `dvc.lock`; that of a directory ends in `.dir`.

        Raises:
            DataError: the remote cannot be written to; carries DVC's message.
        """
        with self._repository(path) as repository:
            content = repository / NAME
            if path.is_dir():  # a copy, since DVC write-protects what it caches
                shutil.copytree(path, content)
            else:
                shutil.copyfile(path, content)
            _dvc(repository, "add", "--quiet", NAME, where=path)
            _dvc(repository, "push", where=self.address)
            out = yaml.safe_load((repository / f"{NAME}.dvc").read_text(encoding="utf-8"))["outs"][0]
            return str(out["md5"])

    def pull(self, digest: str, path: Path) -> None:
        """Bring content back; `path` is replaced when it is there whole, each file checked by its digest.

        Args:
            digest: an md5 of `dvc.lock`, of a directory (`….dir`) or a file.
            path: a directory to be; a file's content is put into it as `content`.

        Raises:
            DataError: not a digest, the remote lacks it or cannot be read, or what came is something else.
        """
        if not DIGEST.fullmatch(digest):
            raise DataError(f"{digest!r} is not the md5 of an output", remedy="take one from dvc.lock")
        with self._repository(path) as repository:
            out: dict[str, str] = {"md5": digest, "hash": "md5", "path": NAME}
            (repository / f"{NAME}.dvc").write_text(yaml.safe_dump({"outs": [out]}), encoding="utf-8")
            _dvc(repository, "pull", where=f"{self.address}, {digest}")
            with atomic_directory(path) as new:
                content = repository / NAME
                for source in content.iterdir() if content.is_dir() else (content,):
                    shutil.move(source, new / source.name)

    def _config(self) -> str:
        """What `dvc init --no-scm` and `dvc remote add` would write."""
        config = ConfigParser(interpolation=None)
        config["core"] = {"no_scm": "True", "analytics": "False", "check_update": "False", "remote": "team"}
        config["cache"] = {"type": "copy"}
        config["'remote \"team\"'"] = {"url": self.address, "verify": "True"}
        if self.endpoint and self.address.startswith("s3://"):
            config["'remote \"team\"'"]["endpointurl"] = self.endpoint
        text = io.StringIO()
        config.write(text)
        return text.getvalue()

    @contextmanager
    def _repository(self, beside: Path) -> Iterator[Path]:
        """An empty DVC repository on the same disk, with this as its remote; removed with its cache."""
        beside.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".dvc-", dir=beside.parent) as folder:
            repository = Path(folder)
            write_atomic(repository / ".dvc/config", self._config())
            yield repository


def push_output(path: Path) -> str | None:
    """Push a step's output if this process was given a remote; returns its md5."""
    remote = Remote.from_environment()
    return remote.push(path) if remote else None


def _dvc(repository: Path, *arguments: str, where: str | Path | None = None) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=repository,
        env={**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(repository / ".dvc/site")},
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        said = (answer.stderr or answer.stdout).strip()
        raise DataError(
            f"dvc {arguments[0]} failed: {said[-600:]}",
            where=where,
            remedy="check the remote's address, its credentials (AWS_ACCESS_KEY_ID, ...) and the digest",
        )


def is_absent(path: Path) -> bool:
    """Whether an artifact is what component `pull` leaves where it was told that nothing is there."""
    return path.is_dir() and [file.name for file in path.iterdir()] == [ABSENT]


def pull_component(digest: str, out: Artifact, optional: bool = False) -> None:
    """Component `pull`: bring content back by its digest, into an artifact.

    Args:
        digest: an md5 of `dvc.lock`.
        out: gets the content.
        optional: an empty digest is no error: the artifact then stands for nothing, and a step that may go
            without it goes without it. (`dsl.OneOf`, KFP's own word for that, takes no artifacts yet.)

    Raises:
        ConfigError: this pod was given no remote.
        DataError: see `Remote.pull`.
    """
    with noted("pull", {"digest": digest} if digest else {}) as entry:
        if optional and not digest:
            write_json(Path(out.path) / ABSENT, {"reason": "no digest was given"})
            return
        remote = Remote.from_environment()
        if remote is None:
            raise ConfigError(
                f"{REMOTE} is not set", remedy="set dvc_remote in pipelines/cluster.yaml and compile again"
            )
        remote.pull(digest, Path(out.path))
        entry.outputs = {"out": digest_tree(Path(out.path)), "dvc": digest}
        out.metadata.update(digest=entry.outputs["out"], dvc=digest)
