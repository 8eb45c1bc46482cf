"""Pathfinder images: two long dashed paths, short ones to distract, and two discs to join or not.

Images in the style of the public generator `snakes2.py` (Linsley et al. 2018, arXiv 1805.08315; Kim
et al. 2020), drawn anew: these are snakes-style images, **not** the released data sets of Long
Range Arena. The words are the arena's where it has any, else the script's or those of graphics:

    path         a curve of dashes, the script's "snake"; two of an image are long
    distractor   a short path
    dash         one straight piece of a path, the script's "segment" or "paddle"
    disc         the script's "marker" or "circle"
    margin       half of the gap between two dashes
    tip          the pixel that a dash is drawn from: the outer end of a path's first dash, the far
                 end of every other
    orientation  the angle of a dash from its tip, in radians from right (0) to down (pi / 2)
    pivot        the pixel a margin before a dash, around which the dash may turn
    candidates   the pixels around a pivot at which the dash may end, each with a weight
    continuity   how straight paths are: the larger, the less candidates beside the course weigh
    cover        how much of each pixel a dash and its margin cover
    mask         the pixels that are covered nearly whole, which no other mask may overlap
    dilated      the largest cover within a margin; where it is large, no other dash may end
    raster       a small picture around the pixel that a dash or a disc is placed at
"""
