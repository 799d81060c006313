"""System-level utilities: files, paths, names, packages, interrupts, failures."""
