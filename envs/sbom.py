"""A lock as a list of what is installed: `python envs/sbom.py envs/cpu.txt` prints CycloneDX."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ENTRY = re.compile(r"^([^ #]+)==([^ ;\n]+)((?: \\\n +--hash=sha256:[0-9a-f]{64})*)", re.M)


def bill(lock: str) -> dict[str, Any]:
    """The packages of a lock, each with the hashes of the files that may be installed for it."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "components": [
            {
                "type": "library",
                "name": name,
                "version": version,
                "purl": f"pkg:pypi/{name}@{version}",
                # A component of CycloneDX is one file: here the files are its distributions.
                "externalReferences": [
                    {
                        "type": "distribution",
                        "url": f"https://pypi.org/project/{name}/{version}/",
                        "hashes": [
                            {"alg": "SHA-256", "content": content}
                            for content in re.findall(r"sha256:(\w+)", hashes)
                        ],
                    }
                ],
            }
            for name, version, hashes in ENTRY.findall(lock)
        ],
    }


if __name__ == "__main__":
    json.dump(bill(Path(sys.argv[1]).read_text(encoding="utf-8")), sys.stdout, indent=1)
