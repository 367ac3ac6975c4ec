"""I/O with the platform; its failures become ServiceError here, once, and nowhere else."""
