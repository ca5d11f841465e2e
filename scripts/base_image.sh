#!/usr/bin/env bash
# Make a minimal Debian base image out of Debian's packages alone, where no image registry is reached. Needs root, debootstrap and buildah.
#   scripts/base_image.sh [NAME]      default: localhost/debian:bookworm-slim
set -euo pipefail
name=${1:-localhost/debian:bookworm-slim}
folder=$(mktemp -d "${TMPDIR:-/tmp}/base.XXXXXX")
trap 'rm -rf "$folder"' EXIT

debootstrap --variant=minbase bookworm "$folder" >"$folder.log" || { tail -20 "$folder.log" >&2; exit 1; }
rm -rf "$folder.log" "$folder"/var/cache/apt/* "$folder"/var/lib/apt/lists/* "$folder"/var/log/* "$folder"/usr/share/{doc,man,locale,info}/*
container=$(buildah from scratch)
buildah add --quiet "$container" "$folder" / >/dev/null
buildah config --cmd /bin/sh "$container"
buildah commit --quiet --rm "$container" "$name"
