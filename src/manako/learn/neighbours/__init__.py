"""The neighbours of deep learning: trees, support vectors, clustering (scikit-learn underneath), Q-learning.

Import from the file of the idea. What scikit-learn brings is imported when it is used; without it, MissingExtraError
says how to install it.
"""
