"""Authentication by API key or browser session; only digests are stored, and comparisons take constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from recommender.errors import StorageError, UsageError
from recommender.store import Store
from recommender.store.clock import utc_now
from recommender.store.service_records import ROLES, ApiKey, Role
from recommender.text import printable

PREFIX = "ckr"
FIRST_OWNER = "admin"
FIRST_KEY_ID = "0000000000"
COOKIE = "ckr_session"
SECURE_COOKIE = "__Host-ckr_session"  # browsers take this name only over HTTPS, for one host
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_NO_KEY_DIGEST = hashlib.sha256(b"no key has this digest").hexdigest()
_MAX_KEY_CHARS = 200


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The authenticated caller of a request. Owners see what they own, admins everything."""

    owner: str
    role: Role
    key_id: str
    by_cookie: bool

    def sees(self, owner: str) -> bool:
        """True when the caller may read what this owner owns."""
        return self.role == "admin" or self.owner == owner

    @property
    def scope(self) -> str | None:
        """The owner to filter lists by; None for admins, who see all."""
        return None if self.role == "admin" else self.owner

    def may(self, method: str) -> bool:
        """True when the role allows this HTTP method."""
        return self.role != "reader" or method in SAFE_METHODS


def create_key(
    store: Store, *, owner: str, role: Role = "user", days: float | None = None
) -> tuple[ApiKey, str]:
    """Create a key; returns its record and the key itself, which is not stored. Raises UsageError."""
    if not owner or len(owner) > 64 or printable(owner) != owner:
        raise UsageError(
            f"The owner '{printable(owner)}' is not a usable name.",
            remedy="Use 1 to 64 printable characters.",
        )
    if role not in ROLES:
        raise UsageError(
            f"There is no role '{printable(role)}'.", remedy=f"Choose one of {', '.join(ROLES)}."
        )
    if days is not None and not 0 < days <= 36_500:
        raise UsageError(f"A key cannot last {days} days.", remedy="Give a positive number, or leave it out.")
    key, text = _new_key(secrets.token_hex(5), owner, role, days)
    store.keys.add(key)
    return key, text


def create_first_key(store: Store) -> str | None:
    """The first key, an administrator's; None where the store has keys. Of several services one alone makes it."""
    key, text = _new_key(FIRST_KEY_ID, FIRST_OWNER, "admin", None)
    return text if store.keys.add_first(key) else None


def _new_key(id: str, owner: str, role: Role, days: float | None) -> tuple[ApiKey, str]:
    secret = secrets.token_urlsafe(32)
    key = ApiKey(
        id=id,
        owner=owner,
        role=role,
        digest=digest(secret),
        created_at=utc_now(),
        expires_at=None if days is None else utc_now(plus_s=days * 86_400),
    )
    return key, f"{PREFIX}_{id}_{secret}"


def caller_of_key(store: Store, text: str) -> Caller | None:
    """The caller behind an API key, or None. Takes as long for an unknown key as for a wrong secret."""
    parts = text.split("_", 2) if len(text) <= _MAX_KEY_CHARS else []
    well_formed = len(parts) == 3 and parts[0] == PREFIX
    id, secret = (parts[1], parts[2]) if well_formed else ("", "")
    key = store.keys.get(id)
    matches = hmac.compare_digest(digest(secret), _NO_KEY_DIGEST if key is None else key.digest)
    return _valid_caller(key, by_cookie=False) if matches else None


def caller_of_cookie(store: Store, cookie: str) -> Caller | None:
    """The caller behind a browser session, or None."""
    # Looked up by its digest: what the database compares is not what the browser sent.
    return _valid_caller(store.keys.of_session(digest(cookie)), by_cookie=True)


def is_key_valid(store: Store, key_id: str) -> bool:
    """True unless the key was revoked or has expired; also while the store cannot be asked."""
    try:
        return _valid_caller(store.keys.get(key_id), by_cookie=False) is not None
    except StorageError:
        return True


def open_session(store: Store, caller: Caller, *, hours: float) -> str:
    """A new session for the caller's key; returns the cookie's value."""
    cookie = secrets.token_urlsafe(32)
    store.keys.open_session(digest(cookie), caller.key_id, utc_now(plus_s=hours * 3600))
    return cookie


def digest(secret: str) -> str:
    """SHA-256 of a secret, as hex; only this is stored."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _valid_caller(key: ApiKey | None, *, by_cookie: bool) -> Caller | None:
    if key is None or key.revoked_at is not None:
        return None
    if key.expires_at is not None and key.expires_at < utc_now():
        return None
    return Caller(owner=key.owner, role=key.role, key_id=key.id, by_cookie=by_cookie)
