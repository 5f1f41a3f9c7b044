#!/usr/bin/env bash
# Run by Snakemake once the conda environment is there, in whatever folder it works in.
# lock: bc8a0e1fef2fa4c52f8503d1dff36cef598f24ddd6a87c1869c0ea59279274bb
set -euo pipefail
pip install --no-deps --require-hashes --requirement "$REASONMAXXER_ENVS/cuda.txt"
