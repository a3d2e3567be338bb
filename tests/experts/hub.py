"""A hub on this machine, at one commit: the data set `own/set` (forty questions in train.jsonl), and models in folders.

It also takes uploads, as the hub does from a client without Xet: a repository is made, the card checked, large files
put one by one, and a commit adds and deletes files. Only TOKEN may write, and only under the owner "me".
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

TOKEN = "hf_mine"
COMMIT = "0123456789abcdef" * 2 + "01234567"
ROWS = "".join(json.dumps({"prompt": f"What is {i}?", "response": "7"}) + "\n" for i in range(40)).encode()


class Hub(ThreadingHTTPServer):
    """What it holds and what became of it."""

    models: dict[str, Path]
    asked: list[str]
    home: Path
    parts: dict[str, bytes]
    visibility: dict[str, str]


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *words: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/api/whoami-v2":
            return self._send(200, {"name": "me"}) if self._known() else self._refuse(401)
        if path == f"/datasets/own/set/resolve/{COMMIT}/train.jsonl":
            return self._send(200, ROWS)
        if path.startswith(f"/api/datasets/own/set/tree/{COMMIT}"):
            return self._send(200, [{"path": "train.jsonl", "type": "file", "size": len(ROWS), "oid": "a" * 40}])
        if path in ("/api/datasets/own/set", f"/api/datasets/own/set/revision/{COMMIT}"):
            return self._send(
                200, {"id": "own/set", "sha": COMMIT, "tags": [], "siblings": [{"rfilename": "train.jsonl"}]}
            )
        kind = "RepoNotFound" if path.startswith("/api/models/") else "EntryNotFound"
        if not self._model(path):
            self._send(404, {}, {"X-Error-Code": kind})
        return None

    def _model(self, path: str) -> bool:
        """True if `path` asks for a model that a folder here holds: what it is, its files, or one of them."""
        for name, folder in self.server.models.items():
            files = sorted(file for file in folder.rglob("*") if file.is_file())
            names = [str(file.relative_to(folder)) for file in files]
            if path in (f"/api/models/{name}", *(f"/api/models/{name}/revision/{word}" for word in (COMMIT, "main"))):
                siblings = [{"rfilename": file} for file in names]
                self._send(200, {"id": name, "sha": COMMIT, "tags": tags(folder), "siblings": siblings})
                return True
            if path.startswith(f"/api/models/{name}/tree/"):
                entries = [
                    {"path": short, "type": "file", "size": file.stat().st_size, "oid": "a" * 40}
                    for short, file in zip(names, files, strict=True)
                ]
                self._send(200, entries)
                return True
            for word in (COMMIT, "main"):
                file = folder / path.removeprefix(f"/{name}/resolve/{word}/")
                if path.startswith(f"/{name}/resolve/{word}/") and file.is_file():
                    self.server.asked.append(file.name)
                    digest = hashlib.sha256(file.read_bytes()).hexdigest()
                    self._send(200, file.read_bytes(), {"ETag": f'"{digest}"'})
                    return True
        return False

    def do_PUT(self) -> None:
        self.server.parts[self.path] = self._body()
        self._send(200, {})

    def do_POST(self) -> None:
        path, body = self.path.partition("?")[0], self._body()
        if path == "/api/validate-yaml":
            return self._send(200, {"warnings": [], "errors": []})
        if not self._known():
            return self._refuse(401)
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        name = path.removeprefix("/api/models/").removeprefix("/")
        if path.endswith("/preupload/main"):
            files = [
                {"path": file["path"], "shouldIgnore": False, "uploadMode": mode(file)}
                for file in json.loads(body)["files"]
            ]
            return self._send(200, {"files": files})
        if path.endswith("/info/lfs/objects/batch"):
            where = f"http://{self.headers['Host']}/parts/"
            objects = [
                {"oid": part["oid"], "size": part["size"], "actions": {"upload": {"href": where + part["oid"]}}}
                for part in json.loads(body)["objects"]
            ]
            return self._send(200, {"transfer": "basic", "objects": objects})
        if path.endswith("/commit/main"):
            return self._commit(name.removesuffix("/commit/main"), map(json.loads, body.splitlines()))
        return self._send(404, {})

    def _create(self, wanted: dict[str, str]) -> None:
        if wanted["organization"] != "me":
            return self._refuse(403)
        name = f"me/{wanted['name']}"
        there = name in self.server.models
        self.server.models.setdefault(name, self.server.home / name).mkdir(parents=True, exist_ok=True)
        if not there:
            self.server.visibility[name] = wanted["visibility"]
        url = f"http://{self.headers['Host']}/{name}"
        return self._send(409 if there else 200, {"name": name, "url": url, "id": name})

    def _commit(self, name: str, lines: Iterable[dict[str, Any]]) -> None:
        folder = self.server.models[name]
        for line in lines:
            value = line["value"]
            if line["key"] == "deletedFile":
                (folder / value["path"]).unlink()
            elif line["key"] in ("file", "lfsFile"):
                file = folder / value["path"]
                file.parent.mkdir(parents=True, exist_ok=True)
                small = line["key"] == "file"
                file.write_bytes(
                    base64.b64decode(value["content"]) if small else self.server.parts[f"/parts/{value['oid']}"]
                )
        url = f"http://{self.headers['Host']}/{name}/commit/{COMMIT}"
        return self._send(200, {"success": True, "commitOid": COMMIT, "commitUrl": url})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _refuse(self, status: int) -> None:
        self._send(status, {"error": "refused"}, {"X-Error-Message": "refused"})

    def _send(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        sent = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        headers = {"Content-Length": str(len(sent)), "ETag": '"1"', "X-Repo-Commit": COMMIT} | (headers or {})
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)


def mode(file: dict[str, str]) -> str:
    return "lfs" if file["path"].endswith(".safetensors") else "regular"


def tags(folder: Path) -> list[str]:
    """Those of the model card's metadata, as the hub reads them."""
    card = folder / "README.md"
    head = card.read_text().split("---") if card.is_file() else []
    found: list[str] = (yaml.safe_load(head[1]) or {}).get("tags", []) if len(head) > 2 else []
    return found


@contextmanager
def hub(
    home: Path,
    models: dict[str, Path] | None = None,
    asked: list[str] | None = None,
    visibility: dict[str, str] | None = None,
) -> Iterator[dict[str, str]]:
    """The environment in which a process finds it, with its downloads in `home`.

    `models` are folders by "owner/name", and gain the repositories that are made, whose visibility goes to the dict
    `visibility`; the names of files sent go to the list `asked`.
    """
    with Hub(("127.0.0.1", 0), Handler) as server:
        server.models, server.asked = {} if models is None else models, [] if asked is None else asked
        server.home, server.parts, server.visibility = home, {}, {} if visibility is None else visibility
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield {
                "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
                "HF_HOME": str(home),
                "HF_HUB_OFFLINE": "0",
                "HF_HUB_DISABLE_XET": "1",
            }
        finally:
            server.shutdown()
            thread.join()
