"""What every server of Askew's holds to: names it answers under, size of a request, headers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import ip_address

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Receive, Send

# For replies that a browser may show; a page adds what it may load.
HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host by this name."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def hosts_of(host: str) -> Collection[str]:
    """Give the names under which a server bound to ``host`` may be asked for.

    A page of another site can point a name of its own at this machine (DNS rebinding), but not a
    name from this list. An address of all interfaces may be asked for by any address: ``"*ip"``.
    """
    names = {"127.0.0.1", "localhost", "::1", host.lower()}
    try:
        return names | ({"*ip"} if ip_address(host).is_unspecified else set())
    except ValueError:
        return names


def is_asked_for(headers: Headers, hosts: Collection[str]) -> bool:
    """Whether a request's ``Host`` is one of the names given by `hosts_of`."""
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    name = name.strip("[]").lower()
    if name in hosts:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return "*ip" in hosts


def is_larger(headers: Headers, largest: int) -> bool:
    """Whether a request says that its body has more than ``largest`` bytes, or says no number."""
    length = headers.get("content-length", "0")
    return not length.isdecimal() or len(length) > 15 or int(length) > largest


def limited(receive: Receive, largest: int, refusal: str) -> Receive:
    """Stop reading a body beyond ``largest`` bytes, for those that did not tell their length.

    Raises
    ------
    HTTPException
        413 with ``refusal``, from ``receive``.
    """
    seen = 0

    async def reading() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > largest:
            raise HTTPException(413, refusal)
        return message

    return reading


def bearer_of(headers: Headers) -> str:
    """Give the token of ``Authorization: Bearer``; empty where there is none."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


class Headed:
    """Sends a reply with headers of ours, and knows its status once it has begun; 0 before."""

    def __init__(self, send: Send, headers: Mapping[str, str]) -> None:
        self._send, self._headers, self.status = send, headers, 0

    async def __call__(self, message: Message) -> None:
        """Send a part of the reply."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers[name] = value
        await self._send(message)
