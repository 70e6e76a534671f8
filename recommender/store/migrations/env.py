"""Alembic's entry point: it runs on the connection, and inside the transaction, that `schema` holds."""

from __future__ import annotations

from alembic import context

from recommender.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
