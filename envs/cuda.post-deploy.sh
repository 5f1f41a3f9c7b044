#!/usr/bin/env bash
# Run by Snakemake once the conda environment is there, in whatever folder it works in.
# lock: 2969adfb78689462e93f5f06dadceaae1655a15af83ad82ce72f16df0d281f49
set -euo pipefail
pip install torch==2.13.0
pip install --no-deps --requirement "$REASONMAXXER_ENVS/cuda.txt"
