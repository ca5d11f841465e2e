#!/usr/bin/env bash
# Resolve pyproject.toml into locks, keeping versions that still fit: requirements.lock for development, and with hashes for the images.
#   scripts/lock.sh [dev] [cpu] [gpu]      default: all
# TORCH=2.13.0 CUDA=13.0 ask for other versions in the images; a folder of wheels that no index has: UV_FIND_LINKS, or pip's own setting.
set -euo pipefail
cd "$(dirname "$0")/.."
find_links=${UV_FIND_LINKS:-$(python -m pip config get global.find-links 2>/dev/null || true)}
find_links=${find_links:-${PIP_FIND_LINKS:-}}
common=(--quiet --python-version 3.11 --no-emit-find-links --no-emit-index-url --no-header --no-annotate)

pinned() {  # pinned PACKAGE VERSION: a requirement on standard output, nothing without a version
  [ -z "$2" ] || echo "$1==$2"
}

image() {  # image NAME ARGUMENTS...: a lock with hashes for the one platform of the images; torch may differ from development's
  local name=$1
  shift
  uv pip compile "${common[@]}" --python-platform x86_64-manylinux_2_28 --generate-hashes --constraint <(grep -v "^torch==" requirements.lock) \
    "$@" --output-file "containers/requirements.$name.lock"
}

dev() {  # with a CPU wheel of torch at hand, without the CUDA packages that its build from an index asks for; pip adds them where they are wanted
  local torch=${TORCH:-$(sed -n 's/^torch==//p' requirements.lock)}
  uv pip compile "${common[@]}" ${find_links:+--find-links "$find_links" --override <(echo "torch==$torch+cpu")} \
    --group dev pyproject.toml --output-file requirements.lock
  sed -i "s/^torch==$torch+cpu$/torch==$torch/" requirements.lock
}

cpu() {
  image cpu ${find_links:+--find-links "$find_links"} pyproject.toml <(pinned torch "${TORCH:-}")
  uv pip compile "${common[@]}" --python-platform x86_64-manylinux_2_28 --generate-hashes containers/tools.in --output-file containers/tools.lock
}

gpu() {  # from an index alone: its torch is the CUDA build
  image gpu --override containers/gpu.overrides pyproject.toml containers/gpu.in \
    <(pinned torch "${TORCH:-}") <(pinned cuda-toolkit "${CUDA:+$CUDA.*}")
}

[ $# -gt 0 ] || set -- dev cpu gpu
for lock in "$@"; do
  case $lock in dev | cpu | gpu) "$lock" ;; *) echo "no such lock: $lock (dev, cpu, gpu)" >&2 && exit 2 ;; esac
done
