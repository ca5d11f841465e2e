#!/usr/bin/env bash
# What the tests want of the machine beside Python: a browser and a PostgreSQL server. Installs Debian's where root may; says what is skipped where not.
set -euo pipefail
missing=()
command -v chromium >/dev/null || missing+=(chromium)
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install --yes -qq --no-install-recommends "${missing[@]}" >/dev/null
  echo "installed for the tests: ${missing[*]}"
else
  echo "not on this machine, their tests are skipped (or fail where CI is set): ${missing[*]}" >&2
fi
