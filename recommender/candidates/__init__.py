"""The starts that take part in a question: chosen, recalled from the registry, or left out."""
