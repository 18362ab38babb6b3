"""Training: the step, the learner around it, optimizers, schedules, state and outputs of a job."""
