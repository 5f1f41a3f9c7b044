#!/usr/bin/env bash
# Run by Snakemake once the conda environment is there, in whatever folder it works in.
# lock: c383d418946b61fd7cbe3729a933943ab08d7f110cbf0d9e3deb605f8ee9abba
set -euo pipefail
pip install --retries 0 --extra-index-url https://download.pytorch.org/whl/cpu torch==2.13.0
pip install --no-deps --requirement "$REASONMAXXER_ENVS/cpu.txt"
