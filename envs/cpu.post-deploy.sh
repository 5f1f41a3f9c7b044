#!/usr/bin/env bash
# Run by Snakemake in the project's folder once the conda environment is there.
set -euo pipefail
pip install --retries 0 --extra-index-url https://download.pytorch.org/whl/cpu torch==2.13.0
pip install --no-deps --requirement envs/cpu.txt
