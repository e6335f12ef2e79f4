"""The tests' own PostgreSQL server gives each test an empty database."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine, text

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize("_turn", [1, 2])
def test_each_test_gets_an_empty_database(postgres_url: str, _turn: int) -> None:
    engine = create_engine(postgres_url)
    try:
        with engine.begin() as connection:
            count = connection.execute(text("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).scalar_one()
            connection.execute(text("CREATE TABLE left_behind (id integer)"))
        assert count == 0
    finally:
        engine.dispose()
