#!/usr/bin/env bash
# Makes the environment: install.sh FOLDER LOCK PYTHON. `make env` calls it.
set -euo pipefail
folder=$1 lock=$2 python=$3

[ "$(uname -s)" = Linux ] || {
  echo "Linux is needed, and this is $(uname -s): see 'Small cards and Macs' in docs/models-and-data.md" >&2
  exit 1
}

# The interpreter itself, in case the one that is named stands in the folder to be made anew.
real() { "$1" -c 'import os, sys; assert sys.version_info[:2] in ((3, 11), (3, 12)); print(os.path.realpath(sys.executable))' 2>/dev/null; }
for candidate in "$python" python3.11 python3.12; do
  if python=$(real "$candidate"); then break; fi
done
[ "$python" ] || { echo "Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }

size="3.5 GB"
if [ "$(basename "$lock")" = cuda.txt ]; then size="10 GB"; fi
echo "Making $folder with $($python --version) from $lock (some minutes, about $size) ..."
rm -rf "$folder"
"$python" -m venv "$folder"
pip() { "$folder/bin/pip" --disable-pip-version-check install --quiet --progress-bar off "$@"; }

# Every file of the lock is one whose SHA-256 stands in it. Not so torch without a GPU: there the CPU
# build is wanted, which is on PyTorch's own index (or, without a line, beside pip as a wheel), while
# the common one has a CUDA build of several GB. Which of its builds it is depends on the machine, so
# it is pinned by version alone; what it depends on stands in the lock. Where that index cannot be
# reached pip passes it over at once (--retries 0).
if [ "$(basename "$lock")" = cpu.txt ]; then
  pip --no-deps --retries 0 --extra-index-url https://download.pytorch.org/whl/cpu torch==2.13.0
fi
pip --no-deps --require-hashes --requirement "$lock"
pip --no-deps --no-build-isolation --editable .
