"""The base model and what is computed with it: its layers, its head, LoRA, hidden states."""
