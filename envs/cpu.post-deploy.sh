#!/usr/bin/env bash
# Run by Snakemake once the conda environment is there, in whatever folder it works in.
# lock: d50b9c87e381d147cc9017146e2a0f9ad30605f8f3e768d87dea491e23a01c94
set -euo pipefail
pip install --no-deps --require-hashes --retries 0 --extra-index-url https://download.pytorch.org/whl/cpu \
  --requirement <(sed -n '/^torch==/,$p' "$REASONMAXXER_ENVS/cpu.txt")
pip install --no-deps --require-hashes --requirement "$REASONMAXXER_ENVS/cpu.txt"
