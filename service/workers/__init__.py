"""Work that is done outside the event loop: worker processes, background threads, and what they produce."""
