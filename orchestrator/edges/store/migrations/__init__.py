"""The migrations of the store, written in Alembic operations for SQLite and PostgreSQL."""
