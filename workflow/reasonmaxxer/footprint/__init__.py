"""Where a teacher departs from the base: footprint, interventions, pivotal positions."""
