import os
import subprocess
import sys

import pytest

from trace_retriever.io.processors import usable_processors

CODE = (
    "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
    "from trace_retriever.io.processors import usable_processors; print(usable_processors())"
)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no set of processors here")
def test_a_process_that_is_kept_to_one_processor_has_one() -> None:
    assert subprocess.check_output([sys.executable, "-c", CODE]) == b"1\n"


def test_where_the_system_does_not_tell_it_is_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert usable_processors() == os.cpu_count()
