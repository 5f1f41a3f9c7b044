"""The lab: generated problems worked by a mixture of policies, and the tiny model they train."""
