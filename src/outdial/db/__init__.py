"""The database: sessions, queries, migrations, the job queue and an embedded server."""
