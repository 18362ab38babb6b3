"""Training: the step, the learner around it, optimisers, schedules, state and outputs of a job."""
