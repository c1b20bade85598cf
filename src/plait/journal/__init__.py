"""What a run has finished, kept in a file, so that a later run replays it instead of running it again."""
