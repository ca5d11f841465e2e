#!/usr/bin/env bash
# Run the chain on a profile (default: gpu) in DIR (default: .trace/gpu), for at most SECONDS (default: 540), and go on from
# there next time: a step that is done is not run again, and one that was cut short resumes. Exits with 75 while there is more.
#   scripts/gpu_chain.sh [PROFILE [SECONDS [DIR]]]
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-gpu} seconds=${2:-540} work=${3:-.trace/gpu}
params=profiles/$profile.yaml
[ -f "$params" ] || { echo "no profile $params; there are: $(ls profiles)" >&2; exit 2; }
export PYTHONPATH=$PWD/src/trace${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
python=$(command -v python || command -v python3)
mkdir -p "$work"
cp "$params" "$work/params.yaml"
cd "$work"
end=$(($(date +%s) + seconds))

# run REPORT STEP ARGUMENT...: a step whose manifest is in REPORT is done.
run() {
  local report=$1 left=$((end - $(date +%s))) status=0
  shift
  [ ! -e "$report/manifest.json" ] || return 0
  [ "$left" -gt 5 ] || { echo "gpu chain: time is up before: $*" >&2; exit 75; }
  echo "gpu chain: $*" >&2
  timeout --signal=TERM --kill-after=20 "$left" "$python" -m trace_retriever.cli "$@" || status=$?
  case $status in
    124 | 137) echo "gpu chain: cut short, goes on next time: $*" >&2; exit 75 ;;
    0) ;;
    *) exit "$status" ;;
  esac
}

for step in prepare backbone route synthesize filter validate; do run "results/$step" "$step"; done
for variant in trace encoder; do
  run "results/train/$variant" train --set "train.variant=$variant" --out "models/$variant" --report "results/train/$variant"
done
for variant in trace encoder; do
  run "results/embed/$variant" embed --model "models/$variant" --out "embeddings/$variant" --report "results/embed/$variant"
done
for step in evaluate gate register; do run "results/$step" "$step"; done
echo "gpu chain: done; figures: python benchmarks/gpu.py --chain $work" >&2
