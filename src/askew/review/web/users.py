"""Named reviewers: a file of names and hashed passphrases, and how often one may try.

A line of the file is ``NAME:scrypt$N$R$P$SALT$HASH``, salt and hash in base64, as ``askew users``
writes it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Self
from unicodedata import normalize

from askew.atomic import replacing
from askew.errors import FileError

SHORTEST = 12  # characters of a passphrase
LONGEST = 1_000
LONGEST_NAME = 100

# Costs of scrypt, 16 MiB for each attempt: one of the settings that OWASP's cheat sheet on keeping
# passwords gives as the least.
_N, _R, _P = 2**14, 8, 5
_MOST_MEMORY = 256 * 2**20  # bytes that a line of the file may ask for
_EXPECTED = "NAME:scrypt$N$R$P$SALT$HASH, as `askew users FILE NAME` writes it"


@dataclass(frozen=True)
class Hash:
    """A salted hash of a passphrase, and what it costs to make."""

    n: int
    r: int
    p: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, passphrase: str) -> Self:
        """Hash a passphrase with a new salt."""
        salt = secrets.token_bytes(16)
        return cls(_N, _R, _P, salt, _scrypt(passphrase, salt, _N, _R, _P, 32))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what ``str`` wrote; None where it is nothing of the kind."""
        name, *costs = text.split("$")
        if name != "scrypt" or len(costs) != 5:
            return None
        try:
            n, r, p = (int(cost) for cost in costs[:3] if cost.isdecimal() and len(cost) < 10)
            salt, digest = (b64decode(part, validate=True) for part in costs[3:])
        except (ValueError, NotBase64):
            return None
        power = n >= 2**10 and not n & (n - 1)
        if not power or r < 1 or not 1 <= p <= 64 or 128 * n * r > _MOST_MEMORY:
            return None
        return cls(n, r, p, salt, digest) if len(salt) >= 8 and len(digest) >= 16 else None

    def fits(self, passphrase: str) -> bool:
        """Whether it is the hash of this passphrase; takes as long for any."""
        made = _scrypt(passphrase, self.salt, self.n, self.r, self.p, len(self.digest))
        return hmac.compare_digest(made, self.digest)

    def __str__(self) -> str:
        salt, digest = (b64encode(part).decode() for part in (self.salt, self.digest))
        return f"scrypt${self.n}${self.r}${self.p}${salt}${digest}"


def _scrypt(passphrase: str, salt: bytes, n: int, r: int, p: int, length: int) -> bytes:
    # Keyboards differ in how they compose a letter with its accent.
    told = normalize("NFKC", passphrase).encode("utf-8", "surrogatepass")
    most = 128 * r * (n + p + 2) + 2**20
    return hashlib.scrypt(told, salt=salt, n=n, r=r, p=p, maxmem=most, dklen=length)


class Users:
    """Who may sign in.

    Parameters
    ----------
    hashes
        By name; one at least.
    """

    def __init__(self, hashes: Mapping[str, Hash]) -> None:
        self._hashes = dict(hashes)
        like = next(iter(self._hashes.values()))
        # Nobody's: it fits no passphrase, and costs what the others cost.
        digest = secrets.token_bytes(len(like.digest))
        self._nobody = Hash(like.n, like.r, like.p, secrets.token_bytes(16), digest)

    def are(self, name: str, passphrase: str) -> bool:
        """Whether a passphrase is this user's; an unknown name takes as long as a known one."""
        found = self._hashes.get(name)
        right = (found or self._nobody).fits(passphrase)
        return right and found is not None


def clean_name(name: str) -> str:
    """Write a name as it is kept: without space around it, its letters composed."""
    return normalize("NFC", name).strip()


def fault_of(name: str) -> str:
    """Say why a name cannot be a reviewer's; empty where it can."""
    if not name:
        return "the name is empty"
    if len(name) > LONGEST_NAME:
        return f"the name has {len(name):,} characters; {LONGEST_NAME} are the most"
    if ":" in name or not name.isprintable():
        return f"the name {name!r} holds a colon or a character that cannot be seen; leave it out"
    if name != clean_name(name):
        return f"the name {name!r} has space around it, or letters not composed; write it anew"
    return ""


def read_users(path: str | os.PathLike[str]) -> dict[str, Hash]:
    """Read a users file: hashes by name, in its order; empty lines are passed over.

    Raises
    ------
    FileError
        It cannot be read, or a line is not a name and a hash, or a name stands there twice.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"the users file {path} cannot be read: {getattr(error, 'strerror', None) or error}; "
            "`askew users FILE NAME` makes one"
        ) from error
    found: dict[str, Hash] = {}
    for number, line in enumerate(lines, 1):
        line = line.rstrip("\r")
        if not line.strip():
            continue
        name, _, text = line.partition(":")
        kept = Hash.parse(text)
        # What stands there is not repeated: it may be a passphrase.
        fault = fault_of(name) if kept else "it is no name with a hash behind a colon"
        if name in found:
            fault = f"the name {name!r} stands there twice"
        if kept is None or fault:
            raise FileError(f"{path}, line {number}: {fault}; expected {_EXPECTED}")
        found[name] = kept
    return found


def write_users(path: str | os.PathLike[str], hashes: Mapping[str, Hash]) -> None:
    """Write a users file, whole or not at all, for its owner alone.

    Raises
    ------
    FileError
        It cannot be written.
    """
    with replacing(path) as part:
        part.chmod(0o600)
        text = "".join(f"{name}:{kept}\n" for name, kept in hashes.items())
        part.write_text(text, encoding="utf-8", newline="\n")


@dataclass
class _Row:
    """Wrong attempts in a row, and until when the next one has to wait."""

    n: int = 0
    until: float = 0.0

    def count(self, now: float, free: int, longest: float) -> None:
        self.n += 1
        if self.n >= free:
            self.until = now + min(longest, 2.0 ** min(self.n - free, 30))


class Attempts:
    """How often one may try to sign in, by name and altogether.

    After so many wrong attempts in a row the next one has to wait: a second, then twice as long
    each time. Whoever is in already is not held up.

    Parameters
    ----------
    clock
        Gives seconds that only rise.
    """

    FREE, LONGEST = 5, 300.0  # for one name: wrong attempts without a wait; seconds of the longest
    ALL_FREE, ALL_LONGEST = 50, 30.0  # for all names together
    KEPT = 10_000  # names; those whose last attempt that counted is oldest are forgotten

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._names: OrderedDict[str, _Row] = OrderedDict()
        self._all = _Row()

    def begin(self, name: str) -> float:
        """Count an attempt as wrong until `succeed` says otherwise.

        So that a hundred at once are not all the first.

        Returns
        -------
        Seconds to wait; 0 where the attempt may go on. One that has to wait is not counted.
        """
        with self._lock:
            now, mine = self._clock(), self._names.get(name, _Row())
            wait = max(mine.until, self._all.until) - now
            if wait > 0:
                return wait
            # Only now: whoever has to wait must not make another's wait be forgotten.
            self._names[name] = mine
            self._names.move_to_end(name)
            while len(self._names) > self.KEPT:
                self._names.popitem(last=False)
            mine.count(now, self.FREE, self.LONGEST)
            self._all.count(now, self.ALL_FREE, self.ALL_LONGEST)
            return 0.0

    def succeed(self, name: str) -> None:
        """Forget the wrong attempts under a name, and those altogether."""
        with self._lock:
            self._names.pop(name, None)
            self._all = _Row()
