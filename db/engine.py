"""Open the database: SQLite beside the data, or PostgreSQL; brought up to date before anybody uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from filelock import FileLock
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url, text

MIGRATIONS = Path(__file__).parent / "migrations"
NETWORK_FILESYSTEMS = frozenset(
    "nfs nfs4 cifs smb3 smbfs afs 9p ceph glusterfs lustre beegfs gpfs fuse.sshfs fuse.s3fs fuse.gcsfuse fuse.rclone "
    "fuse.goofys fuse.mount-s3 fuse.hf-mount fuse.glusterfs fuse.juicefs fuse.blobfuse".split()
)
UPGRADE_LOCK = 0x6D69656E
"""The number PostgreSQL knows our advisory lock by ("mien")."""
BUSY_MILLISECONDS = 10_000


def open_database(url: str) -> Engine:
    """Return an engine on the newest schema; several processes may call this at once.

    Raises sqlalchemy.exc.ArgumentError for a malformed address and OperationalError when there is no server.
    """
    address = _normalised(url)
    if address.get_backend_name() == "sqlite" and address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    upgrade(address)
    return make_engine(address)


def upgrade(address: URL, *, revision: str = "head") -> None:
    """Bring the tables to a revision; one process at a time."""
    engine = make_engine(address, migrating=True)
    try:
        with _one_at_a_time(address, engine), engine.begin() as connection:
            command.upgrade(alembic_config(connection), revision)
    finally:
        engine.dispose()


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's settings bound to an open connection; works where no pyproject.toml was installed."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def make_engine(address: URL, *, migrating: bool = False) -> Engine:
    """Return an engine; while migrating, SQLite must not follow foreign keys, or rebuilding a table empties others."""
    if address.get_backend_name() != "sqlite":
        pool: dict[str, Any] = {"poolclass": NullPool} if migrating else {"pool_size": 10, "pool_pre_ping": True}
        return create_engine(address, **pool)
    options: dict[str, Any] = {"poolclass": NullPool} if migrating else {"pool_size": 10, "max_overflow": 30}
    engine = create_engine(address, connect_args={"check_same_thread": False}, **options)
    on_network = on_network_mount(Path(address.database or "."))

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we begin transactions ourselves, see below
        connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
        connection.execute(f"PRAGMA foreign_keys={'OFF' if migrating else 'ON'}")
        connection.execute(f"PRAGMA journal_mode={'DELETE' if on_network else 'WAL'}")
        connection.execute(f"PRAGMA synchronous={'FULL' if on_network else 'NORMAL'}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes the lock at once: what it reads first is still true when it writes.
        writes = migrating or connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def on_network_mount(path: Path, *, mounts: Path = Path("/proc/mounts")) -> bool:
    """Tell whether the file lies on a file system whose locks write-ahead logging cannot trust."""
    if not mounts.is_file():
        return False
    resolved = path.resolve()
    kinds: dict[Path, str] = {}
    for line in mounts.read_text().splitlines():
        _, place, kind, *_ = line.split(" ")
        kinds[Path(place.replace("\\040", " "))] = kind
    nearest = next((parent for parent in (resolved, *resolved.parents) if parent in kinds), None)
    return nearest is not None and kinds[nearest] in NETWORK_FILESYSTEMS


def _normalised(url: str) -> URL:
    address = make_url(url)
    if address.drivername in {"postgres", "postgresql"}:
        return address.set(drivername="postgresql+psycopg")
    return address


@contextmanager
def _one_at_a_time(address: URL, engine: Engine) -> Iterator[None]:
    if address.get_backend_name() == "sqlite":
        with FileLock(f"{address.database}.lock", timeout=120):
            yield
        return
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:number)"), {"number": UPGRADE_LOCK})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:number)"), {"number": UPGRADE_LOCK})
