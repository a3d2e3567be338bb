"""A tool behind an HTTP address: the text goes there by POST, the body that comes back is the reply."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from hswarm.consent import check_address
from hswarm.errors import PoolError
from hswarm.experts.remote import check_url
from hswarm.tools.base import Unavailable, tool

_MOST = 1 << 20  # bytes of a reply
_BUSY = (408, 425, 429)


@tool("http", 'Sends {"text": ...} to an address by POST; the reply is the body, or its "text"')
@dataclass(frozen=True)
class Http:
    """`url` gets the text, with the content of the variable `key` as bearer token if one is named. No redirect is
    followed. ConsentError unless the user allows address and key."""

    url: str
    key: str = ""
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        check_url(self.url, self.key)
        check_address(self.url, self.key, what="the tool 'http'")
        if self.key and not os.environ.get(self.key):
            raise PoolError(f"the tool 'http' needs the key of {self.url} in ${self.key}, which is not set")

    def __call__(self, text: str) -> str:
        """The reply. ValueError: the server refuses the text; Unavailable: it does not answer."""
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {os.environ[self.key]}"
        request = Request(self.url, json.dumps({"text": text}).encode(), headers, method="POST")
        try:
            with build_opener(ProxyHandler({}), _NoRedirect).open(request, timeout=self.timeout_s) as response:
                body = response.read(_MOST + 1)
        except HTTPError as fault:
            if fault.code >= 500 or fault.code in _BUSY:
                raise Unavailable(f"{self.url} answers with status {fault.code}") from None
            raise ValueError(f"the server refuses the text (status {fault.code})") from None
        except (OSError, HTTPException) as fault:
            raise Unavailable(f"{self.url} does not answer ({type(fault).__name__})") from None
        if len(body) > _MOST:
            raise ValueError(f"the reply has more than {_MOST >> 20} MiB")
        return _text(body.decode(errors="replace"))


class _NoRedirect(HTTPRedirectHandler):
    """Only the address that the user allows is asked."""

    def redirect_request(self, *_: object) -> None:
        return None


def _text(body: str) -> str:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return body
    text = content.get("text") if isinstance(content, dict) else None
    return text if isinstance(text, str) else body
