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

# Every file that is installed is one whose SHA-256 stands in the lock. torch without a GPU comes first
# and alone: it is on PyTorch's own index (or, without a line, beside pip as a wheel), which need not be
# asked for the others. Where that index cannot be reached pip passes it over at once (--retries 0).
if [ "$(basename "$lock")" = cpu.txt ]; then
  pip --no-deps --require-hashes --retries 0 --extra-index-url https://download.pytorch.org/whl/cpu \
    --requirement <(sed -n '/^torch==/,$p' "$lock")
fi
pip --no-deps --require-hashes --requirement "$lock"
pip --no-deps --no-build-isolation --editable .
