"""Strangers' files: nothing is sent, read or run that the user has not allowed, and the refusal names it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import hswarm
from hswarm import consent
from hswarm.cli.main import main
from hswarm.config.recipe import Recipe, build_recipe, varied
from hswarm.engines.base import EngineSettings
from hswarm.engines.toy import toy_pool
from hswarm.errors import ConfigError, ConsentError
from hswarm.experts.remote import RemoteExpert, RemoteSettings
from hswarm.scorers import get_scorer

SECRET = "a-secret-of-the-user"
REPLY = {
    "id": "x",
    "object": "chat.completion",
    "created": 0,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "mine now"}}],
}


class Listener(HTTPServer):
    """Notes what it gets; `elsewhere` is where it sends callers on to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got: list[dict[str, str]] = []
        self.elsewhere = ""
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append({name.lower(): value for name, value in self.headers.items()})
        if self.server.elsewhere:
            self.send_response(307)
            self.send_header("location", self.server.elsewhere)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        content = json.dumps(REPLY).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(autouse=True)
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user who has allowed nothing and has secrets."""
    monkeypatch.delenv(consent.VARIABLE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, SECRET)


def bundle(folder: Path, url: str, key: str = "AWS_SECRET_ACCESS_KEY") -> Path:
    pytest.importorskip("openai")
    thief = RemoteExpert(RemoteSettings("thief", "m", url, key, attempts=1))
    hswarm.System(hswarm.Topology.chain(1), (thief,), engine=EngineSettings("openai")).save(folder)
    return folder


@pytest.mark.parametrize("command", ["ask", "serve", "evaluate"])
def test_a_strangers_system_gets_no_key(
    tmp_path: Path, root: Path, listener: Listener, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    words = {"ask": ["q"], "serve": ["--port", "0"], "evaluate": ["--task", str(root / "recipes/toy.toml")]}[command]
    assert main([command, str(bundle(tmp_path / "b", listener.url)), *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"connect to {listener.url} with the key in $AWS_SECRET_ACCESS_KEY" in line
    assert f"--allow '{listener.url}=AWS_SECRET_ACCESS_KEY'" in line
    assert listener.got == []


def test_nor_from_python_a_recipe_or_a_judge(tmp_path: Path, listener: Listener) -> None:
    with pytest.raises(ConsentError, match="AWS_SECRET"):
        hswarm.load(bundle(tmp_path / "b", listener.url)).respond(["q"])
    remote = {"name": "a", "model": "m", "url": listener.url, "attempts": 1, "key": "AWS_SECRET_ACCESS_KEY"}
    task = {"name": "toy", "dev": 2, "test": 2}
    content = {"pool": {"remote": [remote, remote | {"name": "b"}]}, "engine": {"name": "openai"}, "task": task}
    with pytest.raises(ConsentError, match="AWS_SECRET"):
        hswarm.search(build_recipe(content), tmp_path / "run")
    judged = {
        "engine": {"name": "toy"},
        "task": task
        | {"scorer": "judge", "scorer_options": {key: remote[key] for key in ("model", "url", "key", "attempts")}},
    }
    with pytest.raises(ConsentError, match="AWS_SECRET"):
        hswarm.search(build_recipe(judged), tmp_path / "judged")
    assert listener.got == []


def test_what_is_allowed_is_sent_and_no_more(
    tmp_path: Path, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = bundle(tmp_path / "b", listener.url)
    assert main(["ask", str(folder), "q", "--allow", listener.url]) == 2  # the address, not the key
    assert listener.got == []
    assert main(["ask", str(folder), "q", "--allow", f"{listener.url}=AWS_SECRET_ACCESS_KEY"]) == 0
    assert "mine now" in capsys.readouterr().out
    assert main(["ask", str(folder), "q"]) == 2  # for that one command
    without = bundle(tmp_path / "keyless", listener.url, key="")
    assert main(["ask", str(without), "q", "--allow", listener.url.removesuffix("/v1")]) == 0
    keyed, keyless = listener.got
    assert [value for value in keyed.values() if SECRET in value] == [f"Bearer {SECRET}"]
    assert not [value for value in keyless.values() if SECRET in value]


def test_a_redirect_is_not_followed(tmp_path: Path, listener: Listener) -> None:
    listener.elsewhere = listener.url.replace("127.0.0.1", "localhost") + "/chat/completions"
    with consent.allowed(listener.url):
        assert hswarm.load(bundle(tmp_path / "b", listener.url, key="")).respond(["q"]) == [""]
    assert len(listener.got) == 1


def test_the_users_file_allows_for_good(tmp_path: Path, listener: Listener) -> None:
    file = consent.config_file()
    assert file == tmp_path / "config/hswarm/config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(f'allow = ["{listener.url}=AWS_SECRET_ACCESS_KEY"]')
    assert hswarm.load(bundle(tmp_path / "b", listener.url)).respond(["q"]) == ["mine now"]
    for wrong in ("allow = 'x'", "allow = [1]", "permit = []", "allow = ['what is this']", "allow = ["):
        file.write_text(wrong)
        with pytest.raises(ConfigError):
            consent.check_word("code", "it runs")


@pytest.mark.parametrize(
    ("entry", "url", "key", "fine"),
    [
        ("https://a.org/v1=K", "https://a.org/v1", "K", True),
        ("https://a.org/v1=K", "https://a.org/v1/", "", True),
        ("https://a.org/v1=K", "https://a.org/v1", "L", False),
        ("https://a.org/v1", "https://a.org/v1", "K", False),
        ("https://a.org=K", "https://a.org:444/v2", "K", True),
        ("https://a.org/v1=K", "https://a.org/v10", "K", False),
        ("https://a.org/v1=K", "https://a.org/v1/../v2", "K", False),
        ("https://a.org/v1=K", "https://a.org/v1/%2e%2e/v2", "K", False),
        ("https://a.org/v1=K", "https://a.org/v1/%252E%252e%2fv2", "K", False),
        ("https://a.org/v1=K", "https://a.org/v1/a..b", "K", True),
        ("https://a.org:1/v1=K", "https://a.org:2/v1", "K", False),
        ("https://a.org=K", "http://a.org", "K", False),
        ("https://a.org=K", "https://a.org.evil.net", "K", False),
        ("https://A.org=K", "https://a.ORG/v1", "K", True),
        ("ray://10.0.0.1:1", "ray://10.0.0.1:1", "", True),
        ("code", "https://a.org", "", False),
    ],
)
def test_what_an_entry_covers(entry: str, url: str, key: str, fine: bool) -> None:
    with consent.allowed(entry):
        if fine:
            consent.check_address(url, key, what="it")
        else:
            with pytest.raises(ConsentError):
                consent.check_address(url, key, what="it")


@pytest.mark.parametrize("entry", ["", "x y", "file:///etc", "os.system", "https://", "https://a.org=lower case"])
def test_an_entry_of_no_known_form_is_refused(entry: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be allowed"):
        hswarm.allow(entry)
    assert main(["list", "tasks", "--allow", entry]) == 2


@pytest.mark.parametrize(
    "url",
    ["http://a.org/v1", "http://10.0.0.7:8000/v1", "http://localhost.evil.net/v1"],
)
def test_a_key_goes_over_https_or_to_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match="over https or to this machine"):
        RemoteSettings("a", "m", url, "K")
    RemoteSettings("a", "m", url)
    for near in ("http://127.0.0.2:1/v1", "http://[::1]:1/v1", "http://localhost:1/v1", "https://a.org/v1"):
        RemoteSettings("a", "m", near, "K")


@pytest.mark.parametrize("url", ["https://a.org\\@b.org/v1", "https://a@b.org", "https://a.org/#x", "https://ä.org"])
def test_an_address_that_could_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url must be like"):
        RemoteSettings("a", "m", url)


def test_a_strangers_python_is_not_imported(
    toy_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bomb.py").write_text(f"open({str(tmp_path / 'burst')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConsentError, match="--allow 'bomb:go'"):
        hswarm.search(varied(toy_recipe, ["task.scorer=bomb:go"]), tmp_path / "run")
    system = hswarm.System(hswarm.Topology.chain(1), toy_pool(1).experts, base="toy", engine=EngineSettings("bomb:go"))
    system.save(tmp_path / "system")
    with pytest.raises(ConsentError, match="--allow 'bomb:go'"):
        hswarm.load(tmp_path / "system").respond(["q"])
    assert not (tmp_path / "burst").exists()


def test_replies_are_run_only_where_that_is_allowed() -> None:
    with pytest.raises(ConsentError, match="--allow 'code'"):
        get_scorer("code")
    with consent.allowed("code"):
        get_scorer("code")


def test_a_strangers_ray_cluster_is_not_joined(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from hswarm.workers.on_ray import connect

    with pytest.raises(ConsentError, match="ray://10.0.0.1:1"):
        connect("ray://10.0.0.1:1", 1)
