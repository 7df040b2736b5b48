"""The toy world: scenes of digits that can be read, heard, seen and watched."""
