#!/usr/bin/env bash
# Run the chain on the OpenMoji benchmark (params.yaml), then ask the model three test queries. See `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
export DVC_NO_ANALYTICS=1
queries=(mojicap_task0:0 mojihop_task1:0 mojiedit_task7:1)

# DVC wants a Git repository; an unpacked archive is none.
git rev-parse --is-inside-work-tree >/dev/null 2>&1 || git init --quiet

cat <<'TEXT'
TRACE demo: make a benchmark from OpenMoji pictures, teach a model of a million parameters to see and read, have a
teacher write reasoning traces, train TRACE and an encoder-only baseline, and hold both against held-out queries.
Steps that are done already are skipped; interrupt at any time, the same command goes on.
TEXT
echo
# What the whole chain costs is noted when it starts from nothing, not when most of it is there already.
note=()
[ -e models ] || note=(--json results/demo.json)
if ! python scripts/measure.py "${note[@]}" dvc repro; then
  cat >&2 <<'TEXT'

The chain stopped. The message above says why; if a check refused, its report is there:
  data   results/validate/validation.html
  model  results/gate/gate.html
TEXT
  exit 1
fi

echo
python scripts/figures.py
echo
echo "Three test queries, one simple and two that need reasoning:"
echo
trace ask "${queries[@]/#/--query=}"
cat <<'TEXT'

Reports
  results/evaluate/report.html   figures per pair with intervals, and what each system finds
  results/gate/gate.html         the verdict
  results/filter/report.html     what the teacher's traces lost on the way, and why
  results/ask/sheet.png          the three queries above as pictures
Next: `trace demo-app` (search by words or pictures in a browser), `dvc metrics show`, `dvc plots show`, `dvc exp run -S train.seed=2`,
`trace registry register models/registered` (the way into production: README).
TEXT
