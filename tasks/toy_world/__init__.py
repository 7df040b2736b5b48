"""The toy world: scenes of digits in four modalities, as text, speech, images and videos. Nothing is downloaded."""
