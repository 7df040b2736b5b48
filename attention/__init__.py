"""Attention: scores, localities, selectors, hierarchies and heads, in any combination."""
