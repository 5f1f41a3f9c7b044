"""The contrastive objective and the trainer: data, loss, schedule, steps, checkpoints."""
