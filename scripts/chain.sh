#!/usr/bin/env bash
# Run the whole chain with DVC in a copy of this checkout, on a profile (default: tiny); needs the environment of `make setup`.
# Prints figures, wall time and peak memory. The copy is removed, and kept on failure or with KEEP=1.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-tiny}
params=profiles/$profile.yaml
[ -f "$params" ] || { echo "no profile $params; there are: $(ls profiles)" >&2; exit 2; }

copy=$(mktemp -d "${TMPDIR:-/tmp}/chain.XXXXXX")
finish() {
  status=$?
  if [ "$status" -ne 0 ] || [ -n "${KEEP:-}" ]; then echo "chain: the copy is kept in $copy" >&2; else rm -rf "$copy"; fi
}
trap finish EXIT

# What Git tracks or would track, as it is now; files deleted but not yet committed are passed over.
git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
  tar --null --files-from=- -cf - | tar -xf - -C "$copy"
cp "$params" "$copy/params.yaml"
cd "$copy"
rm -f dvc.lock
find results -mindepth 1 -maxdepth 1 ! -name seeds.json -exec rm -rf {} +  # those are figures of other runs, an input of evaluate
export PYTHONPATH=$copy/src/trace DVC_NO_ANALYTICS=1
git init --quiet
git add --all
git -c user.name=chain -c user.email=chain@localhost commit --quiet --message "profile $profile"

echo "chain: profile $profile in $copy"
python scripts/measure.py --json results/chain.json dvc repro
echo
python scripts/figures.py
echo

started=$(date +%s%N)
dvc repro >.repro.log
milliseconds=$((($(date +%s%N) - started) / 1000000))
grep -q "Data and pipelines are up to date" .repro.log || { cat .repro.log >&2; echo "chain: a second run found something to do" >&2; exit 1; }
echo "a second run had nothing to do and took $milliseconds ms"
trace verify models/registered

# the study of the paper's questions on what the chain has made: every variant and probe, at a size that means nothing
python experiments/run.py --quick 2>.study.log || { tail -n 40 .study.log >&2; exit 1; }
