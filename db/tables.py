"""All tables in one place, for migrations."""

from db import compare_schema, team_schema
from db.schema import Base

__all__ = ["Base", "compare_schema", "team_schema"]
