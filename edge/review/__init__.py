"""Review of verdicts by people: marks on parts, parts worth a look, collected data sets."""
