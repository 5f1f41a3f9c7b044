"""A hub on the loopback: speaks what huggingface_hub and datasets ask of the real one.

Repositories are given as files by commit. A repository's `mood` says how it misbehaves. Whoever
has the token `TOKEN` may make more of them and upload files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

LONG = 2**20  # bytes
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_token"


@dataclass
class Repository:
    files: dict[str, bytes]
    kind: str = "datasets"
    # well; gated, private (not logged in: 401), refused (logged in: 403); busy (429 twice); and of
    # a long file: breaking (once, in the middle), short (half of it is sent as if it were all),
    # garbled (as many other bytes)
    mood: str = "well"
    private: bool = False
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)


class Hub(ThreadingHTTPServer):
    """Serves at `url` within its `with` block."""

    daemon_threads = True

    def __init__(self, repositories: dict[str, Repository]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = repositories
        self.large: dict[str, bytes] = {}  # uploaded, by their SHA-256
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = urlsplit(self.path).path
        given = re.search(
            r"/preupload/main$|/commit/main$|/batch$|/repos/create$|/validate-yaml$", path
        )
        if given is None:
            return self._answer(body)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._error(401, "", "Invalid username or password.")
        lines = [json.loads(line) for line in body.splitlines()]
        return {
            "/repos/create": self._create,
            "/validate-yaml": self._validate,
            "/preupload/main": self._preupload,
            "/batch": self._batch,
            "/commit/main": self._commit,
        }[given[0]](lines)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.large[hashlib.sha256(content).hexdigest()] = content
        self._json({})

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, body: bytes = b"") -> None:
        path = unquote(urlsplit(self.path).path).lstrip("/")
        found = re.match(r"(?:api/)?(?:(datasets|models)/)?([\w.-]+/[\w.-]+)/?(.*)", path)
        repository = self.server.repositories.get(found[2]) if found else None
        if found is None or repository is None:
            return self._error(404, "RepoNotFound", "Repository not found")
        rest = found[3]
        repository.requests.append((self.command, rest, self.headers.get("Range")))
        calls = len(repository.requests)
        if repository.mood == "private":
            return self._error(401, "", "Invalid username or password.")
        if repository.mood in ("gated", "refused") and "resolve" in rest:
            status = 401 if repository.mood == "gated" else 403
            return self._error(status, "GatedRepo", "Access to this repository is restricted")
        if repository.mood == "busy" and calls <= 2:
            return self._error(429, "", "try later")
        action, _, rest = rest.partition("/")
        revision, _, name = rest.partition("/")
        if revision not in ("", COMMIT, "main"):
            return self._error(404, "RevisionNotFound", "Invalid rev id")
        if action == "resolve":
            return self._file(repository, name)
        if action in ("", "revision"):
            return self._json(self._info(found[2], repository))
        if action in ("tree", "paths-info"):
            wanted = re.findall(r'"([^"]+)"', body.decode()) if action == "paths-info" else None
            return self._json(self._tree(repository, name, wanted))
        return self._error(404, "EntryNotFound", "no such page")

    def _create(self, lines: list[dict[str, Any]]) -> None:
        name = f"{lines[0]['organization']}/{lines[0]['name']}"
        private = lines[0].get("visibility") == "private"
        kind = f"{lines[0].get('type', 'model')}s"
        self.server.repositories.setdefault(name, Repository({}, kind=kind, private=private))
        self._json({"url": f"{self.server.url}/{'' if kind == 'models' else 'datasets/'}{name}"})

    def _validate(self, lines: list[dict[str, Any]]) -> None:
        """As the hub does: a base or a dataset is an id."""
        head = yaml.safe_load(lines[0]["content"].split("---\n")[1])
        named = [head.get("base_model") or "a/b", *(head.get("datasets") or [])]
        wrong = [name for name in named if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name)]
        errors = [{"message": f"{name} is not valid"} for name in wrong]
        self._json({"errors": errors, "warnings": []}, 400 if wrong else 200)

    def _preupload(self, lines: list[dict[str, Any]]) -> None:
        large = (".safetensors", ".parquet")
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(large) else "regular",
                "shouldIgnore": False,
            }
            for file in lines[0]["files"]
        ]
        self._json({"files": files})

    def _batch(self, lines: list[dict[str, Any]]) -> None:
        objects = [
            {**file, "actions": {"upload": {"href": f"{self.server.url}/large"}}}
            for file in lines[0]["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        name = re.search(r"([\w.-]+/[\w.-]+)/commit", self.path)[1]
        files = self.server.repositories[name].files
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
        prefix = "" if self.server.repositories[name].kind == "models" else "datasets/"
        url = f"{self.server.url}/{prefix}{name}/commit/{COMMIT}"
        self._json({"commitUrl": url, "commitOid": COMMIT})

    def _info(self, name: str, repository: Repository) -> dict[str, object]:
        siblings = [{"rfilename": file} for file in repository.files]
        gated = "manual" if repository.mood in ("gated", "refused") else False
        return {
            "id": name,
            "sha": COMMIT,
            "private": repository.private,
            "gated": gated,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": siblings,
        }

    def _tree(
        self, repository: Repository, folder: str, wanted: list[str] | None
    ) -> list[dict[str, object]]:
        found = [
            {"type": "file", "path": file, "size": len(content), "oid": _oid(content)}
            for file, content in repository.files.items()
            if file.startswith(folder) and (wanted is None or file in wanted)
        ]
        inner = {file.rpartition("/")[0] for file in repository.files} - {folder, ""}
        return found + [{"type": "directory", "path": name, "oid": COMMIT} for name in inner]

    def _file(self, repository: Repository, name: str) -> None:
        if name not in repository.files:
            return self._error(404, "EntryNotFound", "Entry not found")
        whole = repository.files[name]
        content = self._spoiled(whole, repository.mood)
        start = 0
        if self.headers.get("Range"):
            start = int(re.findall(r"\d+", self.headers["Range"])[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{_oid(whole)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.command == "HEAD":
            return
        if repository.mood == "breaking" and len(whole) > LONG:
            repository.mood = "well"
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(content[start:])

    def _spoiled(self, content: bytes, mood: str) -> bytes:
        if self.command == "HEAD" or len(content) <= LONG:
            return content
        return {"short": content[: len(content) // 2], "garbled": content[::-1]}.get(mood, content)

    def _json(self, content: object, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _error(self, status: int, code: str, message: str) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", "0")
        self.end_headers()


def _oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
