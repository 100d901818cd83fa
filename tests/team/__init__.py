"""Three machines without a shared folder, on a real PostgreSQL and a real S3 store."""
