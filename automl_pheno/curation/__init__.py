"""What is learnt about inputs and trait from training rows alone, before a predictor sees them."""
