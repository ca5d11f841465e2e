#!/usr/bin/env bash
# Resolve pyproject.toml and its dev group into requirements.lock, keeping versions that still fit.
set -euo pipefail
cd "$(dirname "$0")/.."
find_links=${UV_FIND_LINKS:-$(python -m pip config get global.find-links 2>/dev/null || true)}
uv pip compile --quiet --python-version 3.11 --universal --no-emit-find-links --no-emit-index-url --no-header --no-annotate \
  ${find_links:+--find-links "$find_links"} --group dev pyproject.toml --output-file requirements.lock
