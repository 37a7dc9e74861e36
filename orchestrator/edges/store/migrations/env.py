"""Run the migrations on the connection that the caller opened."""

from alembic import context

from orchestrator.edges.store import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.SQLModel.metadata,
    transactional_ddl=True,
)
context.run_migrations()
