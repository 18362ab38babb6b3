"""Training: the step, the learner around it, optimisers, schedules, checkpoints."""
