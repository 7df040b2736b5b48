"""Encoders, one for each modality; all return a :class:`attention.memory.Memory`."""
