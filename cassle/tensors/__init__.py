"""What is handed from hand to hand in a training step."""
