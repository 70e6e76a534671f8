"""ASGI middleware: request context, body limits, host check, authentication."""
