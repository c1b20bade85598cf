"""Lanes, the queues between them, order and cancellation: what carries items from the source to the consumer."""
