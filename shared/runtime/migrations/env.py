"""Run by Alembic: the migrations of one service, in the transaction that `database.migrate` opened."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], target_metadata=None)
context.run_migrations()
