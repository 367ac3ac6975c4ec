"""The store on PostgreSQL. Its statements are in `sql/postgres`, its clock is the database's."""
