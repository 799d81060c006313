"""The parts of the Hugging Face Hub that an upload and a download call, on this machine."""

import base64
import contextlib
import hashlib
import http.server
import json
import re
import threading

COMMIT = "1" * 40


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):  # noqa: N802 (the name that the base class calls)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub = self.server
        if self.path == "/api/repos/create":
            about = json.loads(content)
            if about["name"] == "refused":
                return self._answer({"error": "you may not write here"}, 403)
            hub.repositories.append(f"{about.get('organization')}/{about['name']}")
            return self._answer({"url": f"{hub.address}/{hub.repositories[-1]}"})
        if "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(content)["files"]]
            plain = {"uploadMode": "regular", "shouldIgnore": False}
            return self._answer({"files": [{"path": name, **plain} for name in names]})
        if "/commit/" in self.path:
            for line in content.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    value = entry["value"]
                    hub.files[value["path"]] = base64.b64decode(value["content"])
            url = f"{hub.address}/{hub.repositories[-1]}/commit/{COMMIT}"
            return self._answer({"success": True, "commitOid": COMMIT, "commitUrl": url})
        return self._answer({"errors": [], "warnings": []})  # of the check of the card

    def do_GET(self):  # noqa: N802
        name = re.sub(r".*/resolve/[^/]+/", "", self.path)
        data = self.server.files.get(name)
        if data is None:
            return self._answer({"error": "not found"}, 404)
        about = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
        return self._answer(data, headers=about)

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, content, status=200, headers=()):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def running():
    """A server with `address`, `repositories` and `files`, of the last commit.
    It refuses repositories with the name `refused`."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.address = f"http://127.0.0.1:{server.server_port}"
        server.repositories, server.files = [], {}
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
