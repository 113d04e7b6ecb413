"""The watcher: chain data alone, read and replayed by code of its own; see README.md."""
