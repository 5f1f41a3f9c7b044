"""Where in a completion the answer is: turns, marks, sentences."""
