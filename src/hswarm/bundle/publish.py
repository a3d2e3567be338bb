"""An exported folder as a repository of the Hugging Face hub (`hswarm export --push owner/name`).

A new repository is private: what was public once cannot be taken back. One that is there is replaced only if its card
has the tag that hswarm's cards have, so nobody's other files are lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hswarm.errors import HSwarmError, MissingExtra, RunError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TAG = "hswarm"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_OWN = (".gitattributes", "README.md", "LICENSE")  # what the hub itself puts in a new repository


class HubRepository:
    """The model repository `name`, "owner/name", of the hub. RunError if that is no such name.

    The hub's address and the token are the hub's own settings: HF_ENDPOINT, HF_TOKEN, `hf auth login`.
    """

    def __init__(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise RunError(f"--push: expected owner/name, as a repository of the hub is called, got '{name[:100]}'")
        self.name = name

    def check(self) -> None:
        """See, before anything costly is done, that we are logged in and that nothing else lies there.

        RunError if not, or if the hub cannot be reached.
        """
        api = _api()
        with _told(self.name):
            api.whoami()
            if not api.repo_exists(self.name):
                return
            info = api.model_info(self.name)
        other = sorted({file.rfilename for file in info.siblings or []} - {*_OWN})
        if other and TAG not in (info.tags or []):
            raise RunError(
                f"--push: {self.name} is there already and holds something else ({', '.join(other[:3])}); "
                "name another repository, or empty that one on its page"
            )

    def upload(self, folder: Path, message: str, *, public: bool = False) -> str:
        """Make the repository hold what `folder` does, in one commit, and return its address.

        A repository that is there stays as visible as it is, a new one is private unless `public`.
        """
        api = _api()
        with _told(self.name):
            address = api.create_repo(self.name, private=not public, exist_ok=True)
            api.upload_folder(repo_id=self.name, folder_path=folder, commit_message=message, delete_patterns="*")
        return str(address)


def _api() -> HfApi:
    try:
        from huggingface_hub import HfApi
    except ImportError as missing:
        raise MissingExtra("--push", "cpu", "gpu") from missing
    return HfApi(library_name="hswarm")


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What the hub's package raises, as one line with the remedy."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except LocalTokenNotFoundError as fault:
        raise RunError("--push: not logged in to the hub; log in once (hf auth login) or set HF_TOKEN") from fault
    except OfflineModeIsEnabled as fault:
        raise RunError(f"--push {name}: the hub is switched off here (HF_HUB_OFFLINE); unset it") from fault
    except HfHubHTTPError as fault:
        raise RunError(f"--push {name}: {_remedy(fault.response.status_code, name)} ({_line(fault)})") from fault
    except HSwarmError:
        raise
    except Exception as fault:  # connections, cards that the hub refuses
        raise RunError(f"--push {name}: the hub could not be reached or written ({_line(fault)})") from fault


def _remedy(status: int, name: str) -> str:
    if status == 401:
        return "the hub does not know this token; log in again (hf auth login) or mend HF_TOKEN"
    if status == 403:
        return (
            f"the token may not write there; make one that may, or push under your own name, not {name.split('/')[0]}'s"
        )
    return "the hub refused"


def _line(fault: Exception) -> str:
    lines = [line for line in str(fault).strip().splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else type(fault).__name__
