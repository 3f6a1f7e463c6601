"""What is done about a command: checked, carried out once, answered once."""
