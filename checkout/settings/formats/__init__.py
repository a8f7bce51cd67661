"""How are dates and times written where templates leave it open? By the 24-hour clock, the day before the month."""
