"""Request and response bodies of the API. What the command line prints as JSON is reused, never written twice."""
