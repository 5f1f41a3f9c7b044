"""The small run with its results in an object store: a real S3 server of the test's own.

Needs a package index: Snakemake's plugin and the server are no part of the project's environment.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import project_copy
import pytest
from project_copy import ROOT

PLUGIN = ("snakemake-storage-plugin-s3==0.3.6", "boto3>=1.34.63,<2")
SERVER = ("moto[server]==5.2.5",)
BUCKET = "runs"
KEYS = {
    **{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"},
    **{"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "key", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "secret"},
}


def installed(folder: Path, *packages: str) -> dict[str, str]:
    """The environment of a process that has these packages too."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, *packages]
    subprocess.run(command, check=True)
    return {**project_copy.ENVIRONMENT, **KEYS, "PYTHONPATH": str(folder)}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return installed(tmp_path_factory.mktemp("plugin"), *PLUGIN)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = installed(tmp_path_factory.mktemp("server"), *SERVER)
    process = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], env=own)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def in_store(server: str, environment: dict[str, str], code: str) -> str:
    """What a client of the store prints."""
    client = f"import boto3; s3 = boto3.client('s3', endpoint_url='{server}'); {code}"
    done = subprocess.run(
        [sys.executable, "-c", client],
        env={**environment, "AWS_DEFAULT_REGION": "us-east-1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_a_run_leaves_its_results_in_the_store_and_none_here(server, environment, tmp_path):
    for _ in range(60):
        try:
            socket.create_connection(("127.0.0.1", int(server.rpartition(":")[2]))).close()
            break
        except OSError:
            time.sleep(0.5)
    in_store(server, environment, f"s3.create_bucket(Bucket='{BUCKET}')")
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", ROOT / "Snakefile"]
    command += ["--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{BUCKET}/a"]
    command += ["--storage-s3-endpoint-url", server, "--storage-s3-region", "us-east-1"]
    command += ["--configfile", ROOT / "config/test.yaml", "--resources", "mem_mb=6000", "gpu=1"]

    def snakemake(expected: int = 0) -> str:
        one_thread = {**environment, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=tmp_path, env=one_thread, capture_output=True, text=True)
        assert done.returncode == expected, done.stdout + done.stderr
        return done.stdout + done.stderr

    (tmp_path / "results/test").mkdir(parents=True)
    assert "results/test: a folder of a run without storage" in snakemake(expected=1)
    (tmp_path / "results/test").rmdir()
    snakemake()
    listing = f"print(*[o['Key'] for o in s3.list_objects_v2(Bucket='{BUCKET}')['Contents']])"
    stored = in_store(server, environment, listing).split()
    run = "a/results/test"
    assert {"a/results/report.html", f"{run}/report.html", f"{run}/metrics.json"} <= set(stored)
    assert f"{run}/adapters/reasonmaxxer/adapter_model.safetensors" in stored
    read = (
        f"print(s3.get_object(Bucket='{BUCKET}', Key='{run}/metrics.json')['Body'].read().decode())"
    )
    metrics = json.loads(in_store(server, environment, read))
    assert all(cost["seconds"] for cost in metrics["costs"])
    here = [Path(at, name) for at, _, names in os.walk(tmp_path / "results") for name in names]
    assert here == []
    assert "Nothing to be done" in snakemake()
