"""What any program needs of its machine: error types, whole files, locks, processes, device."""
