#!/usr/bin/env bash
# Run by Snakemake once the conda environment is there, in whatever folder it works in.
# lock: 2f4e935b00b06ea67d2126e3845a467286599da73aa511843e437576b6f10b6e
set -euo pipefail
pip install --no-deps --retries 0 --extra-index-url https://download.pytorch.org/whl/cpu torch==2.13.0
pip install --no-deps --require-hashes --requirement "$REASONMAXXER_ENVS/cpu.txt"
