#!/usr/bin/env bash
# Run the steps' commands in a built image as a cluster would: not root, root file system read-only, no network, scratch in /tmp.
#   scripts/image_check.sh [IMAGE]     default: trace-retriever:<version>-cpu
# Every command's --help, then the whole chain on the very small profile. Prints seconds of each.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
image=${1:-localhost/trace-retriever:$version-cpu}
engine=${ENGINE:-$(for name in podman docker; do command -v "$name" >/dev/null && echo "$name" && break; done || true)}
[ -n "$engine" ] || { echo "no podman or docker on this machine: install one of them" >&2; exit 2; }
work=$(mktemp -d "${TMPDIR:-/tmp}/image.XXXXXX")
trap 'rm -rf "$work"' EXIT
cp profiles/tiny.yaml "$work/params.yaml"
chmod -R a+rwX "$work"

inside() {  # inside COMMAND...: in a fresh container with the work folder mounted
  local started
  started=$(date +%s%N)
  "$engine" run --rm --read-only --network none --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp:rw,size=1g \
    --volume "$work:/workspace" "$image" "$@" >"$work.log" 2>&1 || { tail -30 "$work.log" >&2; echo "failed: $*" >&2; exit 1; }
  printf '%6.1f s  %s\n' "$((($(date +%s%N) - started) / 1000000))e-3" "$*"
}

"$engine" image inspect --format 'size {{.Size}} bytes, user {{.Config.User}}' "$image"
inside python -c 'import os, sys; assert os.getuid() == 65532; sys.exit(os.access("/opt/venv", os.W_OK))'
inside python -c 'import json; assert len(json.load(open("/opt/trace/sbom.cdx.json"))["components"]) > 100'
inside trace --version  # the health check
for step in prepare backbone route synthesize filter validate train embed evaluate gate register; do inside trace "$step" --help; done
inside python -m kfp.dsl.executor_main --help
for step in ${STEPS:-prepare backbone route synthesize filter validate train embed evaluate gate register}; do inside trace "$step"; done
inside trace doctor
rm -f "$work.log"
echo "every command ran"
