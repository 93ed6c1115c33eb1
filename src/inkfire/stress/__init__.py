"""What is done on purpose to a judge: injections, biases."""
