"""People: verdicts, questions, the loop."""
