"""The API under /v1: one library call per route."""
