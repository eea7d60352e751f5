"""The database: sessions with an identity, statements in files, migrations, and an embedded server."""
