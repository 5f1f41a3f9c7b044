"""Commands for people: looking at a config before a run, and leaving with its result."""
