"""The notebook for small cards runs from a fresh folder to the exported adapter, on the lab.

nbclient and a kernel are no part of the environment: they are installed into a folder for it.
"""

import os
import subprocess
import sys
from pathlib import Path

from project_copy import ROOT

NOTEBOOK = ROOT / "docs/small-card.ipynb"
RUN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(notebook)
nbclient.NotebookClient(notebook, timeout=1200, kernel_name="python3").execute()
"""


def test_the_notebook_runs_from_a_fresh_folder_to_the_adapter(tmp_path: Path) -> None:
    packages, fresh = tmp_path / "packages", tmp_path / "fresh"
    fresh.mkdir()
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(packages)]
    subprocess.run([*command, "nbclient", "ipykernel"], check=True)
    kernels = {"JUPYTER_PATH": str(packages / "share/jupyter"), "PYTHONPATH": str(packages)}
    chosen = {
        "REPOSITORY": str(ROOT),
        "CONFIG": "config/test.yaml",
        "VENV": sys.prefix,  # the environment of the tests, which makes another one needless
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(NOTEBOOK)],
        cwd=fresh,
        env={**os.environ, **kernels, **chosen},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (fresh / "adapter/adapter_model.safetensors").is_file()
    assert (fresh / "reasonmaxxer/results/report.html").is_file()
