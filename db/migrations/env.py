"""Alembic's entry: uses the connection it is given, or `alembic -x url=sqlite:///file ...` from the command line."""

from alembic import context
from sqlalchemy import Connection, make_url

import db.tables  # noqa: F401  (every table must be known before comparing)
from db.engine import make_engine
from db.schema import Base


def run(connection: Connection) -> None:
    """Migrate over one connection; SQLite rebuilds a table where it cannot alter it."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    address = make_url(context.get_x_argument(as_dictionary=True).get("url", "sqlite:///runs/development.sqlite"))
    with make_engine(address, migrating=True).begin() as opened:
        run(opened)
