"""The engine: `apply(state, command, timestamp_ns) -> events`. Import the modules, not the package."""
