"""The simulator: experiments from a file, training, pricing, timing, privacy, reports."""
