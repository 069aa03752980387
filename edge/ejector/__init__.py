"""Ejector control: tracks rejected parts to the ejector and into the reject bin."""
