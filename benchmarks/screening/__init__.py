"""What screening is worth: the loss after training at the chosen scale, and what a spectrum has to cost."""
