"""The store on PostgreSQL, for many replicas. Its statements are in `sql/postgres`, its clock is the database's."""
