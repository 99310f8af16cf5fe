"""What people are told: failures, refusals, suggestions, and secrets kept out of them."""
