"""Which completions are right: finds the answer in a text and compares it, safely and fast."""
