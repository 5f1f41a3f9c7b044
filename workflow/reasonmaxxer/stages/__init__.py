"""The stages of the pipeline: one module is one command and one rule file of the same name."""
