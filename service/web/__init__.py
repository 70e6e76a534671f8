"""The page: rendered here, a little script on top, every asset shipped."""
