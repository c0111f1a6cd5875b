"""The state of fits on a scheduler, and its JSON and metrics on the HTTP server."""
