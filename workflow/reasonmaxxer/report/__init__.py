"""The page and the terminal view: made from the metrics and small samples, nothing heavy."""
