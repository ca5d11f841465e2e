#!/usr/bin/env bash
# Build the images with the first of buildah, podman and docker that is there.
#   scripts/images.sh [cpu] [gpu]     default: both
# From the environment:
#   BASE    base image (a Debian 12 one), if not the Containerfile's
#   TORCH   torch version, CUDA its toolkit's: must be what the lock has (scripts/lock.sh)
#   WHEELS  a folder of wheels that no index has (a CPU build of torch, say)
#   CA      a certificate bundle to trust while building
#   TAG     default: trace-retriever:<version>-<cpu|gpu>
#   ISOLATION  buildah's way to run commands; `chroot` where containers cannot be nested
set -euo pipefail
cd "$(dirname "$0")/.."
engine=${ENGINE:-$(for name in buildah podman docker; do command -v "$name" >/dev/null && echo "$name" && break; done || true)}
[ -n "$engine" ] || { echo "no buildah, podman or docker on this machine: install one of them" >&2; exit 2; }
[ $# -gt 0 ] || set -- cpu gpu
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)

build() {
  local arguments=(--file "containers/Containerfile.$1" --tag "${TAG:-trace-retriever:$version-$1}")
  arguments+=(--build-arg "COMMIT=$(git describe --always --dirty --abbrev=40)")
  [ -z "${BASE:-}" ] || arguments+=(--build-arg "BASE=$BASE")
  [ -z "${TORCH:-}" ] || arguments+=(--build-arg "TORCH=$TORCH")
  [ -z "${CUDA:-}" ] || arguments+=(--build-arg "CUDA=$CUDA")
  [ -z "${WHEELS:-}" ] || arguments+=(--build-context "wheels=$WHEELS")
  [ -z "${CA:-}" ] || arguments+=(--secret "id=ca,src=$CA")
  case $engine in  # HEALTHCHECK is kept in Docker's format alone
    buildah) buildah bud --format docker --layers ${ISOLATION:+--isolation "$ISOLATION"} "${arguments[@]}" . ;;
    podman) podman build --format docker ${ISOLATION:+--isolation "$ISOLATION"} "${arguments[@]}" . ;;
    docker) docker buildx build "${arguments[@]}" . ;;
    *) echo "no such engine: $engine" >&2 && exit 2 ;;
  esac
}

for kind in "$@"; do
  [ -f "containers/Containerfile.$kind" ] || { echo "no such image: $kind (cpu, gpu)" >&2; exit 2; }
  build "$kind"
done
