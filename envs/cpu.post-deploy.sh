#!/usr/bin/env bash
# Run by Snakemake in the project's folder once the conda environment is there.
# lock: 1ca046b3f954852cf34cf3c4e6f85104493233c2f2ccf4c7409772a4b2127f1c
set -euo pipefail
pip install --retries 0 --extra-index-url https://download.pytorch.org/whl/cpu torch==2.13.0
pip install --no-deps --requirement envs/cpu.txt
