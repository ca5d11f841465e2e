#!/usr/bin/env bash
# Run the whole chain with DVC in a copy of this checkout, on a profile (default: tiny). Keeps the copy on failure.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-tiny}
copy=$(mktemp -d)/trace
mkdir -p "$copy"
git ls-files -z --cached --others --exclude-standard | xargs -0 tar --ignore-failed-read -cf - | tar -xf - -C "$copy"
cd "$copy"
cp "profiles/$profile.yaml" params.yaml
rm -f dvc.lock
git init --quiet && git add --all && git -c user.name=chain -c user.email=chain@localhost commit --quiet --message "profile $profile"
export PYTHONPATH="$copy/src/trace"
started=$(date +%s)
dvc repro
dvc metrics show
echo "chain on profile $profile: $(($(date +%s) - started)) s"
again=$(date +%s%N)
dvc repro >repro.log
grep -q "Data and pipelines are up to date" repro.log
echo "repro with nothing to do: $((($(date +%s%N) - again) / 1000000)) ms"
rm -rf "$(dirname "$copy")"
