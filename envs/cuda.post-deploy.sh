#!/usr/bin/env bash
# Run by Snakemake in the project's folder once the conda environment is there.
# lock: 696cdbd7d87b5fbccd889084027f4fa2f3f73de1ecaad30ac6154146807a3994
set -euo pipefail
pip install torch==2.13.0
pip install --no-deps --requirement envs/cuda.txt
