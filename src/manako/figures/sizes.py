"""Sizes of text and gaps, in CSS pixels."""

PAD = 16.0  # around the figure
GAP = 20.0  # between panels
TITLE, HEAD, WORDS = 17.0, 13.5, 12.0  # sizes of the figure's title, of a panel's, of other text
KEY = 26.0  # width of a sign in the legend
BAR = 12.0  # width of a colour scale
TICK_GAP = 7.0
NARROWEST = 260.0  # a figure is at least this wide, for its title
TICK = 11.0  # size of the numbers on an axis
LINE = 1.35  # height of a line of text, in sizes
CAP = 0.36  # half the height of a capital, in sizes: centres a line of text on a height
