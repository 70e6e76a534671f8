"""The cost of a start: operations, latency, memory, hours and money, on the device that runs and trains it."""
