"""The topics of the course, one file each: adding a file adds a topic.

TITLE   key of the message catalogue
ORDER   place in the course
play(seed=0) -> Lesson
"""
