"""What touches the machine: files, paths, names, packages, interrupts, failures."""
