"""A stand-in of the Hugging Face hub on this machine, and runs of the toy world in seconds."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import datasets
import huggingface_hub
import pytest

from encoders.pretrained import downloads
from tasks import run
from tasks.common.hub.push import collect_files

LARGE = ".safetensors"  # files that go the way of large ones
TOKENS = {"hf_ada": "ada", "hf_bob": "bob"}  # with the user that each belongs to


@dataclass
class Repository:
    """A repository: its files in each commit, the newest one last."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {".gitattributes": b""}})
    names: dict[str, str] = field(default_factory=dict)  # branches and tags, apart from main

    def commit(self, files: dict[str, bytes]) -> str:
        oid = hashlib.sha1(repr((len(self.commits), sorted(files.items()))).encode()).hexdigest()
        self.commits[oid] = files
        return oid

    def resolve(self, revision: str) -> str | None:
        if revision == "main":
            return list(self.commits)[-1]
        return self.names.get(revision, revision if revision in self.commits else None)


class Hub(ThreadingHTTPServer):
    """A hub that has what ``huggingface_hub`` asks for when it makes, fills, lists and downloads repositories.

    Attributes:
        repositories: The repositories by "models/OWNER/NAME", or "datasets/OWNER/NAME".
        stored: The contents of large files by their SHA-256, which arrive before the commit that names them.
        requests: The method and path of all requests.
        faults: Answers to requests whose path contains the key: a status, or 0 to close the connection.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.daemon_threads = True
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.faults: dict[str, int] = {}
        self.address = f"http://127.0.0.1:{self.server_port}"

    def add(self, name: str, files: dict[str, bytes], kind: str = "models", private: bool = False) -> Repository:
        repository = self.repositories.setdefault(f"{kind}/{name}", Repository(private))
        repository.commit(files)
        return repository

    def stop(self) -> None:
        """Stop answering, for a client that has not yet asked."""
        self.shutdown()
        self.server_close()
        forget_hub()

    def files(self, name: str) -> dict[str, bytes]:
        """The files of the newest commit of a model."""
        return list(self.repositories[f"models/{name}"].commits.values())[-1]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        self.handle_request()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def handle_request(self) -> None:
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        path = unquote(url.path)
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.requests.append(f"{self.command} {path}")
        fault = next((status for part, status in self.server.faults.items() if part in path), None)
        if fault == 0:
            self.close_connection = True
            self.connection.close()
            return
        if fault is not None:
            return self.answer(fault, {"error": "an error of the server"})
        for pattern, respond in ROUTES:
            match = re.fullmatch(pattern, path)
            if match:
                return respond(self, **match.groupdict())
        return self.answer(200 if path == "/" else 404, {})

    def answer(self, status: int, content: object, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def user(self) -> str | None:
        return TOKENS.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    def find(self, kind: str, name: str) -> Repository | None:
        """Find a repository that the user may read; answer that there is none otherwise."""
        found = self.server.repositories.get(f"{kind}/{name}")
        if found is None or (found.private and self.user != name.partition("/")[0]):
            self.answer(404 if self.user else 401, {}, X_Error_Code="RepoNotFound", X_Error_Message="not found")
            return None
        return found

    def find_commit(self, kind: str, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        repository = self.find(kind, name)
        if repository is None:
            return None
        oid = repository.resolve(revision)
        if oid is None:
            self.answer(404, {}, X_Error_Code="RevisionNotFound", X_Error_Message="not found")
            return None
        return oid, repository.commits[oid]

    def may_write(self, name: str) -> bool:
        if self.user == name.partition("/")[0]:
            return True
        self.answer(403 if self.user else 401, {}, X_Error_Message="You don't have the rights to do this")
        return False

    def whoami(self) -> None:
        if self.user:
            self.answer(200, {"name": self.user, "type": "user"})
        else:
            self.answer(401, {"error": "Invalid username or password."})

    def create(self) -> None:
        wanted = json.loads(self.body)
        name = f"{wanted['organization']}/{wanted['name']}"
        if not self.may_write(name):
            return
        exists = f"models/{name}" in self.server.repositories
        if not exists:
            self.server.repositories[f"models/{name}"] = Repository(wanted.get("visibility") == "private")
        self.answer(409 if exists else 200, {"url": f"{self.server.address}/{name}", "name": name})

    def validate(self) -> None:
        metadata = json.loads(self.body)["content"]
        errors = [{"message": '"license" must be one of [...]'}] if "license: nonsense" in metadata else []
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def models(self) -> None:
        author = self.query["author"][0]
        names = [key.removeprefix("models/") for key in self.server.repositories if key.startswith("models/")]
        self.answer(200, [{"id": name, "modelId": name} for name in names if name.startswith(f"{author}/")])

    def info(self, kind: str, name: str, revision: str = "main") -> None:
        found = self.find_commit(kind, name, revision)
        if found is not None:
            oid, files = found
            private = self.server.repositories[f"{kind}/{name}"].private
            siblings = [{"rfilename": file} for file in files]
            self.answer(200, {"id": name, "sha": oid, "private": private, "siblings": siblings, "tags": []})

    def tree(self, kind: str, name: str, revision: str, folder: str | None = None) -> None:
        found = self.find_commit(kind, name, revision)
        if found is not None:
            inside = f"{folder}/" if folder else ""
            listed = {path: describe(path, each) for path, each in found[1].items() if path.startswith(inside)}
            if self.query.get("recursive", ["false"])[0].lower() == "false":
                for path in list(listed):
                    name, *deeper = path.removeprefix(inside).split("/")
                    if deeper:
                        del listed[path]
                        listed[inside + name] = {"type": "directory", "path": inside + name, "size": 0, "oid": ""}
            if listed:
                self.answer(200, list(listed.values()))
            else:
                self.answer(404, {"error": "not found"}, X_Error_Code="EntryNotFound", X_Error_Message="not found")

    def paths_info(self, kind: str, name: str, revision: str) -> None:
        found = self.find_commit(kind, name, revision)
        if found is not None:
            wanted = parse_qs(self.body.decode()).get("paths", [])
            self.answer(200, [describe(path, found[1][path]) for path in wanted if path in found[1]])

    def file(self, name: str, revision: str, path: str, kind: str = "models") -> None:
        found = self.find_commit(kind, name, revision)
        if found is None:
            return
        if path not in found[1]:
            return self.answer(404, {}, X_Error_Code="EntryNotFound", X_Error_Message="not found")
        content = found[1][path]
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X_Repo_Commit": found[0]}
        return self.answer(200, content, **headers)

    def preupload(self, name: str) -> None:
        if self.may_write(name):
            files = json.loads(self.body)["files"]
            modes = ["lfs" if each["path"].endswith(LARGE) else "regular" for each in files]
            pairs = zip(files, modes, strict=True)
            answer = [{"path": each["path"], "uploadMode": mode, "shouldIgnore": False} for each, mode in pairs]
            self.answer(200, {"files": answer})

    def batch(self, name: str) -> None:
        if self.may_write(name):
            answer = []
            for each in json.loads(self.body)["objects"]:
                link = {"upload": {"href": f"{self.server.address}/store/{each['oid']}", "header": {}}}
                answer.append(each if each["oid"] in self.server.stored else each | {"actions": link})
            self.answer(200, {"transfer": "basic", "objects": answer})

    def store(self, oid: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.server.stored[oid] = self.body
        self.answer(200, b"")

    def commit(self, name: str) -> None:
        if not self.may_write(name):
            return
        files = dict(self.server.files(name))
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            match item["key"]:
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    files[value["path"]] = self.server.stored[value["oid"]]
                case "deletedFile":
                    del files[value["path"]]
        oid = self.server.repositories[f"models/{name}"].commit(files)
        self.answer(200, {"commitUrl": f"{self.server.address}/{name}/commit/{oid}", "commitOid": oid})


def describe(path: str, content: bytes) -> dict[str, object]:
    """A file in the listing of a repository."""
    return {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


NAMED = r"(?P<name>[^/]+/[^/]+)"
KIND = r"/api/(?P<kind>models|datasets)/" + NAMED
ROUTES = (
    (r"/api/whoami-v2", Handler.whoami),
    (r"/api/repos/create", Handler.create),
    (r"/api/validate-yaml", Handler.validate),
    (r"/api/models", Handler.models),
    (KIND, Handler.info),
    (KIND + r"/revision/(?P<revision>.+)", Handler.info),
    (KIND + r"/tree/(?P<revision>refs/[^/]+/[^/]+|[^/]+)(/(?P<folder>.+))?", Handler.tree),
    (KIND + r"/paths-info/(?P<revision>.+)", Handler.paths_info),
    (rf"/api/models/{NAMED}/preupload/main", Handler.preupload),
    (rf"/api/models/{NAMED}/commit/main", Handler.commit),
    (rf"/{NAMED}\.git/info/lfs/objects/batch", Handler.batch),
    (r"/store/(?P<oid>.+)", Handler.store),
    (rf"/(?P<kind>datasets)/{NAMED}/resolve/(?P<revision>refs/[^/]+/[^/]+|[^/]+)/(?P<path>.+)", Handler.file),
    (rf"/{NAMED}/resolve/(?P<revision>refs/[^/]+/[^/]+|[^/]+)/(?P<path>.+)", Handler.file),
)


@pytest.fixture(scope="session")
def joint_run(tmp_path_factory: pytest.TempPathFactory, save_text_pairs: Callable[..., None]) -> Path:
    """A run of two tasks, trained for a few steps, of which one has been evaluated."""
    data, folder = tmp_path_factory.mktemp("pairs"), tmp_path_factory.mktemp("runs") / "joint"
    save_text_pairs(data, train=200, validation=12, test=12)
    sizes = ["--image-captioning.num-scenes", "32", "--train.epochs", "1", "--search.max-length", "12"]
    parts = "translation:tiny+image_captioning:tiny"
    run.main(["joint", "train", parts, "--translation.data", str(data), *sizes, "--run", str(folder)])
    run.main(["joint", "evaluate", str(folder), "--task", "translation"])
    return folder


@pytest.fixture(scope="session")
def single_run(joint_run: Path) -> Path:
    """The translation of that run, with its evaluation, as a run of its own."""
    folder = joint_run.parent / "single"
    run.main(["joint", "extract", str(joint_run), "--task", "translation", "--run", str(folder)])
    return folder


@pytest.fixture(scope="session")
def published(joint_run: Path, single_run: Path) -> dict[str, dict[str, bytes]]:
    """The files of both runs as they are on the hub, without their cards."""

    def read(run: Path) -> dict[str, bytes]:
        files = collect_files(run)
        return {name: each if isinstance(each, bytes) else each.read_bytes() for name, each in files.items()}

    return {"toy": read(single_run), "both": read(joint_run)}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with nothing on it, which the libraries take for the real one, and an empty cache. Ada is logged in."""
    server = Hub()
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    address = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its server is another one
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", server.address)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets-cache")
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", "hf_ada")
    monkeypatch.chdir(tmp_path)  # in which no folder is named like a user
    forget_hub()
    yield server
    server.stop()


def forget_hub() -> None:
    """Forget whether the hub answers, and close the connections to it."""
    downloads.hub_fault.cache_clear()
    huggingface_hub.utils.close_session()
