#!/usr/bin/env bash
# Debian's packages that the tests in this folder run: a browser, npm, a scheduler, a fresh Debian.
set -euo pipefail
missing() { ! command -v "$@" > /dev/null; }
if missing chromium || missing chromedriver || missing slurmctld || missing slurmd || missing munged ||
  missing mmdebstrap || missing npm; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    chromium chromium-driver slurm-wlm munge mmdebstrap npm > /dev/null
fi
