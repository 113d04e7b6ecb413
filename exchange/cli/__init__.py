"""The `offbook` command: one file per group of verbs. Verbs parse, call `exchange.app`, and print."""
