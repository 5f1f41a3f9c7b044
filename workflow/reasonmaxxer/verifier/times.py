"""Times of day: 9:30 AM, 9:30 a.m., 21:30, noon."""

import re

_CLOCK = re.compile(
    r"(?:(?P<hour>\d{1,2})(?:\s*:\s*(?P<minute>\d\d))?(?:\s*:\s*(?P<second>\d\d))?)?\s*"
    r"(?P<clock>o'?clock\s*)?(?P<half>[ap]\.?\s?m\.?|noon|midnight"
    r"|in the (?:morning|afternoon|evening)|at night|hours)?\.?",
    re.IGNORECASE,
)


def _read(text: str) -> tuple[int, int, str, bool] | None:
    plain = " ".join(re.sub(r"\\text\s*\{([^{}]*)\}", r" \1 ", text).replace("~", " ").split())
    match = _CLOCK.fullmatch(plain)
    if match is None or not plain:
        return None
    half = re.sub(r"[.\s']", "", (match["half"] or "").lower())
    if match["hour"] is None:
        return {"noon": (12, 0, "pm", True), "midnight": (12, 0, "am", True)}.get(half)
    if half == "hours" and match["minute"] is None:
        return None
    hour = int(match["hour"])
    rest = 60 * int(match["minute"] or 0) + int(match["second"] or 0)
    if hour > 24 or rest >= 3600:
        return None
    half = {"noon": "pm", "midnight": "am", "inthemorning": "am"}.get(half, half)
    half = "pm" if half in ("intheafternoon", "intheevening", "atnight") else half
    marked = bool(half or match["clock"]) and half != "hours"
    if hour > 12 or hour == 0:
        hour, half = hour % 24, "pm" if hour % 24 >= 12 else "am"
        hour = hour - 12 if hour > 12 else hour or 12
    return hour, rest, half if half in ("am", "pm") else "", marked


def same_time(gold: str, pred: str) -> bool | None:
    """Whether two answers are one time of day; None where neither is marked as such a time."""
    if not (":" in gold + pred or re.search(r"[ap]\.?\s?m|noon|midnight|clock", gold + pred, re.I)):
        return None
    left, right = _read(gold), _read(pred)
    if left is None or right is None or not (left[3] or right[3]):
        return None
    if left[2] and right[2] and left[2] != right[2]:
        return False
    return left[:2] == right[:2]
