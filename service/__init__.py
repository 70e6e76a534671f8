"""Answers over HTTP: submits and reads, never trains."""
