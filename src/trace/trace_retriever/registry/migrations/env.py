"""Alembic runs this: on the connection, and in the transaction, that `schema.upgrade` opened."""

from alembic import context

from trace_retriever.registry.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="trace_schema",
)
context.run_migrations()
