"""ReasonMaxxer: reasoning gains from a base model's own decision points, without RL."""

__version__ = "0.2.0"
