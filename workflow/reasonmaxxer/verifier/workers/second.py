"""The second opinion: plain math-verify on the whole completion, boxes first, no rule of ours.

Runs in an isolated worker only, as symbolic.py does.
"""

import logging

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

logging.getLogger("math_verify").setLevel(logging.CRITICAL)
BOXES_FIRST = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())


def decide(reference: str, completion: str) -> tuple[str, str]:
    """Verdict and reason as math-verify alone gives them."""
    found = parse(completion, BOXES_FIRST, parsing_timeout=None)
    if not found:
        return "unparseable", "no answer found"
    gold = reference if "$" in reference or "\\boxed" in reference else f"${reference}$"
    wanted = parse(gold, BOXES_FIRST, parsing_timeout=None)
    same = verify(wanted, found, timeout_seconds=None)
    return ("correct" if same else "incorrect"), "math-verify"
