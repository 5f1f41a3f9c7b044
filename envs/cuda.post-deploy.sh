#!/usr/bin/env bash
# Run by Snakemake in the project's folder once the conda environment is there.
set -euo pipefail
pip install torch==2.13.0
pip install --no-deps --requirement envs/cuda.txt
