"""From a trained checkpoint to bundles that a station runs, with proof that nothing changed on the way."""
