"""URLs of databases: which are understood, how they are shown without a password, and what a refusal means."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from automl_pheno.errors import StudyError, known_names

if TYPE_CHECKING:
    from collections.abc import Mapping

_PASSWORD = re.compile(r"(?<=://)([^:/@\s]*):\S*@")
_QUERY = re.compile(r"([?&])(?:ssl)?password=[^&\s]*&?", re.IGNORECASE)

DRIVER = "psycopg"
_POSTGRESQL = ("postgresql", "postgres")

# A cut cable is noticed after a minute instead of never.
CONNECT: Mapping[str, object] = {
    "application_name": "automl-pheno", "connect_timeout": 10, "keepalives_idle": 20, "keepalives_interval": 10,
    "keepalives_count": 3, "tcp_user_timeout": 60_000,
}  # fmt: skip

_REASONS = (
    ("password authentication failed", "the password is wrong, or the user is unknown"),
    ("no password supplied", "a password is needed: set PGPASSWORD, or write ~/.pgpass"),
    ("connection refused", "no server listens there; is it running, and does it accept connections from here?"),
    ("no such file or directory", "no server listens there; is it running?"),
    ("timeout", "the server does not answer; is the address right, and is the port open?"),
    ("could not translate host name", "no such host"),
    ("name or service not known", "no such host"),
    ("failed to resolve host", "no such host"),
    ("starting up", "the server is starting up"),
    ("permission denied", "the user may not create or read tables there"),
)
_NO_DATABASE = re.compile(r'database "([^"]*)" does not exist')
_NO_ROLE = re.compile(r'role "([^"]*)" does not exist')


def redact(text: str) -> str:
    """Return the text with the passwords of all URLs in it left out; such a URL still works with ``PGPASSWORD``."""
    return _QUERY.sub(lambda found: found[1], _PASSWORD.sub(r"\1@", text)).rstrip("?&")


def normalise(url: str) -> str:
    """Return the URL of a shared study as SQLAlchemy wants it.

    Raises
    ------
    StudyError
        It is no PostgreSQL database, or the driver is not installed.
    """
    scheme, _, rest = url.partition("://")
    dialect, _, driver = scheme.lower().partition("+")
    shown = redact(url)
    if dialect == "sqlite":
        msg = (
            f"storage {shown}: SQLite locks the whole file at each write and breaks on network file systems, so "
            "several supervisors cannot share it; use postgresql://…, or leave storage out for a journal file"
        )
        raise StudyError(msg)
    if dialect not in _POSTGRESQL or not rest:
        msg = f"storage {shown}: must be postgresql://USER@HOST/NAME; {known_names(dialect, ['postgresql'])}"
        raise StudyError(msg)
    from importlib.util import find_spec

    driver = driver or DRIVER
    if find_spec(driver) is None:
        msg = f"storage {shown} needs the package {driver}: pip install 'automl-pheno[postgresql]'"
        raise StudyError(msg)
    return f"postgresql+{driver}://{rest}"


def explain_failure(url: str, error: BaseException) -> str:
    """Return in one line why a database does not answer, without its password."""
    cause: BaseException | None = error
    while cause is not None and getattr(cause, "orig", None) is None:
        cause = cause.__cause__
    text = str(getattr(cause, "orig", error) if cause is not None else error)
    shown, lowered = redact(url), text.lower()
    if found := _NO_DATABASE.search(text):
        return f"{shown}: there is no database {found[1]!r}; make it with: createdb {found[1]}"
    if found := _NO_ROLE.search(text):
        return f"{shown}: the server knows no user {found[1]!r}; name one in the URL: postgresql://USER@HOST/NAME"
    for sign, meaning in _REASONS:
        if sign in lowered:
            return f"{shown}: {meaning}"
    lines = [line.strip() for line in redact(text).splitlines() if line.strip()]
    return f"{shown}: {lines[-1] if lines else type(error).__name__}"
