"""What benches/load/run does: a module a subject, `__main__` puts the parts into order."""
