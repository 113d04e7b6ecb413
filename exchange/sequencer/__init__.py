"""The single writer: gives every command its place and time, runs the engine, and speaks only when it is durable."""
