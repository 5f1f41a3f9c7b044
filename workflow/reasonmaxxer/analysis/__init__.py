"""What the results say: scores, statistics, claims, costs, and the figures of the page."""
