"""A PostgreSQL server of the tests' own: Debian's binaries, a temporary cluster, a socket nobody else can reach."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, text

DEBIAN_BINARIES = Path("/usr/lib/postgresql")
START_SECONDS = 60


class NoServer(RuntimeError):
    """No PostgreSQL server can be started here; the message says why."""


def find_binaries() -> Path:
    """Return the folder that holds initdb and pg_ctl; raises NoServer when PostgreSQL is not installed."""
    versions = sorted(DEBIAN_BINARIES.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    found = str(versions[-1]) if versions else shutil.which("initdb")
    if found is None:
        raise NoServer("PostgreSQL is not installed; `make test-packages` installs it where apt-get may be used")
    return Path(found).resolve().parent


def choose_account() -> str | None:
    """Return the account to run the server as: None for our own, a powerless one when we are root."""
    if os.geteuid() != 0:
        return None
    accounts = {entry.pw_name for entry in pwd.getpwall()}
    for name in ("postgres", "nobody"):
        if name in accounts:
            return name
    raise NoServer("PostgreSQL refuses to run as root, and there is no account postgres or nobody to run it as")


@dataclass(frozen=True)
class Server:
    """A running server, reached through a socket in its own folder."""

    folder: Path

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of one database of this server."""
        return f"postgresql+psycopg://mien@/{database}?host={self.folder}"

    def run(self, statement: str) -> None:
        """Run one statement that cannot stand inside a transaction."""
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Create an empty database, give its URL, and drop it afterwards."""
        name = f"mien_{uuid4().hex[:12]}"
        self.run(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_server() -> Iterator[Server]:
    """Start a server in a temporary folder and stop it at the end; raises NoServer when that cannot be done."""
    binaries, account = find_binaries(), choose_account()
    folder = Path(tempfile.mkdtemp(prefix="mien-postgres-", dir="/tmp"))  # a socket path may have 107 characters only
    if account is not None:
        shutil.chown(folder, user=account)
    data = folder / "data"
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c timezone=UTC"
    start = ["start", "-D", str(data), "-l", str(folder / "log"), "-w", "-t", str(START_SECONDS), "-o", options]
    try:
        _call(
            [binaries / "initdb", "-D", data, "-U", "mien", "-A", "trust", "-E", "UTF8", "--no-sync"], account, folder
        )
        _call([binaries / "pg_ctl", *start], account, folder)
        try:
            yield Server(folder)
        finally:
            _call([binaries / "pg_ctl", "stop", "-D", data, "-m", "immediate", "-w"], account, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _call(command: list[object], account: str | None, folder: Path) -> None:
    # Output goes to a file: the server inherits the streams, and a pipe would stay open as long as it runs.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=account,
            group=None if account is None else pwd.getpwnam(account).pw_gid,
            extra_groups=None if account is None else [],
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            timeout=2 * START_SECONDS,
            check=False,
        )
        if done.returncode:
            output.seek(0)
            raise NoServer(f"{Path(str(command[0])).name} failed: {output.read().decode(errors='replace')[-500:]}")
