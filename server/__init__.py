"""The gRPC server: owns the turns, the accounts and all that is stored."""
