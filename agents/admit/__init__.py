"""admit: TextQuery -> Request. Every problem of a query is found at once, before anything is spent on it."""
