"""The composition root: configuration, processes, supervisor. The only place that reads the environment."""
