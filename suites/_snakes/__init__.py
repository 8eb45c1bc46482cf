"""Pathfinder images: two long dashed paths, short ones to distract, and two discs to join or not.

Images in the style of the public generator "snakes2" (Linsley et al. 2018; Kim et al. 2020), drawn
anew: these are snakes-style images, **not** the released data sets of Long Range Arena.
"""
