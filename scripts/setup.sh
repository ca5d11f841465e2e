#!/usr/bin/env bash
# Make the virtual environment $1 with exactly what requirements.lock names, and this checkout in it.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}

[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
# uv does not read pip's own configuration: hand it the folder of local wheels if there is one (a CPU build of torch, say).
find_links=${UV_FIND_LINKS:-$("$venv/bin/python" -m pip config get global.find-links 2>/dev/null || true)}
find_links=${find_links:-${PIP_FIND_LINKS:-}}
export VIRTUAL_ENV=$PWD/$venv UV_LINK_MODE=copy
uv() { "$venv/bin/uv" --quiet "$@"; }
uv pip install ${find_links:+--find-links "$find_links"} --requirement requirements.lock
uv pip install --no-deps --no-build-isolation --editable .
echo "ready: $venv ($("$venv/bin/trace" --version))"
