"""A hub on this machine, at one commit: the data set `own/set` (forty questions in train.jsonl), and models in folders."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef" * 2 + "01234567"
ROWS = "".join(json.dumps({"prompt": f"What is {i}?", "response": "7"}) + "\n" for i in range(40)).encode()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == f"/datasets/own/set/resolve/{COMMIT}/train.jsonl":
            return self._send(200, ROWS)
        if path.startswith(f"/api/datasets/own/set/tree/{COMMIT}"):
            return self._send(200, [{"path": "train.jsonl", "type": "file", "size": len(ROWS), "oid": "a" * 40}])
        if path in ("/api/datasets/own/set", f"/api/datasets/own/set/revision/{COMMIT}"):
            return self._send(
                200, {"id": "own/set", "sha": COMMIT, "tags": [], "siblings": [{"rfilename": "train.jsonl"}]}
            )
        return self._model(path) or self._send(404, {}, {"X-Error-Code": "EntryNotFound"})

    def _model(self, path):
        """True if `path` asks for a model that a folder here holds: what it is, its files, or one of them."""
        for name, folder in self.server.models.items():
            files = sorted(file for file in folder.rglob("*") if file.is_file())
            names = [str(file.relative_to(folder)) for file in files]
            if path in (f"/api/models/{name}", *(f"/api/models/{name}/revision/{word}" for word in (COMMIT, "main"))):
                siblings = [{"rfilename": file} for file in names]
                return self._send(200, {"id": name, "sha": COMMIT, "tags": [], "siblings": siblings}) or True
            if path.startswith(f"/api/models/{name}/tree/"):
                entries = [
                    {"path": short, "type": "file", "size": file.stat().st_size, "oid": "a" * 40}
                    for short, file in zip(names, files, strict=True)
                ]
                return self._send(200, entries) or True
            for word in (COMMIT, "main"):
                file = folder / path.removeprefix(f"/{name}/resolve/{word}/")
                if path.startswith(f"/{name}/resolve/{word}/") and file.is_file():
                    self.server.asked.append(file.name)
                    digest = hashlib.sha256(file.read_bytes()).hexdigest()
                    return self._send(200, file.read_bytes(), {"ETag": f'"{digest}"'}) or True
        return False

    def _send(self, status, content, headers=None):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        headers = {"Content-Length": str(len(content)), "ETag": '"1"', "X-Repo-Commit": COMMIT} | (headers or {})
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)


@contextmanager
def hub(home, models=None, asked=None):
    """The environment in which a process finds it, with its downloads in `home`.

    `models` are folders by "owner/name"; the names of files sent go to the list `asked`.
    """
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.models, server.asked = models or {}, [] if asked is None else asked
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}",
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
        }
        server.shutdown()
        thread.join()
