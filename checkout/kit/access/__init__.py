"""Who comes in? Two-factor, sessions, step-up and lock-out for the people of the desk."""
