#!/usr/bin/env bash
# Makes the environment: install.sh FOLDER LOCK PYTHON. `make env` calls it.
set -euo pipefail
folder=$1 lock=$2 python=$3

# The interpreter itself, in case the one that is named stands in the folder to be made anew.
real() { "$1" -c 'import os, sys; assert sys.version_info[:2] in ((3, 11), (3, 12)); print(os.path.realpath(sys.executable))' 2>/dev/null; }
for candidate in "$python" python3.11 python3.12; do
  if python=$(real "$candidate"); then break; fi
done
[ "$python" ] || { echo "Python 3.11 or 3.12 is needed: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }

echo "Making $folder with $($python --version) from $lock (some minutes, about 2 GB) ..."
rm -rf "$folder"
"$python" -m venv "$folder"
pip() { "$folder/bin/pip" --disable-pip-version-check install --quiet --progress-bar off "$@"; }

# torch first and with its dependencies. Without a GPU the CPU build is wanted: PyTorch's own
# index has it, the common one has a CUDA build of several GB. Where that index cannot be
# reached pip passes it over at once (--retries 0).
if [ "$(basename "$lock")" = cpu.txt ]; then
  pip --retries 0 --extra-index-url https://download.pytorch.org/whl/cpu torch==2.13.0
else
  pip torch==2.13.0
fi
pip --no-deps --requirement "$lock"
pip --no-deps --no-build-isolation --editable .
